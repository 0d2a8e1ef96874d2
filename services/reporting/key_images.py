"""Key images: one Media per rendered slice; the pixels stay in their blob."""

from __future__ import annotations

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.reporting import codes
from services.reporting.draft import Draft, Part, Topic
from services.reporting.elements import UID_SYSTEM, Json, compound, extension, rounded, uid
from services.reporting.ids import device_id
from services.reporting.words import say

BLOB_SYSTEM = "urn:dxmesh:blob"
"""Identifier system of a blob's name within the case."""


def compose(
    draft: Draft, part: Part, found: pb.ImagingFindings, topic: Topic
) -> dict[str, list[Json]]:
    """Add a Media for each key image; return the Media each finding is drawn on."""
    drawn_on: dict[str, list[Json]] = {}
    slices = {nodule.sop_instance_uid: nodule.slice_index + 1 for nodule in found.nodules}
    for image in found.key_images:
        media = _media(draft, part, image, slices.get(image.sop_instance_uid))
        topic.media.append(media)
        topic.images.append(image.blob)
        for finding_id in image.finding_ids:
            drawn_on.setdefault(finding_id, []).append(media)
    return drawn_on


def _media(draft: Draft, part: Part, image: pb.KeyImage, number: int | None) -> Json:
    key = "key-image" if number else "key-image-plain"
    media: Json = {
        "resourceType": "Media",
        "id": draft.id(part.part_id, "image", image.image_id),
        "meta": {"security": [codes.coding("aiast")]},
        "identifier": [
            {"system": BLOB_SYSTEM, "value": image.blob.name},
            {"system": UID_SYSTEM, "value": uid(image.sop_instance_uid)},
        ],
        "extension": [
            compound(
                "window",
                extension("centerHu", valueDecimal=rounded(image.window_center_hu, 0)),
                extension("widthHu", valueDecimal=rounded(image.window_width_hu, 0)),
            )
        ],
        "status": "completed",
        "type": codes.concept("media-image"),
        "modality": codes.concept("ct"),
        "subject": draft.patient,
        "bodySite": codes.concept("lung"),
        "height": image.height_px,
        "width": image.width_px,
        "content": {
            "contentType": "image/png",
            "url": f"Binary/{draft.id(part.part_id, 'image', image.image_id)}",
            "size": image.blob.size,
            "title": say(draft.language, key, slice=number),
        },
    }
    if part.models:
        media["device"] = {"reference": f"Device/{device_id(part.models[0])}"}
    return media
