"""What the viewer shows of a case: stacks, radiographs and slides, and where findings lie. Pure.

Slices are ordered by where they lie in the patient, from the feet up, as findings count them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.gateway.dicomweb.attributes import first
from services.gateway.store.dicom import Instance, Series
from services.gateway.web.kinds import needs_verdict
from services.gateway.web.reading import extensions, parts_of

Json = Mapping[str, Any]

SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
ROWS, COLUMNS, SPACING = "00280010", "00280011", "00280030"
POSITION, ORIENTATION = "00200032", "00200037"
IMAGES_MAX = 20_000


def describe(series: Sequence[Series], bundle: Json) -> dict[str, Any]:
    """Return all that the viewer needs to know before it asks for a picture."""
    shown = [_series(one) for one in series if not one.made and any(_drawn(one))]
    overlays = [
        {"series": one.uid, "sop": each.uid}
        for one in series
        for each in one.instances
        if each.sop_class == SEGMENTATION
    ]
    return {
        "series": [one for one in shown if one["images"] or one.get("levels")],
        "findings": _findings(bundle),
        "overlays": overlays,
    }


def _drawn(series: Series) -> list[Instance]:
    return [one for one in series.instances if one.pixels]


def _series(series: Series) -> dict[str, Any]:
    said = series.attributes
    made: dict[str, Any] = {
        "uid": series.uid,
        "modality": first(said, "00080060"),
        "title": first(said, "0008103E").removesuffix(" [cleaned]"),
        "images": [],
    }
    if any(one.sop_class == SLIDE for one in series.instances):
        return made | {"kind": "slide", "levels": _levels(series)}
    images = _ordered(_drawn(series))
    kind = "stack" if len(images) > 1 or any(one.frames > 1 for one in images) else "image"
    for instance in images:
        # How many frames there are is what the file says of itself: it may be any number.
        frames = min(instance.frames, IMAGES_MAX - len(made["images"]))
        made["images"] += [_image(instance, frame) for frame in range(1, frames + 1)]
    return made | {"kind": kind}


def _image(instance: Instance, frame: int) -> dict[str, Any]:
    said = instance.attributes
    spacing = [_number(value) for value in said.get(SPACING, {}).get("Value", [])]
    return {
        "sop": instance.uid,
        "frame": frame,
        "rows": int(first(said, ROWS) or 0),
        "columns": int(first(said, COLUMNS) or 0),
        "mm": spacing if len(spacing) == 2 and all(spacing) else None,
        "colour": first(said, "00280004") in COLOURS,
        "inverted": first(said, "00280004") == "MONOCHROME1",
        "window": [_number(first(said, tag)) for tag in ("00281050", "00281051")],
    }


def _levels(series: Series) -> list[dict[str, Any]]:
    """Return the levels of a slide, the finest first; labels and overviews are left out."""
    levels = []
    for one in series.instances:
        kinds = one.attributes.get("00080008", {}).get("Value", [])
        across, down = (int(first(one.attributes, tag) or 0) for tag in ("00480006", "00480007"))
        if one.pixels and across and down and not {"LABEL", "OVERVIEW"} & set(kinds):
            levels.append(
                {
                    "sop": one.uid,
                    "width": across,
                    "height": down,
                    "tile": [int(first(one.attributes, tag) or 0) for tag in (COLUMNS, ROWS)],
                    "frames": one.frames,
                    "mm": _of_slide(one, across, down),
                }
            )
    return sorted(levels, key=lambda level: -int(level["width"]))


def _of_slide(instance: Instance, across: int, down: int) -> list[float] | None:
    """Return height and width of a pixel, mm, from the size of what was imaged."""
    wide, high = (_number(first(instance.attributes, tag)) for tag in ("00480001", "00480002"))
    return [high / down, wide / across] if wide > 0 and high > 0 else None


def _ordered(instances: Sequence[Instance]) -> list[Instance]:
    """Return slices from the feet up; as numbered where not all say where they lie."""
    places = [_along(one) for one in instances]
    if not all(place is not None for place in places):
        return list(instances)
    pairs = sorted(enumerate(places), key=lambda pair: (pair[1] or 0.0, pair[0]))
    return [instances[number] for number, _ in pairs]


def _along(instance: Instance) -> float | None:
    """Return where a slice lies along the normal of its stack, mm; upwards in the patient."""
    position, axes = (
        [_number(v) for v in instance.attributes.get(tag, {}).get("Value", [])]
        for tag in (POSITION, ORIENTATION)
    )
    if len(position) != 3 or len(axes) != 6:
        return None
    row, column = axes[:3], axes[3:]
    normal = [
        row[1] * column[2] - row[2] * column[1],
        row[2] * column[0] - row[0] * column[2],
        row[0] * column[1] - row[1] * column[0],
    ]
    widest = max(normal, key=abs)
    sign = -1.0 if widest < 0 else 1.0
    return sign * sum(a * b for a, b in zip(position, normal, strict=True))


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # whatever it is, float says
    except (TypeError, ValueError):
        return 0.0


def _findings(bundle: Json) -> list[dict[str, Any]]:
    """Return where each finding lies; what lies nowhere is left out."""
    found = []
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] != "Observation" or not needs_verdict(resource):
            continue
        places = [parts_of(extension) for extension in extensions(resource, "image-location")]
        if not places or not places[0].get("sopInstanceUid"):
            continue
        place = places[0]
        boxes = [parts_of(extension) for extension in extensions(resource, "pixel-box")]
        marks = [parts_of(extension) for extension in extensions(resource, "tracking")]
        box = boxes[0] if boxes else {}
        found.append(
            {
                "id": str(resource["id"]),
                "series": _uid(place.get("seriesUid")),
                "sop": _uid(place.get("sopInstanceUid")),
                "frame": int(place.get("frame") or 0),
                "first": place.get("firstSliceIndex"),
                "last": place.get("lastSliceIndex"),
                "box": [box[edge] for edge in ("left", "top", "right", "bottom")] if box else None,
                "overlay": _uid(marks[0].get("segmentationUid")) if marks else "",
                "segment": int(marks[0].get("segmentNumber") or 0) if marks else 0,
            }
        )
    return found


def _uid(value: object) -> str:
    return str(value or "").removeprefix("urn:oid:")
