"""Key images: one Media per rendered picture; the pixels stay in their blob."""

from __future__ import annotations

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.reporting import codes
from services.reporting.draft import Draft, Part, Topic
from services.reporting.elements import UID_SYSTEM, Json, compound, extension, rounded, uid
from services.reporting.ids import device_id
from services.reporting.words import has, say

BLOB_SYSTEM = "urn:dxmesh:blob"
"""Identifier system of a blob's name within the case."""


def compose(
    draft: Draft, part: Part, found: pb.ImagingFindings, topic: Topic
) -> dict[str, list[Json]]:
    """Add a Media for each key image; return the Media each finding is drawn on."""
    drawn_on: dict[str, list[Json]] = {}
    for image in found.key_images:
        media = _media(draft, part, found, image)
        topic.media.append(media)
        topic.images.append(image.blob)
        for finding_id in image.finding_ids:
            drawn_on.setdefault(finding_id, []).append(media)
    return drawn_on


def _media(draft: Draft, part: Part, found: pb.ImagingFindings, image: pb.KeyImage) -> Json:
    shown = [f for f in found.findings if f.finding_id in image.finding_ids]
    identifiers = [{"system": BLOB_SYSTEM, "value": image.blob.name}]
    if image.sop_instance_uid:
        identifiers.append({"system": UID_SYSTEM, "value": uid(image.sop_instance_uid)})
    media: Json = {
        "resourceType": "Media",
        "id": draft.id(part.part_id, "image", image.image_id),
        "meta": {"security": [codes.coding("aiast")]},
        "identifier": identifiers,
        "status": "completed",
        "type": codes.concept("media-image"),
        "subject": draft.patient,
        "height": image.height_px,
        "width": image.width_px,
        "content": {
            "contentType": "image/png",
            "url": f"Binary/{draft.id(part.part_id, 'image', image.image_id)}",
            "size": image.blob.size,
            "title": _title(draft, image, shown),
        },
    }
    if image.window_width_hu:
        media["extension"] = [
            compound(
                "window",
                extension("centerHu", valueDecimal=rounded(image.window_center_hu, 0)),
                extension("widthHu", valueDecimal=rounded(image.window_width_hu, 0)),
            )
        ]
    if modality := _modality(found, image.series_instance_uid):
        media["modality"] = codes.concept(f"modality-{modality}")
    functions = {finding.function for finding in shown}
    if len(functions) == 1 and codes.has(f"organ-{(organ := functions.pop())}"):
        media["bodySite"] = codes.concept(f"organ-{organ}")
    if part.models:
        media["device"] = {"reference": f"Device/{device_id(part.models[0])}"}
    return media


def _title(draft: Draft, image: pb.KeyImage, shown: list[pb.Finding]) -> str:
    """Return what a picture shows: its slice, or its role."""
    if shown and shown[0].place.HasField("center"):
        return say(draft.language, "key-image", slice=shown[0].place.slice_index + 1)
    key = f"key-image-{image.role}"
    return say(draft.language, key if has(key) else "key-image-plain")


def _modality(found: pb.ImagingFindings, series_uid: str) -> str:
    """Return the modality of a series, where we have a coding for it."""
    for use in found.series:
        if use.series_instance_uid == series_uid and codes.has(f"modality-{use.modality}"):
            return str(use.modality)
    return ""
