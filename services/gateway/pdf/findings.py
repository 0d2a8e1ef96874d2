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
    written,
)
from services.gateway.pdf.words import Language, words

LONG, SHORT, VOLUME = "103339001", "103340004", "118565006"
ATTENUATION, CERTAINTY = "112031", "111012"
NOT_DETECTED = "260415000"
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
    parts = components(observation)
    measured = {code: written(part.get("valueQuantity")) for code, part in parts.items()}
    place = next(extensions(observation, "image-location"), {})
    absent = NOT_DETECTED in codes(observation.get("valueCodeableConcept", {}))
    notes = [str(n["text"]) for n in observation.get("note", []) if "authorReference" not in n]
    certainty = measured.get(CERTAINTY, "")
    return {
        "id": str(observation["id"]),
        "number": number,
        "absent": absent,
        "text": " ".join(notes),
        "place": str(observation.get("bodySite", {}).get("text", "")),
        "size": " × ".join(filter(None, (measured.get(LONG), measured.get(SHORT)))),
        "volume": measured.get(VOLUME, ""),
        "hu": measured.get(ATTENUATION, ""),
        "consistency": str(
            parts.get("consistency", {}).get("valueCodeableConcept", {}).get("text", "")
        ),
        "certainty": f"{certainty}%" if certainty else "",
        "slice": str(place["sliceIndex"] + 1) if "sliceIndex" in place else "",
        "verdict": verdict(observation, language),
        "remarks": remarks(observation),
        "rejected": observation.get("status") == "entered-in-error",
    }


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
