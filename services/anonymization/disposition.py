"""What happens to an instance's pixels: kept, masked where text is known to be, or set aside.

Decided from the instance as received, because the rules go by device. Text recognition is
not used: it finds 60-80 % of burned-in strings, and the rest would pass. What is not known
to be clean is set aside for a person to look at.

Sources: DICOM PS3.3 C.7.6.1.1.2 (Image Type), C.8.5.5 (US regions), C.7.6.1.1.5 (Burned In
Annotation); PS3.15 E.3.1 (Clean Pixel Data Option).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from pydicom.dataset import Dataset

from services.kernel.errors import MeshError

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels."""


class InstanceSetAside(MeshError):
    """An instance that is not passed on to analysis; its reason says why."""

    issue = "suppressed"
    grpc_status = "FAILED_PRECONDITION"


@dataclass(frozen=True, slots=True)
class Masks:
    """Where pixels are blanked: inside the boxes, or everywhere but inside them."""

    boxes: tuple[Box, ...]
    outside: bool = False


PIXELS = 0x7FE00010
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ENCAPSULATED = "1.2.840.10008.5.1.4.1.1.104."
ULTRASOUND = frozenset(("US", "IVUS"))
CAPTURE_TYPES = frozenset(("SCREEN SAVE", "SCREENSHOT", "SCREEN", "SCREEN CAPTURE"))
TISSUE_REGION = 1
"""Region Spatial Format 1: two-dimensional tissue or flow (PS3.3 C.8.5.5.1.1)."""


def _load() -> list[dict[str, Any]]:
    text = resources.files(__package__).joinpath("burned_in.json").read_text("utf-8")
    return list(json.loads(text)["rules"])


RULES = _load()


def masks(dataset: Dataset) -> Masks | None:
    """Return where to blank the pixels of an instance as received; None: nowhere.

    Raises
    ------
    InstanceSetAside
        No image, or burned-in text may be anywhere in it.
    """
    if str(dataset.get("SOPClassUID", "")).startswith(ENCAPSULATED):
        raise InstanceSetAside("a document inside DICOM is not analysed", reason="DOCUMENT")
    if PIXELS not in dataset:
        raise InstanceSetAside("an instance holds no image", reason="NOT_AN_IMAGE")
    regions = _regions(dataset)
    if regions:
        return Masks(regions, outside=True)
    boxes = _device_boxes(dataset)
    if boxes:
        return Masks(boxes)
    suspicion = _suspicion(dataset)
    if suspicion:
        reason, message = suspicion
        raise InstanceSetAside(message, reason=reason)
    return None


def _suspicion(dataset: Dataset) -> tuple[str, str] | None:
    stated = _upper(dataset.get("BurnedInAnnotation"))
    if stated == "YES":
        return "BURNED_IN_TEXT", "an image has burned-in text at places no rule knows"
    if CAPTURE_TYPES & set(_upper(dataset.get("ImageType")).split("\\")):
        return "SCREEN_CAPTURE", "a screen capture may show a name anywhere"
    if stated == "NO":
        return None
    uid = str(dataset.get("SOPClassUID", ""))
    if uid == SECONDARY_CAPTURE or uid.startswith(SECONDARY_CAPTURE + "."):
        return "SECONDARY_CAPTURE", "a secondary capture does not say that no text is burned in"
    if _upper(dataset.get("Modality")) in ULTRASOUND:
        return "ULTRASOUND_WITHOUT_REGIONS", "an ultrasound image does not say where its text is"
    return None


def _regions(dataset: Dataset) -> tuple[Box, ...]:
    """Return the tissue regions of an ultrasound image; text stands outside of them."""
    if _upper(dataset.get("Modality")) not in ULTRASOUND:
        return ()
    found: list[Box] = []
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    for item in dataset.get("SequenceOfUltrasoundRegions") or ():
        left, top = item.get("RegionLocationMinX0"), item.get("RegionLocationMinY0")
        right, bottom = item.get("RegionLocationMaxX1"), item.get("RegionLocationMaxY1")
        if item.get("RegionSpatialFormat") != TISSUE_REGION:
            continue
        if None in (left, top, right, bottom) or not (right > left and bottom > top):
            continue
        if right >= columns or bottom >= rows:
            return ()  # they describe an image of another size: nothing is known of this one
        found.append((int(left), int(top), int(right - left + 1), int(bottom - top + 1)))
    return tuple(found)


def _device_boxes(dataset: Dataset) -> tuple[Box, ...]:
    """Return the boxes of every rule that fits the device and the image."""
    return tuple(tuple(box) for rule in RULES if _fits(rule, dataset) for box in rule["boxes"])


def _fits(rule: Mapping[str, Any], dataset: Dataset) -> bool:
    for key, keyword in (("rows", "Rows"), ("columns", "Columns")):
        if key in rule and dataset.get(keyword) != rule[key]:
            return False
    if _upper(dataset.get("Modality")) != rule["modality"]:
        return False
    texts = {
        "manufacturer": "Manufacturer",
        "model": "ManufacturerModelName",
        "series": "SeriesDescription",
        "image_type": "ImageType",
    }
    return all(
        rule[key] in _upper(dataset.get(keyword)) for key, keyword in texts.items() if key in rule
    )


def _upper(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.upper()
    return "\\".join(map(str, value)).upper() if hasattr(value, "__iter__") else str(value).upper()
