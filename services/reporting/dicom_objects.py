"""DICOM objects made of the findings: one DocumentReference each; the bytes stay in their blob."""

from __future__ import annotations

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.reporting import codes
from services.reporting.draft import Draft, Part, Topic
from services.reporting.elements import (
    UID_SYSTEM,
    Json,
    compound,
    extension,
    instant,
    placeholder,
    uid,
)
from services.reporting.ids import device_id
from services.reporting.key_images import BLOB_SYSTEM
from services.reporting.words import term

DICOM = "application/dicom"


def compose(draft: Draft, part: Part, found: pb.ImagingFindings, topic: Topic) -> None:
    """Add a DocumentReference for each object of the part."""
    for each in found.derived:
        topic.objects.append(_document(draft, part, each))
        topic.files.append(each.blob)


def _document(draft: Draft, part: Part, each: pb.DerivedObject) -> Json:
    title = term(draft.language, f"dicom-{each.modality}")
    own = {"system": codes.VALUES, "code": each.modality}
    made: Json = {
        "resourceType": "DocumentReference",
        "id": draft.id(part.part_id, "dicom", each.sop_instance_uid),
        "meta": {"security": [codes.coding("aiast")]},
        "extension": [
            compound(
                "dicom-object",
                extension("studyUid", valueUri=uid(each.study_instance_uid)),
                extension("seriesUid", valueUri=uid(each.series_instance_uid)),
                extension("sopInstanceUid", valueUri=uid(each.sop_instance_uid)),
                extension("sopClassUid", valueUri=uid(each.sop_class_uid)),
                extension("sourceSeriesUid", valueUri=uid(each.source_series_instance_uid)),
                extension("modality", valueCode=each.modality),
            )
        ],
        "masterIdentifier": {"system": UID_SYSTEM, "value": uid(each.sop_instance_uid)},
        "identifier": [{"system": BLOB_SYSTEM, "value": each.blob.name}],
        "status": "current",
        "docStatus": "preliminary",
        "type": codes.named(f"modality-{each.modality}", own, title),
        "subject": draft.patient,
        "date": instant(draft.composed),
        "content": [
            {
                "attachment": {"contentType": DICOM, "title": title},
                "format": {"system": UID_SYSTEM, "code": uid(each.sop_class_uid)},
            }
        ],
        "context": {
            "related": [placeholder("ImagingStudy", uid(each.study_instance_uid), UID_SYSTEM)]
        },
    }
    if part.models:
        made["author"] = [{"reference": f"Device/{device_id(model)}"} for model in part.models]
    return made
