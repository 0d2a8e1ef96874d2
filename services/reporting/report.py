"""The DiagnosticReport itself: `partial` until a physician signs, labelled AIAST.

R4: `partial` is "may be incomplete or unverified", so unread AI output is never more.
"""

from __future__ import annotations

from collections.abc import Sequence

from dxmesh.imaging.v1.imaging_findings_pb2 import ImagingFindings

from services.reporting import codes, outcomes
from services.reporting.draft import Draft, Kind, Topic
from services.reporting.elements import (
    INLINE_LABEL,
    UID_SYSTEM,
    Json,
    extension,
    instant,
    placeholder,
    reference,
    uid,
    when,
)
from services.reporting.words import TAGS, say

CASE_SYSTEM = "urn:dxmesh:case"
ORDER = "service-request"
"""Value of the placeholder that stands for the order."""

_CATEGORY = {Kind.IMAGING: "report-rad", Kind.LABS: "report-lab", Kind.NOTES: "report-other"}
_CODE = {Kind.IMAGING: "code-imaging", Kind.LABS: "code-labs", Kind.NOTES: "code-notes"}


def compose(draft: Draft, topics: Sequence[Topic], conclusion: str) -> Json:
    """Return the DiagnosticReport over what the topics hold."""
    kinds = [kind for kind in Kind if any(part.kind is kind for part in draft.parts)]
    made: Json = {
        "resourceType": "DiagnosticReport",
        "id": draft.id("report"),
        "meta": {"security": [codes.coding("aiast"), codes.coding("inline-labels")]},
        "language": TAGS[draft.language],
        "extension": [
            extension("report-version", valuePositiveInt=draft.version),
            *(outcomes.part_extension(draft, part) for part in draft.parts),
            *(outcomes.set_aside_extension(draft, item) for item in draft.set_aside),
            *outcomes.step_extensions(draft),
        ],
        "identifier": [{"system": CASE_SYSTEM, "value": draft.case_id}],
        "basedOn": [placeholder("ServiceRequest", ORDER)],
        "status": "partial",
        "category": [codes.concept(_CATEGORY[kind]) for kind in kinds]
        or [codes.concept("report-other")],
        "code": codes.concept(
            _CODE[kinds[0]] if kinds else "code-notes", say(draft.language, "report-title")
        ),
        "subject": draft.patient,
        "issued": instant(draft.composed),
        "conclusion": conclusion,
        "_conclusion": {"extension": [_label()]},
    }
    made |= _effective(topics)
    _attach(made, draft, topics)
    return made


def _attach(made: Json, draft: Draft, topics: Sequence[Topic]) -> None:
    """Add what may be empty: an empty list is not FHIR."""
    lists = {
        "result": [reference(each) for topic in topics for each in topic.observations],
        "imagingStudy": _studies(draft),
        "media": [
            {"comment": media["content"]["title"], "link": reference(media)}
            for topic in topics
            for media in topic.media
        ],
        "conclusionCode": [
            code | {"extension": [_label()]} for topic in topics for code in topic.conclusion_codes
        ],
    }
    made |= {name: items for name, items in lists.items() if items}


def _studies(draft: Draft) -> list[Json]:
    found = [part.findings for part in draft.parts if isinstance(part.findings, ImagingFindings)]
    studies = dict.fromkeys(series.study_instance_uid for each in found for series in each.series)
    return [placeholder("ImagingStudy", uid(study), UID_SYSTEM) for study in studies if study]


def _effective(topics: Sequence[Topic]) -> Json:
    """The time the measured values are of; absent when no value states one."""
    times = [
        each["effectiveDateTime"]
        for topic in topics
        for each in topic.observations
        if "effectiveDateTime" in each
    ]
    return {"effectiveDateTime": max(times, key=when)} if times else {}


def _label() -> Json:
    return {"url": INLINE_LABEL, "valueCoding": codes.coding("aiast")}
