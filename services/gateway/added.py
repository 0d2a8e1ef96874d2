"""Findings that a physician added on the images, as part of the signed report. Pure.

Each is an Observation of the physician's own: no model said it. It says where it lies in the
hospital's UIDs and in pixels, so a viewer can show it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

Json = Any
Resource = dict[str, Json]

EXTENSION = "urn:dxmesh:fhir:StructureDefinition:"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
KINDS = "urn:dxmesh:added-finding"
SPACE = uuid.UUID("5a1d0b1e-52a0-4d0e-9df5-0a3f7c1d9b10")
NAMES = {
    "en": {
        "nodule": "Nodule", "haemorrhage": "Haemorrhage", "fracture": "Fracture",
        "tumour": "Tumour", "other": "Other finding",
    },
    "zh": {
        "nodule": "结节", "haemorrhage": "出血", "fracture": "骨折", "tumour": "肿瘤",
        "other": "其他所见",
    },
}  # fmt: skip
LINES = {
    "en": "The physician adds: {name}{text}.",
    "zh": "医师补充：{name}{text}。",
}


def line(entry: Mapping[str, Json], language: str) -> str:
    """Return the sentence of the conclusion for a finding that was added."""
    text = str(entry.get("text") or "").strip().rstrip(".。")
    joined = f"（{text}）" if language == "zh" and text else f" ({text})" if text else ""
    name = NAMES.get(language, NAMES["en"])[entry["kind"]]
    return LINES.get(language, LINES["en"]).format(name=name, text=joined)


def observations(
    entries: Sequence[Mapping[str, Json]],
    report: Mapping[str, Json],
    who: Mapping[str, str],
    signed_at: str,
    language: str,
) -> list[Resource]:
    """Return an Observation for each finding; a later signature updates the same ones."""
    return [_observation(entry, report, who, signed_at, language) for entry in entries]


def _observation(
    entry: Mapping[str, Json],
    report: Mapping[str, Json],
    who: Mapping[str, str],
    signed_at: str,
    language: str,
) -> Resource:
    name = NAMES.get(language, NAMES["en"])[entry["kind"]]
    coding = [{"system": KINDS, "code": entry["kind"]}]
    made: Resource = {
        "resourceType": "Observation",
        "id": str(uuid.uuid5(SPACE, f"{report['id']}/{entry['id']}")),
        "extension": _where(entry["marking"]),
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": "imaging", "display": "Imaging"}]}],
        "code": {"coding": coding, "text": name},
        "performer": [dict(who)],
        "issued": signed_at,
        "valueString": str(entry.get("text") or name),
    }
    for shared in ("language", "subject", "effectiveDateTime"):
        if shared in report:
            made[shared] = report[shared]
    return made


def _where(marking: Mapping[str, Json]) -> list[Resource]:
    place = [
        {"url": "seriesUid", "valueUri": f"urn:oid:{marking['series']}"},
        {"url": "sopInstanceUid", "valueUri": f"urn:oid:{marking['sop']}"},
    ]
    if marking.get("frame"):
        place.append({"url": "frame", "valuePositiveInt": marking["frame"]})
    edges = zip(("left", "top", "right", "bottom"), marking["box"], strict=True)
    shape = [{"url": "shape", "valueCode": marking["shape"]}]
    shape += [{"url": edge, "valueDecimal": value} for edge, value in edges]
    return [
        {"url": f"{EXTENSION}image-location", "extension": place},
        {"url": f"{EXTENSION}marking", "extension": shape},
    ]
