"""One version of the report as a FHIR R4 collection Bundle.

A pure function of its draft: composing a version again gives the same bytes, so a crash
between storing and announcing it changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.imaging.v1.imaging_findings_pb2 import ImagingFindings
from dxmesh.labs.v1.lab_findings_pb2 import LabFindings
from dxmesh.nlp.v1.note_findings_pb2 import NoteFindings

from services.reporting import (
    codes,
    imaging,
    joint,
    labs,
    notes,
    outcomes,
    profiles,
    provenance,
    report,
)
from services.reporting.draft import Draft, Kind, Outcome, Part, Topic
from services.reporting.elements import Json, instant
from services.reporting.ids import device_id
from services.reporting.words import TAGS, say

BASE = "https://dxmesh.invalid/fhir"
"""Base of every fullUrl, so that relative references resolve; never a place (RFC 2606)."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A version ready to be stored."""

    bundle: Json
    images: list[BlobRef]
    objects: list[BlobRef]
    """DICOM objects."""
    missing_parts: list[str]
    findings: dict[str, ModelUse]
    """Observation ids that need a verdict, each with the model that made it."""
    joint: list[Json]
    """Entries of the Bundle that follow from the parts together."""


def compose(draft: Draft, *, together: bool = True) -> Composed:
    """Return the Bundle of a version and what its announcement names.

    together : with what follows from the parts together, suggestions above all
    """
    parts = list(draft.parts)
    topics = [_topic(draft, part) for part in parts]
    if together:
        part, topic = joint.compose(draft, topics)
        if topic.observations:
            parts, topics = [*parts, part], [*topics, topic]
    made = report.compose(draft, topics, _conclusion(draft, parts, topics))
    resources: list[Json] = [made]
    resources += [each for topic in topics for each in topic.observations]
    resources += [each for topic in topics for each in topic.statements]
    resources += [each for topic in topics for each in topic.media]
    resources += [each for topic in topics for each in topic.documents]
    resources += [each for topic in topics for each in topic.objects]
    resources += provenance.devices(parts)
    for part, topic in zip(parts, topics, strict=True):
        resources += provenance.of_part(draft, part, topic, made)
    joined = topics[len(draft.parts) :]
    return Composed(
        bundle=_bundle(draft, resources),
        joint=[_entry(each) for t in joined for each in (*t.observations, *t.statements)],
        images=[image for topic in topics for image in topic.images],
        objects=[file for topic in topics for file in topic.files],
        missing_parts=[p.part_id for p in draft.parts if p.outcome is Outcome.AWAITED],
        findings=_to_review(parts, topics),
    )


def _topic(draft: Draft, part: Part) -> Topic:
    match part.findings:
        case ImagingFindings():
            return imaging.compose(draft, part, part.findings)
        case LabFindings():
            return labs.compose(draft, part, part.findings)
        case NoteFindings():
            return notes.compose(draft, part, part.findings)
        case None:
            return Topic()


def _conclusion(draft: Draft, parts: Sequence[Part], topics: Sequence[Topic]) -> str:
    """For reference only, alerts, what is missing; then imaging, results, notes, and together."""
    lines = [say(draft.language, "for-reference")]
    lines += [alert for topic in topics for alert in topic.alerts]
    lines += outcomes.sentences(draft)
    for kind in Kind:
        for part, topic in zip(parts, topics, strict=True):
            if part.kind is kind and topic.conclusion:
                title = say(draft.language, kind.value)
                first, *rest = topic.conclusion
                lines.append(say(draft.language, "titled", title=title, body=first))
                lines += rest
    return "\n".join(lines)


def _to_review(parts: Sequence[Part], topics: Sequence[Topic]) -> dict[str, ModelUse]:
    return {
        each["id"]: _model(part, each)
        for part, topic in zip(parts, topics, strict=True)
        for each in topic.observations
        if codes.REVIEW_TAG in each["meta"].get("tag", [])
    }


def _model(part: Part, observation: Json) -> ModelUse:
    """Return the model that an Observation names as its device."""
    named = observation.get("device", {}).get("reference", "")
    models = {f"Device/{device_id(model)}": model for model in part.models}
    return models.get(named) or ModelUse()


def _bundle(draft: Draft, resources: Sequence[Json]) -> Json:
    return {
        "resourceType": "Bundle",
        "id": draft.id("bundle"),
        "language": TAGS[draft.language],
        "identifier": {
            "system": "urn:dxmesh:report",
            "value": f"{draft.case_id}/{draft.version}",
        },
        "type": "collection",
        "timestamp": instant(draft.composed),
        "entry": [_entry(each) for each in resources],
    }


def _entry(resource: Json) -> Json:
    return {
        "fullUrl": f"{BASE}/{resource['resourceType']}/{resource['id']}",
        "resource": profiles.claimed(resource),
    }
