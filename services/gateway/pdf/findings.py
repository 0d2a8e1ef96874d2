"""Imaging findings and key images, as the document shows them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from services.gateway.pdf.resources import (
    Json,
    codes,
    components,
    extensions,
    of_type,
    shown,
    written,
)
from services.gateway.pdf.words import Language, words

LONG, SHORT, CERTAINTY, LATERALITY = "103339001", "103340004", "111012", "272741003"
NOT_DETECTED, PRESENT, ACTIONABLE_1 = "260415000", "52101004", "RID49480"
SAID_BESIDE = frozenset({CERTAINTY, LATERALITY, LONG, SHORT})
"""Components with a place of their own in the row."""
PNG = b"\x89PNG\r\n\x1a\n"
CLINICIAN = "CLINAST"

Row = dict[str, Any]


def is_imaging(observation: Json) -> bool:
    """Tell whether an Observation is a finding in images."""
    return any("imaging" in codes(each) for each in observation.get("category", []))


def rows(bundle: Json, language: Language) -> list[Row]:
    """Return one row per finding; one that says "none found" has no measurements."""
    found = [each for each in of_type(bundle, "Observation") if is_imaging(each)]
    return [_row(number, each, language) for number, each in enumerate(found, start=1)]


def verdict(observation: Json, language: Language) -> str:
    """Return what the physician said of a finding, in one word."""
    labels = [label.get("code") for label in observation.get("meta", {}).get("security", [])]
    status = observation.get("status")
    if status == "entered-in-error":
        said = "disagree"
    elif status == "amended":
        said = "edit"
    else:
        said = "agree" if CLINICIAN in labels else "none"
    return words(language)[f"verdict-{said}"]


def remarks(observation: Json) -> list[str]:
    """Return a physician's notes on a finding."""
    return [str(note["text"]) for note in observation.get("note", []) if "authorReference" in note]


def _row(number: int, observation: Json, language: Language) -> Row:
    place = next(extensions(observation, "image-location"), {})
    value = observation.get("valueCodeableConcept", {})
    notes = [str(n["text"]) for n in observation.get("note", []) if "authorReference" not in n]
    certainty = written(components(observation).get(CERTAINTY, {}).get("valueQuantity"))
    return {
        "id": str(observation["id"]),
        "number": number,
        "absent": NOT_DETECTED in codes(value),
        "name": str(value.get("text") or observation.get("code", {}).get("text", "")),
        "text": " ".join(notes),
        "place": str(observation.get("bodySite", {}).get("text", "")) if place else "",
        "measured": _measured(observation),
        "properties": _properties(observation, language),
        "certainty": f"{certainty}%" if certainty else "",
        "slice": str(place["sliceIndex"] + 1) if "sliceIndex" in place else "",
        "verdict": verdict(observation, language),
        "remarks": remarks(observation),
        "rejected": observation.get("status") == "entered-in-error",
    }


def _measured(observation: Json) -> list[str]:
    """Return each measure with its name, unit and interval; both axes as one size."""
    parts = components(observation)
    long, short = (parts.get(code, {}).get("valueQuantity") for code in (LONG, SHORT))
    lines = [f"{written(long)} × {shown(short)}"] if long and short else []
    for part in observation.get("component", []):
        either = LONG in codes(part["code"]) or SHORT in codes(part["code"])
        beside = SAID_BESIDE.intersection(codes(part["code"])) and not (either and not lines)
        if "valueQuantity" not in part or beside or _is_chance(part):
            continue
        within: Json = next(
            (e["valueRange"] for e in part.get("extension", []) if "valueRange" in e), {}
        )
        ends = f" ({written(within['low'])}–{written(within['high'])})" if within else ""
        lines.append(f"{_name(part)} {shown(part['valueQuantity'])}{ends}")
    return lines


def _properties(observation: Json, language: Language) -> list[str]:
    """Return what it is like, the chance of each kind it may be, and that it is urgent."""
    lines: list[str] = []
    for part in observation.get("component", []):
        value = part.get("valueCodeableConcept", {})
        if ACTIONABLE_1 in codes(value):
            lines.insert(0, words(language)["urgent"])
        elif _is_chance(part):
            lines.append(f"{_name(part)}: {shown(part['valueQuantity'])}")
        elif value.get("text") and not SAID_BESIDE.intersection(codes(part["code"])):
            lines.append(f"{_name(part)}: {value['text']}")
    return lines


def _is_chance(part: Json) -> bool:
    """Tell whether a component is the chance of a type that nothing calls the type."""
    return "valueQuantity" in part and any(c.startswith("type-") for c in codes(part["code"]))


def _name(part: Json) -> str:
    displays = [str(coding.get("display", "")) for coding in part["code"].get("coding", [])]
    return str(part["code"].get("text") or next(iter(displays), ""))


def images(bundle: Json, given: Mapping[str, bytes], found: Sequence[Row]) -> list[Row]:
    """Return the key images with their boxes, and the file each has in the document.

    An image without bytes, or whose bytes are no PNG, has an empty `file`.
    """
    drawn = _boxes(bundle, {row["id"]: row["number"] for row in found})
    made = []
    for number, media in enumerate(of_type(bundle, "Media"), start=1):
        binary = str(media.get("content", {}).get("url", "")).partition("/")[2]
        content = given.get(binary, b"")
        made.append(
            {
                "binary": binary,
                "file": f"image-{number}.png" if content.startswith(PNG) else "",
                "caption": str(media.get("content", {}).get("title", "")),
                "width": max(int(media.get("width", 0)), 1),
                "height": max(int(media.get("height", 0)), 1),
                "boxes": drawn.get(f"Media/{media['id']}", []),
            }
        )
    return made


def embedded(bundle: Json) -> dict[str, bytes]:
    """Return the PNG images that travel in the Bundle, by Binary id."""
    found: dict[str, bytes] = {}
    for binary in of_type(bundle, "Binary"):
        if binary.get("contentType") == "image/png":
            found[str(binary["id"])] = base64.b64decode(binary.get("data", ""))
    return found


def _boxes(bundle: Json, numbers: Mapping[str, int]) -> dict[str, list[Row]]:
    drawn: dict[str, list[Row]] = {}
    for observation in of_type(bundle, "Observation"):
        for box in extensions(observation, "pixel-box"):
            sides = {side: int(box[side]) for side in ("left", "top", "right", "bottom")}
            number = str(numbers.get(str(observation["id"]), ""))
            drawn.setdefault(box["media"]["reference"], []).append({"number": number, **sides})
    return drawn
