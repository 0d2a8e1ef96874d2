"""Laboratory results and scores of a report, for the page. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.gateway.web.drawing import Bar, Line, bar, line

Json = Mapping[str, Any]

FLAG_ORDER = {"HH": 0, "LL": 0, "H": 1, "L": 1, "A": 1, "-": 2, "N": 3, "": 4}
"""Critical first, then abnormal, then what was not interpreted, then normal."""
_EXTENSION = "urn:dxmesh:fhir:StructureDefinition:"
SAID = ("urn:dxmesh:risk", "urn:dxmesh:suggestion", "urn:dxmesh:reconciliation")
"""Code systems of what is said of results."""
NOT_INTERPRETED = _EXTENSION + "not-interpreted"
_HOURS, _EVIDENCE = _EXTENSION + "hours-before", _EXTENSION + "evidence"


@dataclass(frozen=True, slots=True)
class Earlier:
    """A result of the same analyte from before."""

    name: str
    """When, in words."""
    value: str
    flag: str


@dataclass(frozen=True, slots=True)
class Input:
    """What a score was computed from."""

    name: str
    value: str
    time: str
    """When it was measured; empty when the report does not say."""
    result_id: str
    """The row of the table it is in; empty when it is none."""


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
    notes: tuple[str, ...]
    """Why it was not interpreted, where the critical limit comes from, what a change means."""
    category: str
    """What a score means, for example "G3a"."""
    source: str
    """Paper of a score; of a result where its range comes from."""
    bar: Bar | None = None
    line: Line | None = None
    earlier: tuple[Earlier, ...] = ()
    """The newest first."""
    inputs: tuple[Input, ...] = ()

    @property
    def note(self) -> str:
        """Everything that is noted of it."""
        return " ".join(self.notes)


def laboratory(observations: Iterable[Json]) -> tuple[list[Result], list[Result]]:
    """Return results, most pressing first, and scores."""
    found = list(observations)
    by_id = {f"Observation/{each.get('id')}": each for each in found}
    results: list[Result] = []
    scores: list[Result] = []
    for observation in found:
        if not _is_laboratory(observation) or _is_said(observation):
            continue
        if "method" in observation or _not_computed(observation):
            scores.append(_score(observation, by_id))
        else:
            results.append(_result(observation))
    results.sort(key=lambda result: FLAG_ORDER.get(result.flag, 4))
    return results, scores


def criticals(bundle: Json) -> list[Json]:
    """Return the Observations of a report that are critical results of a laboratory."""
    resources = [entry["resource"] for entry in bundle["entry"]]
    found = [each for each in resources if each["resourceType"] == "Observation"]
    ids = {each.id for each in laboratory(found)[0] if not FLAG_ORDER.get(each.flag, 4)}
    return [each for each in found if str(each.get("id")) in ids]


def _result(observation: Json) -> Result:
    value, unit = value_of(observation)
    low, high = _limits(observation)
    ranges = observation.get("referenceRange", [])
    told = [(_hours(each), each) for each in observation.get("component", [])]
    before = [(hours, each) for hours, each in told if hours is not None]
    now = _comparable(observation)
    shown = None if now is None else bar(now, low, high)
    points = [] if now is None else [(0.0, now)]
    points += [(hours, number) for hours, each in before for number in _amount(each)]
    return Result(
        id=str(observation["id"]),
        name=str(observation.get("code", {}).get("text", "")),
        value=value,
        unit=unit,
        flag=_flag(observation),
        range=_range(observation, unit),
        notes=_notes(observation),
        category="",
        source=str(ranges[0].get("text", "")) if ranges else "",
        bar=shown,
        line=line(points, low, high) if now is not None else None,
        earlier=tuple(_earlier(each) for _, each in sorted(before, key=lambda each: each[0])),
    )


def _score(observation: Json, by_id: Mapping[str, Json]) -> Result:
    value, unit = value_of(observation)
    category = [i["text"] for i in observation.get("interpretation", []) if "text" in i]
    return Result(
        id=str(observation["id"]),
        name=str(observation.get("code", {}).get("text", "")),
        value=value,
        unit=unit,
        flag="",
        range="",
        notes=_notes(observation),
        category=" ".join(category),
        source=str(observation.get("method", {}).get("text", "")),
        inputs=tuple(_input(each, by_id) for each in observation.get("component", [])),
    )


def _notes(observation: Json) -> tuple[str, ...]:
    return tuple(str(note["text"]) for note in observation.get("note", []))


def value_of(observation: Json) -> tuple[str, str]:
    """Return value and unit of an Observation as it came."""
    if quantity := observation.get("valueQuantity"):
        unit = str(quantity.get("unit", quantity.get("code", "")))
        return f"{quantity.get('comparator', '')}{_number(quantity)}", "" if unit == "1" else unit
    return str(observation.get("valueString", "")), ""


def _flag(observation: Json) -> str:
    if any(e.get("url") == NOT_INTERPRETED for e in observation.get("extension", [])):
        return "-"
    for interpretation in observation.get("interpretation", []):
        for coding in interpretation.get("coding", []):
            if coding.get("code") in FLAG_ORDER:
                return str(coding["code"])
    return ""


def _range(observation: Json, shown: str) -> str:
    """Return the range, with its unit where the value is not shown in it."""
    for limits in observation.get("referenceRange", []):
        low, high = (_number(limits.get(side)) for side in ("low", "high"))
        unit = str((limits.get("low") or limits.get("high") or {}).get("unit", ""))
        unit = (
            ""
            if unicodedata.normalize("NFKC", unit)
            in ("", "1", unicodedata.normalize("NFKC", shown))
            else f" {unit}"
        )
        if low and high:
            return f"{low}–{high}{unit}"
        if low or high:
            return f"{'≥' if low else '≤'} {low or high}{unit}"
    return ""


def _limits(observation: Json) -> tuple[float | None, float | None]:
    for limits in observation.get("referenceRange", []):
        low, high = (list(_amount({"valueQuantity": limits.get(e)})) for e in ("low", "high"))
        return (low[0] if low else None, high[0] if high else None)
    return None, None


def _comparable(observation: Json) -> float | None:
    """Return the value in the unit of its range: as it came, or the component that converts it."""
    if observation.get("valueQuantity", {}).get("comparator"):
        return None
    for component in observation.get("component", []):
        if "coding" not in component.get("code", {}):
            return next(_amount(component), None)
    return next(_amount(observation), None)


def _amount(node: Json) -> Iterator[float]:
    quantity = node.get("valueQuantity") or {}
    if quantity.get("value") is not None and not quantity.get("comparator"):
        yield float(quantity["value"])


def _hours(component: Json) -> float | None:
    for extension in component.get("extension", []):
        if extension.get("url") == _HOURS:
            return float(extension["valueDecimal"])
    return None


def _earlier(component: Json) -> Earlier:
    name = str(component.get("code", {}).get("text", ""))
    return Earlier(name, _shown(component), _flag(component))


def _number(quantity: Json | None) -> str:
    number = (quantity or {}).get("value", "")
    return str(getattr(number, "written", number))


def _shown(component: Json) -> str:
    if quantity := component.get("valueQuantity"):
        unit = quantity.get("unit", "")
        return f"{_number(quantity)} {unit if unit != '1' else ''}".strip()
    return str(component.get("valueString", ""))


def _input(component: Json, by_id: Mapping[str, Json]) -> Input:
    name = str(component.get("code", {}).get("text", ""))
    references = [
        str(each["valueReference"]["reference"])
        for each in component.get("extension", [])
        if each.get("url") == _EVIDENCE
    ]
    source = by_id.get(references[0], {}) if references else {}
    time = str(source.get("effectiveDateTime", ""))
    return Input(name, _shown(component), time, str(source.get("id", "")))


def _is_laboratory(observation: Json) -> bool:
    return any(
        coding.get("code") == "laboratory"
        for category in observation.get("category", [])
        for coding in category.get("coding", [])
    )


def _is_said(observation: Json) -> bool:
    """Tell whether it is what a rule says, not what a laboratory measured."""
    codings = observation.get("code", {}).get("coding", [])
    return any(str(coding.get("system", "")).startswith(SAID) for coding in codings)


def _not_computed(observation: Json) -> bool:
    absent = observation.get("dataAbsentReason", {}).get("coding", [])
    return any(coding.get("code") == "not-performed" for coding in absent)
