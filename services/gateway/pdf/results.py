"""Laboratory results, scores and risks, as the document shows them: most pressing first."""

from __future__ import annotations

from typing import Any

from services.gateway.pdf.findings import remarks, verdict
from services.gateway.pdf.resources import Json, codes, of_type, shown, written
from services.gateway.pdf.words import Language, words

ORDER = {"HH": 0, "LL": 0, "H": 1, "L": 1, "A": 1, "-": 2, "N": 3}
LEVELS = {0: "critical", 1: "abnormal", 2: "unread", 3: "normal"}
NOT_INTERPRETED = "urn:dxmesh:fhir:StructureDefinition:not-interpreted"

Row = dict[str, Any]


def results(bundle: Json, language: Language) -> list[Row]:
    """Return the results: critical, abnormal, not interpreted, normal."""
    found = [_result(each, language) for each in _laboratory(bundle) if not _is_score(each)]
    return sorted(found, key=lambda row: int(row["order"]))


def scores(bundle: Json, language: Language) -> list[Row]:
    """Return the scores with their inputs; one that was not computed says why."""
    return [_score(each, language) for each in _laboratory(bundle) if _is_score(each)]


def risks(bundle: Json, language: Language) -> list[Row]:
    """Return the risks, most pressing first, with what opposes them, what is next, the source."""
    return [
        {
            "text": str(each.get("valueString", "")),
            "source": str(each.get("method", {}).get("text", "")),
            "notes": [str(n["text"]) for n in each.get("note", []) if "authorReference" not in n],
            "verdict": verdict(each, language),
            "remarks": remarks(each),
            "rejected": each.get("status") == "entered-in-error",
        }
        for each in of_type(bundle, "Observation")
        if _is_risk(each)
    ]


def _laboratory(bundle: Json) -> list[Json]:
    return [
        each
        for each in of_type(bundle, "Observation")
        if any("laboratory" in codes(c) for c in each.get("category", [])) and not _is_risk(each)
    ]


def _is_risk(observation: Json) -> bool:
    codings = observation.get("code", {}).get("coding", [])
    return any(coding.get("system") == "urn:dxmesh:risk" for coding in codings)


def _is_score(observation: Json) -> bool:
    """Tell a score from a result: it cites its method, or was not computed."""
    absent = codes(observation.get("dataAbsentReason", {}))
    return "method" in observation or "not-performed" in absent


def _result(observation: Json, language: Language) -> Row:
    flag = _flag(observation)
    notes = [str(n["text"]) for n in observation.get("note", []) if "authorReference" not in n]
    plain = [each for each in observation.get("component", []) if not codes(each.get("code", {}))]
    converted = [shown(each.get("valueQuantity")) for each in plain]
    notes += [words(language)["converted"].format(value=each) for each in converted if each]
    reviewed = any(tag.get("code") == "finding" for tag in observation["meta"].get("tag", []))
    return {
        "order": ORDER.get(flag, 3),
        "level": LEVELS[ORDER.get(flag, 3)],
        "name": str(observation.get("code", {}).get("text", "")),
        "value": _value(observation),
        "flag": words(language).get(f"flag-{flag}", ""),
        "range": _range(observation),
        "notes": notes + remarks(observation),
        "verdict": verdict(observation, language) if reviewed else "",
        "rejected": observation.get("status") == "entered-in-error",
    }


def _value(observation: Json) -> str:
    return shown(observation.get("valueQuantity")) or str(observation.get("valueString", ""))


def _flag(observation: Json) -> str:
    for interpretation in observation.get("interpretation", []):
        for code in codes(interpretation):
            if code in ORDER:
                return code
    unread = any(e.get("url") == NOT_INTERPRETED for e in observation.get("extension", []))
    return "-" if unread else ""


def _range(observation: Json) -> str:
    for limits in observation.get("referenceRange", []):
        low, high = limits.get("low"), limits.get("high")
        unit = (low or high or {}).get("unit", "")
        if low and high:
            return f"{written(low)} – {written(high)} {unit}".strip()
        if low or high:
            return f"{'≥' if low else '≤'} {written(low or high)} {unit}".strip()
    return ""


def _score(observation: Json, language: Language) -> Row:
    value = _value(observation)
    notes = [str(n["text"]) for n in observation.get("note", [])]
    categories = [i["text"] for i in observation.get("interpretation", []) if "text" in i]
    return {
        "name": str(observation.get("code", {}).get("text", "")),
        "value": value or words(language)["not-computed"],
        "category": " ".join(categories),
        "inputs": [_input(part) for part in observation.get("component", [])],
        "notes": notes,
        "source": str(observation.get("method", {}).get("text", "")),
    }


def _input(component: Json) -> str:
    name = str(component.get("code", {}).get("text", ""))
    value = shown(component.get("valueQuantity")) or str(component.get("valueString", ""))
    return f"{name} {value}".strip()
