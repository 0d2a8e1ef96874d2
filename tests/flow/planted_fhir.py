"""FHIR resources with something planted in every element that can hold text, code or date.

The elements are those of the `fhir.resources` models, walked to a depth at which everything
repeats.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

from tests.flow.planting import Plants

DEPTH_MAX = 3
_COMPLEX = re.compile(r"abc\.(\w+?)Type\b")
_PRIMITIVE = re.compile(r"\b(String|Markdown|Code|Uri|Url|Canonical|DateTime|Date|Instant|Id)\(")
_SKIPPED = frozenset(("contained", "fhir_comments", "resourceType", "id", "implicitRules"))
"""`contained` may not repeat the Patient; ids and rules are set by who writes the resource."""
_LEAVES = frozenset(("Extension", "Meta", "Narrative", "Reference"))
_STRUCTURED = frozenset(("FHIRPrimitiveExtension", "Element", "Resource", "ResourceContainer"))

Json = dict[str, Any]


class Filler:
    """Fills every element of a type; each call takes one alternative of a choice."""

    def __init__(self, plants: Plants, subject: str, *without: str) -> None:
        self._plants = plants
        self._subject = subject
        self._skipped = _SKIPPED | set(without)

    def resource(self, kind: str, choice: int = 0, /, **fixed: Any) -> Json:
        """Return a resource; `choice` picks among `value[x]`, `fixed` replaces elements."""
        made = self._members(kind, kind, choice, 0, frozenset(fixed))
        return {"resourceType": kind, **made, **fixed}

    def _members(
        self, kind: str, where: str, choice: int, depth: int, fixed: frozenset[str] = frozenset()
    ) -> Json:
        made: Json = {}
        fields = get_fhir_model_class(kind).model_fields
        picked = _picked(fields, choice)
        for name, info in fields.items():
            if name.endswith("__ext") or name in self._skipped | fixed:
                continue
            group = (info.json_schema_extra or {}).get("one_of_many")
            if group and picked[group] != name:
                continue
            alias = info.alias or name
            value = self._value(str(info.annotation), f"{where}.{alias}", choice, depth)
            if value is None:
                continue
            made[alias] = [value] if "List" in str(info.annotation) else value
        return made

    def _value(self, annotation: str, where: str, choice: int, depth: int) -> Any:
        if found := _PRIMITIVE.search(annotation):
            return self._primitive(found[1], where)
        found = _COMPLEX.search(annotation)
        if not found or found[1] in _STRUCTURED:
            return None
        kind = found[1]
        if kind in _LEAVES:
            return _LEAF[kind](self, where)
        return self._members(kind, where, choice, depth + 1) if depth < DEPTH_MAX else None

    def _primitive(self, kind: str, where: str) -> str:
        token = self._plants.token
        if kind == "Instant":
            return f"{self._plants.day(where).isoformat()}T10:11:12.573194+08:00"
        if kind == "DateTime":
            return f"{self._plants.day(where).isoformat()}T10:11:12+08:00"
        if kind == "Date":
            return self._plants.day(where).isoformat()
        if kind in ("Uri", "Canonical"):
            return f"urn:{token(where).lower()}"
        if kind == "Url":
            return f"https://{token(where).lower()}.example/"
        if kind in ("Code", "Id"):
            return token(where)
        return f"{token(where)} potassium"

    def extension(self, where: str) -> Json:
        """Return an extension with another one inside."""
        token = self._plants.token
        return {
            "url": f"urn:{token(where + '.url').lower()}",
            "extension": [
                {"url": "inner", "valueString": token(where + ".valueString")},
                {
                    "url": "address",
                    "valueAddress": {"text": token(where + ".valueAddress.text")},
                },
            ],
        }

    def meta(self, where: str) -> Json:
        """Return labels and a source."""
        token = self._plants.token
        return {
            "source": f"urn:{token(where + '.source').lower()}",
            "tag": [{"code": token(where + ".tag.code"), "display": token(where + ".tag.display")}],
        }

    def narrative(self, where: str) -> Json:
        """Return a narrative."""
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">{self._plants.token(where)}</div>'
        return {"status": "generated", "div": div}

    def reference(self, where: str) -> Json:
        """Return a reference: to the patient where it says whom a resource is about."""
        token = self._plants.token
        display = token(where + ".display")
        if where.rpartition(".")[2] in ("subject", "patient", "for", "beneficiary"):
            return {"reference": self._subject, "display": display}
        return {
            "reference": f"Practitioner/{token(where + '.reference')}",
            "identifier": {
                "system": f"urn:{token(where + '.identifier.system').lower()}",
                "value": token(where + ".identifier.value"),
            },
            "display": display,
        }


_LEAF: dict[str, Callable[[Filler, str], Json]] = {
    "Extension": Filler.extension,
    "Meta": Filler.meta,
    "Narrative": Filler.narrative,
    "Reference": Filler.reference,
}


def choices(kind: str, group: str) -> list[str]:
    """Return the alternatives of a choice of a type."""
    fields = get_fhir_model_class(kind).model_fields
    return [
        name
        for name, info in fields.items()
        if (info.json_schema_extra or {}).get("one_of_many") == group and "__ext" not in name
    ]


def _picked(fields: Any, choice: int) -> dict[str, str]:
    """Return which alternative of each choice is taken."""
    groups: dict[str, list[str]] = {}
    for name, info in fields.items():
        group = (info.json_schema_extra or {}).get("one_of_many")
        if group and "__ext" not in name:
            groups.setdefault(group, []).append(name)
    return {group: names[choice % len(names)] for group, names in groups.items()}
