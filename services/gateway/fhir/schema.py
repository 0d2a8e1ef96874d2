"""What R4 says of each element: list or not, choice, reference targets, codes. Pure.

Read from the models of `fhir.resources.R4B`; a type R4B has no model of has no schema here.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from services.gateway.fhir.types import CHANGED, NOT_IN_R4B, TYPES

Model = Any
"""A class of `fhir.resources`."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type."""

    name: str
    """As JSON writes it: valueQuantity."""
    many: bool
    model: Model | None
    """Class of a complex type; None for a primitive, and for a contained resource."""
    choice: str = ""
    """Name of the choice it is a form of: value for valueQuantity."""
    targets: tuple[str, ...] = ()
    """Types a Reference may point to; empty: any."""
    codes: tuple[str, ...] = ()
    """Codes of a required binding that the model lists in full; empty: not known."""
    primitive: str = ""
    """Name of a primitive type, such as Uri or Canonical."""


_EVENT = "registered preliminary final amended corrected cancelled entered-in-error unknown"
_VISIT = "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown"
ABRIDGED = {
    ("DetectedIssue", "status"): _EVENT,
    ("DeviceUdiCarrier", "entryType"): "barcode rfid manual card self-reported unknown",
    ("DiagnosticReport", "status"): f"{_EVENT} partial appended",
    ("Encounter", "status"): _VISIT,
    ("EncounterStatusHistory", "status"): _VISIT,
    ("Observation", "status"): _EVENT,
    ("RiskAssessment", "status"): _EVENT,
    ("Task", "status"): "draft requested received accepted rejected ready cancelled in-progress "
    "on-hold failed completed entered-in-error",
}
"""Codes of required bindings (R4, observation-status and so on) of which the models say that
they list some alone, for the types that are searched in full."""
OPEN = frozenset({("CapabilityStatement", "format"), ("Expression", "language")})
"""Codes of which the models list only some, without saying so."""


@lru_cache(maxsize=512)
def model_of(kind: str) -> Model | None:
    """Return the model of a resource type; None where R4B differs too much to say."""
    from fhir.resources.R4B import get_fhir_model_class  # slow to import

    if kind in NOT_IN_R4B | CHANGED or (kind not in TYPES and kind != "Parameters"):
        return None
    return get_fhir_model_class(kind)


@lru_cache(maxsize=2048)
def elements(model: Model) -> dict[str, Element]:
    """Return a type's elements by their names in JSON, primitive extensions left out."""
    found: dict[str, Element] = {}
    for field in model.model_fields.values():
        extra = field.json_schema_extra
        name = field.alias
        if not name or not isinstance(extra, dict) or not extra.get("element_property"):
            continue
        many, kind, primitive = _kind(field.annotation)
        get_model = getattr(kind, "get_model_klass", None)
        is_resource = getattr(kind, "__name__", "") == "ResourceType"
        codes = tuple(str(code) for code in _list(extra, "enum_values"))
        targets = tuple(str(target) for target in _list(extra, "enum_reference_types"))
        found[name] = Element(
            name,
            many,
            get_model() if callable(get_model) and not is_resource else None,
            str(extra.get("one_of_many") or ""),
            () if "Resource" in targets else targets,
            _all_codes((model.__name__, name), codes),
            primitive,
        )
    return found


def choices(model: Model, name: str) -> list[Element]:
    """Return the forms of a choice, such as valueQuantity and valueString of "value"."""
    return [element for element in elements(model).values() if element.choice == name]


def _all_codes(place: tuple[str, str], codes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the codes an element may hold; empty where they are not known in full."""
    if place in ABRIDGED:
        return tuple(ABRIDGED[place].split())
    return () if "+" in codes or place in OPEN else codes


def _list(extra: dict[str, Any], name: str) -> list[Any]:
    value = extra.get(name)
    return list(value) if isinstance(value, list | tuple) else []


def _kind(annotation: Any) -> tuple[bool, Any, str]:
    """Return whether an annotation is a list, the type in it, and a primitive's name."""
    many, primitive = False, ""
    while (origin := typing.get_origin(annotation)) is not None:
        arguments = [a for a in typing.get_args(annotation) if a is not type(None)]
        if origin is list:
            many = True
        annotation = arguments[0]
        if origin is typing.Annotated:
            primitive = type(arguments[1]).__name__
            break
    return many, annotation, primitive
