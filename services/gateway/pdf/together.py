"""What follows from notes, results and images together, as the document shows it."""

from __future__ import annotations

from typing import Any

from services.gateway.pdf.findings import remarks, verdict
from services.gateway.pdf.resources import Json, codes, of_type
from services.gateway.pdf.words import Language

SUGGESTIONS, COMPARED = "urn:dxmesh:suggestion", "urn:dxmesh:reconciliation"
KINDS = {"red-flag": "red", "supports": "supports", "opposes": "opposes"}

Row = dict[str, Any]


def suggestions(bundle: Json, language: Language) -> list[Row]:
    """Return the conditions to consider, best first, each with both sides, or that none is."""
    return [
        {
            "name": str(each.get("code", {}).get("text", "")),
            "text": str(each.get("valueString", "")),
            **_sides(each),
            "notes": _notes(each),
            "source": str(each.get("method", {}).get("text", "")),
            **_said(each, language),
        }
        for each in _of(bundle, SUGGESTIONS)
    ]


def compared(bundle: Json, language: Language) -> list[Row]:
    """Return what does not fit together, the most severe first, then what agrees."""
    return [
        {
            "kind": str(each.get("code", {}).get("text", "")),
            "text": str(each.get("valueString", "")),
            "agrees": "agreement" in codes(each.get("code", {})),
            **_said(each, language),
        }
        for each in _of(bundle, COMPARED)
    ]


def _said(observation: Json, language: Language) -> Row:
    tags = observation.get("meta", {}).get("tag", [])
    reviewed = any(tag.get("code") == "finding" for tag in tags)
    return {
        "verdict": verdict(observation, language) if reviewed else "",
        "remarks": remarks(observation),
        "rejected": observation.get("status") == "entered-in-error",
    }


def _of(bundle: Json, system: str) -> list[Json]:
    return [
        each
        for each in of_type(bundle, "Observation")
        if any(c.get("system") == system for c in each.get("code", {}).get("coding", []))
    ]


def _sides(observation: Json) -> dict[str, list[str]]:
    """Return each kind of evidence, each piece once; what is a red flag is no support again."""
    found = {kind: dict.fromkeys(_evidence(observation, code)) for code, kind in KINDS.items()}
    supports = [each for each in found["supports"] if each not in found["red"]]
    return {kind: list(each) for kind, each in found.items()} | {"supports": supports}


def _evidence(observation: Json, code: str) -> list[str]:
    return [
        str(part.get("valueString", ""))
        for part in observation.get("component", [])
        if code in codes(part.get("code", {}))
    ]


def _notes(observation: Json) -> list[str]:
    """Return its notes; the red flags stand with the evidence."""
    found = [str(n["text"]) for n in observation.get("note", []) if "authorReference" not in n]
    return found[1:] if _evidence(observation, "red-flag") else found
