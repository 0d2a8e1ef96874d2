"""The imaging part: one Observation per nodule, or one that says none was found."""

from __future__ import annotations

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.reporting import codes, key_images
from services.reporting.draft import Draft, Part, Topic
from services.reporting.elements import (
    Json,
    compound,
    extension,
    quantity,
    reference,
    rounded,
    uid,
)
from services.reporting.words import say, why

HU = "[hnsf'U]"
"""UCUM's Hounsfield unit."""
COMPONENTS = "urn:dxmesh:observation-component"
_SIDES = {pb.LATERALITY_LEFT: "left", pb.LATERALITY_RIGHT: "right"}


def compose(draft: Draft, part: Part, found: pb.ImagingFindings) -> Topic:
    """Return Observations, key images and conclusion of an imaging part."""
    topic = Topic()
    images = key_images.compose(draft, part, found, topic)
    if found.nodules:
        _nodules(draft, part, found, images, topic)
    elif any(series.read for series in found.series):
        _none_found(draft, part, found, topic)
    else:
        topic.conclusion.append(say(draft.language, "series-none-read"))
    for series in found.series:
        if not series.read:
            facts = {
                "modality": series.modality or "?",
                "slices": series.slices,
                "why": why(draft.language, series.refusal),
            }
            topic.conclusion.append(say(draft.language, "series-not-read", **facts))
    return topic


def _nodules(
    draft: Draft,
    part: Part,
    found: pb.ImagingFindings,
    images: dict[str, list[Json]],
    topic: Topic,
) -> None:
    topic.conclusion.append(say(draft.language, "nodules-found", count=len(found.nodules)))
    for number, nodule in enumerate(found.nodules, start=1):
        line = _line(draft, number, nodule)
        observation = draft.observation(
            part, nodule.finding_id, "category-imaging", review=True
        ) | {
            "code": codes.concept("finding"),
            "valueCodeableConcept": codes.concept(
                "solitary-nodule" if len(found.nodules) == 1 else "nodule",
                say(draft.language, "nodule-name", number=number),
            ),
            "bodySite": codes.concept("lung", _place(draft, nodule)),
            "note": [{"text": line}],
            "component": _components(draft, nodule),
            "extension": [_location(nodule), *_boxes(nodule, images.get(nodule.finding_id, []))],
        }
        topic.add(observation)
        topic.conclusion.append(line)
    topic.conclusion.append(say(draft.language, "looked-for-only"))
    several = len(found.nodules) > 1
    topic.conclusion_codes.append(
        codes.concept("multiple-nodules" if several else "solitary-nodule")
    )


def _none_found(draft: Draft, part: Part, found: pb.ImagingFindings, topic: Topic) -> None:
    threshold = rounded(found.operating_point * 100, 1)
    line = say(draft.language, "none-found", threshold=threshold)
    absent = codes.concept("not-detected")
    displays = codes.snomed_displays()
    observation = draft.observation(part, "none-found", "category-imaging", review=True) | {
        "code": codes.concept("finding"),
        "valueCodeableConcept": codes.concept(
            "not-detected", say(draft.language, "none-found-name")
        ),
        "bodySite": codes.concept("lung", say(draft.language, "lung").split("（")[0]),
        "note": [{"text": line}],
    }
    looked_for = [
        {
            "code": {"coding": [_snomed(code, displays)]},
            "valueCodeableConcept": absent,
        }
        for code in found.looked_for
    ]
    if looked_for:
        observation["component"] = looked_for
    topic.add(observation)
    topic.conclusion.append(line)


def _snomed(code: str, displays: dict[str, str]) -> Json:
    display = {"display": displays[code]} if code in displays else {}
    return {"system": codes.SNOMED, "code": code} | display


def _line(draft: Draft, number: int, nodule: pb.Nodule) -> str:
    return say(
        draft.language,
        "nodule-line",
        number=number,
        place=_place(draft, nodule),
        long=rounded(nodule.long_axis_mm, 1),
        short=rounded(nodule.short_axis_mm, 1),
        volume=rounded(nodule.volume_mm3, 0),
        hu=rounded(nodule.mean_hu, 0),
        consistency=say(draft.language, f"consistency-{nodule.consistency}"),
        certainty=rounded(nodule.probability * 100, 1),
        slice=nodule.slice_index + 1,
    )


def _place(draft: Draft, nodule: pb.Nodule) -> str:
    side = _SIDES.get(nodule.laterality)
    name = say(draft.language, f"{side}-lung" if side else "lung")
    return say(draft.language, f"zone-{nodule.zone}", side=name)


def _components(draft: Draft, nodule: pb.Nodule) -> list[Json]:
    language = draft.language
    measured = [
        ("long-axis", rounded(nodule.long_axis_mm, 1), "mm", "mm"),
        ("short-axis", rounded(nodule.short_axis_mm, 1), "mm", "mm"),
        ("volume", rounded(nodule.volume_mm3, 0), "mm3", "mm³"),
        ("attenuation", rounded(nodule.mean_hu, 0), HU, "HU"),
        ("certainty", rounded(nodule.probability * 100, 1), "%", "%"),
    ]
    components: list[Json] = [
        {
            "code": codes.concept(key, say(language, f"name-{key}")),
            "valueQuantity": quantity(value, ucum, unit),
        }
        for key, value, ucum, unit in measured
    ]
    side = _SIDES.get(nodule.laterality)
    if side:
        components.append(
            {
                "code": codes.concept("laterality", say(language, "name-laterality")),
                "valueCodeableConcept": codes.concept(side, say(language, f"{side}-lung")),
            }
        )
    if nodule.consistency:
        value = say(language, f"consistency-{nodule.consistency}")
        components.append(
            _own(language_name=say(language, "name-consistency"), code="consistency", text=value)
        )
    if nodule.zone:
        components.append(
            _own(language_name=say(language, "name-zone"), code="zone", text=_place(draft, nodule))
        )
    return components


def _own(*, language_name: str, code: str, text: str) -> Json:
    """Return a component that no standard code names; its code is ours."""
    return {
        "code": {"coding": [{"system": COMPONENTS, "code": code}], "text": language_name},
        "valueCodeableConcept": {"text": text},
    }


def _location(nodule: pb.Nodule) -> Json:
    """Where the finding lies: image, slices from 0 at the feet, centre in mm (LPS)."""
    center = nodule.center
    return compound(
        "image-location",
        extension("seriesUid", valueUri=uid(nodule.series_instance_uid)),
        extension("sopInstanceUid", valueUri=uid(nodule.sop_instance_uid)),
        extension("sliceIndex", valueInteger=nodule.slice_index),
        extension("firstSliceIndex", valueInteger=nodule.first_slice_index),
        extension("lastSliceIndex", valueInteger=nodule.last_slice_index),
        extension("xMm", valueDecimal=rounded(center.x, 2)),
        extension("yMm", valueDecimal=rounded(center.y, 2)),
        extension("zMm", valueDecimal=rounded(center.z, 2)),
    )


def _boxes(nodule: pb.Nodule, images: list[Json]) -> list[Json]:
    """The finding's box on each key image it is drawn on, pixels of that image."""
    box = nodule.box
    return [
        compound(
            "pixel-box",
            extension("media", valueReference=reference(media)),
            extension("left", valueInteger=box.left),
            extension("top", valueInteger=box.top),
            extension("right", valueInteger=box.right),
            extension("bottom", valueInteger=box.bottom),
        )
        for media in images
    ]
