"""The submission Bundle of what was found. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from services.cli.content import Content, Instance
from services.kernel import fhir

SUBMISSION = "urn:dxmesh:submission"
LANGUAGES = {"zh": "zh-CN", "en": "en"}
NOTE_TYPE = {"coding": [{"system": "http://loinc.org", "code": "34109-9", "display": "Note"}]}


def build(content: Content, *, language: str = "", priority: str = "", attempt: str = "") -> bytes:
    """Return the transaction Bundle, JSON, with notes and ImagingStudies made of the files.

    The same content in the same language has the same `Bundle.identifier`, so that sending
    it twice makes one case, unless another `attempt` is named.
    """
    resources = [dict(resource) for resource in content.resources]
    patient = next((r for r in resources if r.get("resourceType") == "Patient"), {})
    subject = {"reference": f"Patient/{patient['id']}"} if patient.get("id") else {}
    for resource in resources:
        if priority and resource.get("resourceType") == "ServiceRequest":
            resource["priority"] = priority
    resources += [_note(text, subject) for text in content.notes]
    resources += _studies(content.instances, subject)
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "identifier": {
            "system": SUBMISSION,
            "value": "-".join(
                part for part in (content.digest, language, priority, attempt) if part
            ),
        },
        "type": "transaction",
        "entry": [
            {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}
            for resource in resources
        ],
    }
    if language:
        bundle["language"] = LANGUAGES[language]
    return fhir.dump(bundle)


def _note(text: bytes, subject: dict[str, str]) -> dict[str, Any]:
    attachment = {"contentType": "text/plain", "data": base64.b64encode(text).decode()}
    resource: dict[str, Any] = {
        "resourceType": "DocumentReference",
        "id": f"note-{_short(text)}",
        "status": "current",
        "type": NOTE_TYPE,
        "content": [{"attachment": attachment}],
    }
    return resource | ({"subject": subject} if subject else {})


def _studies(instances: Sequence[Instance], subject: dict[str, str]) -> list[dict[str, Any]]:
    studies = _grouped(instances, "study")
    return [
        {
            "resourceType": "ImagingStudy",
            "id": f"study-{_short(uid.encode())}",
            "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}],
            "status": "available",
            "subject": subject,
            "numberOfInstances": len(members),
        }
        | _series(members)
        for uid, members in studies.items()
    ]


def _series(members: Sequence[Instance]) -> dict[str, Any]:
    """Return what is known of a study's series; those of a slide are made when it arrives."""
    modality = "http://dicom.nema.org/resources/ontology/DCM"
    if not all(each.series for each in members):
        return {"modality": [{"system": modality, "code": members[0].modality}]}
    grouped = _grouped(members, "series")
    return {
        "numberOfSeries": len(grouped),
        "series": [
            {
                "uid": series,
                "modality": {"system": modality, "code": parts[0].modality or "OT"},
                "numberOfInstances": len(parts),
            }
            for series, parts in grouped.items()
        ],
    }


def _short(content: bytes) -> str:
    """Return an id for a resource made here: of another content, another id."""
    return hashlib.sha256(content).hexdigest()[:16]


def _grouped(instances: Iterable[Instance], by: str) -> dict[str, list[Instance]]:
    found: dict[str, list[Instance]] = {}
    for each in instances:
        found.setdefault(getattr(each, by), []).append(each)
    return found
