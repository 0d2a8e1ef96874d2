"""Laboratory results and scores of a report, for the page. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

FLAG_ORDER = {"HH": 0, "LL": 0, "H": 1, "L": 1, "A": 1, "-": 2, "N": 3, "": 4}
"""Critical first, then abnormal, then what was not interpreted, then normal."""
NOT_INTERPRETED = "urn:dxmesh:fhir:StructureDefinition:not-interpreted"


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the results table, or one score."""

    id: str
    name: str
    value: str
    unit: str
    flag: str
    """HH, LL, H, L, A, N; "-": not interpreted."""
    range: str
    note: str
    """Why it was not interpreted, or where the critical limit comes from."""
    inputs: str
    """What a score was computed from."""
    category: str
    """What a score means, for example "G3a"."""


def laboratory(observations: Iterable[Json]) -> tuple[list[Result], list[Result]]:
    """Return results, most pressing first, and scores."""
    results: list[Result] = []
    scores: list[Result] = []
    for observation in observations:
        if not _is_laboratory(observation) or _is_risk(observation):
            continue
        target = scores if "method" in observation or _not_computed(observation) else results
        target.append(_result(observation))
    results.sort(key=lambda result: FLAG_ORDER.get(result.flag, 4))
    return results, scores


def _result(observation: Json) -> Result:
    value, unit = _value(observation)
    notes = [str(note["text"]) for note in observation.get("note", [])]
    category = [i["text"] for i in observation.get("interpretation", []) if "text" in i]
    return Result(
        id=str(observation["id"]),
        name=str(observation.get("code", {}).get("text", "")),
        value=value,
        unit=unit,
        flag=_flag(observation),
        range=_range(observation),
        note=" ".join(notes),
        inputs=", ".join(_input(c) for c in observation.get("component", [])),
        category=" ".join(category),
    )


def _value(observation: Json) -> tuple[str, str]:
    if quantity := observation.get("valueQuantity"):
        number = quantity.get("value", "")
        written = f"{quantity.get('comparator', '')}{getattr(number, 'written', number)}"
        unit = str(quantity.get("unit", quantity.get("code", "")))
        return written, "" if unit == "1" else unit
    return str(observation.get("valueString", "")), ""


def _flag(observation: Json) -> str:
    if any(e.get("url") == NOT_INTERPRETED for e in observation.get("extension", [])):
        return "-"
    for interpretation in observation.get("interpretation", []):
        for coding in interpretation.get("coding", []):
            if coding.get("code") in FLAG_ORDER:
                return str(coding["code"])
    return ""


def _range(observation: Json) -> str:
    for limits in observation.get("referenceRange", []):
        low, high = (_number(limits.get(side)) for side in ("low", "high"))
        unit = (limits.get("low") or limits.get("high") or {}).get("unit", "")
        if low and high:
            return f"{low}–{high} {unit}"
        if low or high:
            return f"{'≥' if low else '≤'} {low or high} {unit}"
    return ""


def _number(quantity: Json | None) -> str:
    number = (quantity or {}).get("value", "")
    return str(getattr(number, "written", number))


def _input(component: Json) -> str:
    name = component.get("code", {}).get("text", "")
    value = component.get("valueString", "")
    if quantity := component.get("valueQuantity"):
        unit = quantity.get("unit", "")
        value = f"{_number(quantity)} {unit if unit != '1' else ''}".strip()
    return f"{name} {value}".strip()


def _is_laboratory(observation: Json) -> bool:
    return any(
        coding.get("code") == "laboratory"
        for category in observation.get("category", [])
        for coding in category.get("coding", [])
    )


def _is_risk(observation: Json) -> bool:
    codings = observation.get("code", {}).get("coding", [])
    return any(coding.get("system") == "urn:dxmesh:risk" for coding in codings)


def _not_computed(observation: Json) -> bool:
    absent = observation.get("dataAbsentReason", {}).get("coding", [])
    return any(coding.get("code") == "not-performed" for coding in absent)
