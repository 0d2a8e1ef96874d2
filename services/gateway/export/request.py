"""What an export is asked for: parameters of the address, or a Parameters resource. Pure.

What is not served is refused, or left aside under `Prefer: handling=lenient` (Bulk Data 2,
Query Parameters). A type that no export of this level can hold is refused the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from services.gateway.fhir import moments
from services.gateway.fhir.search.compartments import members
from services.gateway.fhir.search.query import parse_criteria
from services.gateway.fhir.types import TYPES
from services.kernel.errors import InvalidInput, MeshError, Violation

SYSTEM, PATIENT, GROUP = "system", "patient", "group"
NDJSON = "application/fhir+ndjson"
FORMATS = frozenset({NDJSON, "application/ndjson", "ndjson"})
VALUES_MAX = 200
"""Types, elements, filters and patients that one request may name, each."""
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_ELEMENT = re.compile(r"(?:([A-Z][A-Za-z]{1,63})\.)?([a-z][A-Za-z0-9]{0,63})")
_NEXT_FILTER = re.compile(r",(?=[A-Z][A-Za-z]+\?)")

Pairs = Sequence[tuple[str, str]]
Filter = tuple[str, tuple[tuple[str, str], ...]]
"""A resource type and the search parameters that a resource of it must meet."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An export as it was asked for."""

    level: str
    kinds: tuple[str, ...] = ()
    """Empty: every type the caller may read."""
    since_us: int = 0
    until_us: int = 0
    """Last modified after, and up to; 0: no limit."""
    elements: tuple[tuple[str, str], ...] = ()
    """(type or "", element): what of a resource is wanted; empty: whole resources."""
    filters: tuple[Filter, ...] = ()
    """Of the same type: any of them will do."""
    patients: tuple[str, ...] | None = None
    """Ids of the patients whose resources are wanted; None: of any patient."""


def parse(level: str, pairs: Pairs, *, lenient: bool = False) -> Asked:
    """Return what parameters ask for.

    Raises
    ------
    InvalidInput
        Names each parameter that cannot be used.
    """
    wrong: list[Violation] = []
    extra: list[Violation] = []
    asked: dict[str, Any] = {"level": level}
    kinds: list[str] = []
    elements: list[tuple[str, str] | None] = []
    filters: list[Filter | None] = []
    patients: list[str] = []
    for name, value in pairs:
        if name == "_outputFormat":
            if value.replace(" ", "+") not in FORMATS:
                wrong.append(Violation("http._outputFormat", f"only {NDJSON} is written"))
        elif name == "_type":
            kinds += [kind for kind in value.split(",") if kind]
        elif name in ("_since", "_until"):
            asked[f"{name[1:]}_us"] = moments.period(value, name)[0]
        elif name == "_elements":
            elements += [_element(text, wrong) for text in value.split(",") if text]
        elif name == "_typeFilter":
            filters += [_filter(text, wrong) for text in _NEXT_FILTER.split(value) if text]
        elif name == "patient" and level != SYSTEM:
            patients.append(_patient(value, wrong))
        elif name not in ("_format", "_pretty"):
            extra.append(Violation(f"http.{name[:64]}", "not served here"))
    for kind in kinds:
        if kind not in TYPES or (level != SYSTEM and kind not in members("Patient")):
            extra.append(Violation("http._type", "not a type that this export can hold"))
    if max(len(kinds), len(elements), len(filters), len(patients)) > VALUES_MAX:
        wrong.append(Violation("http", f"at most {VALUES_MAX} values of a parameter"))
    if wrong or (extra and not lenient):
        raise InvalidInput(
            "the export cannot be made as asked", wrong or extra, reason="BAD_REQUEST"
        )
    usable = [k for k in kinds if k in TYPES and (level == SYSTEM or k in members("Patient"))]
    if kinds and not usable:
        raise InvalidInput("no type is left to export", extra, reason="BAD_REQUEST")
    return Asked(
        **asked,
        kinds=tuple(dict.fromkeys(usable)),
        elements=tuple(dict.fromkeys(e for e in elements if e)),
        filters=tuple(dict.fromkeys(f for f in filters if f)),
        patients=tuple(dict.fromkeys(patients)) if patients else None,
    )


def pairs_of(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the parameters in a Parameters resource, of POST.

    Raises
    ------
    InvalidInput
    """
    found: list[tuple[str, str]] = []
    items = parameters.get("parameter", [])
    for number, item in enumerate(items if isinstance(items, list) else [None]):
        name = item.get("name") if isinstance(item, Mapping) else None
        values = [v for k, v in item.items() if k.startswith("value")] if name else []
        value = values[0].get("reference") if values and isinstance(values[0], Mapping) else None
        text = value if value is not None else values[0] if values else None
        if not isinstance(name, str) or not isinstance(text, str):
            where = f"Parameters.parameter[{number}]"
            problem = Violation(where, "a name and a text or a Reference")
            raise InvalidInput("a parameter cannot be used", [problem], reason="BAD_REQUEST")
        found.append((name, text))
    return found


def _element(text: str, wrong: list[Violation]) -> tuple[str, str] | None:
    match = _ELEMENT.fullmatch(text)
    if match is None or (match[1] and match[1] not in TYPES):
        problem = "elements such as id or Patient.name, at the top of the resource"
        wrong.append(Violation("http._elements", problem))
        return None
    return match[1] or "", match[2]


def _filter(text: str, wrong: list[Violation]) -> Filter | None:
    kind, mark, query = text.partition("?")
    try:
        pairs = tuple(parse_qsl(query, keep_blank_values=True, strict_parsing=True))
        if kind not in TYPES or not mark:
            raise ValueError(kind)
        parse_criteria(kind, pairs)
    except (MeshError, ValueError) as error:
        said = [f"{v.path.removeprefix('http.')}: {v.problem}" for v in _violations(error)]
        problem = "; ".join(said) or "a search such as Observation?category=laboratory"
        wrong.append(Violation("http._typeFilter", problem))
        return None
    return kind, pairs


def _violations(error: Exception) -> list[Violation]:
    return list(getattr(error, "violations", []))


def _patient(text: str, wrong: list[Violation]) -> str:
    patient = text.removeprefix("Patient/")
    if not _ID.fullmatch(patient):
        wrong.append(Violation("http.patient", "a reference such as Patient/1"))
    return patient
