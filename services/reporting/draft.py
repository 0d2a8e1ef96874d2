"""What a version of a report is composed from, and what each topic adds to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_deidentified_pb2 import SetAside
from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.imaging.v1.imaging_findings_pb2 import ImagingFindings
from dxmesh.labs.v1.lab_findings_pb2 import LabFindings
from dxmesh.nlp.v1.note_findings_pb2 import NoteFindings

from services.reporting import codes, ids
from services.reporting.elements import Json, reference
from services.reporting.words import Language

Findings = ImagingFindings | LabFindings | NoteFindings


class Kind(StrEnum):
    """Which service analyses a part."""

    IMAGING = "imaging"
    LABS = "labs"
    NOTES = "nlp"
    TOGETHER = "together"
    """No part of a case: what follows from all of them, made here."""


class Outcome(StrEnum):
    """Where a part stands in a version of the report."""

    COMPLETED = "completed"
    DECLINED = "declined"
    FAILED = "failed"
    AWAITED = "awaited"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the case; `findings` is there when completed, `refusal` when refused."""

    part_id: str
    kind: Kind
    outcome: Outcome
    findings: Findings | None = None
    refusal: Refusal | None = None
    models: Sequence[ModelUse] = ()
    started: datetime | None = None
    finished: datetime | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """One version about to be composed; nothing in it identifies the patient."""

    case_id: str
    subject: str
    """Pseudonym of the patient."""
    language: Language
    version: int
    received: datetime
    due: datetime
    composed: datetime
    parts: Sequence[Part]
    set_aside: Sequence[SetAside] = ()
    deidentification: tuple[datetime, datetime] | None = None

    @property
    def patient(self) -> Json:
        """Reference to the pseudonymous patient; the gateway puts the true one in its place."""
        return {"reference": f"Patient/{self.subject}"}

    def id(self, *local: str) -> str:
        """Return a resource id of this case."""
        return ids.resource_id(self.case_id, *local)

    def observation(self, part: Part, local: str, category: str, *, review: bool = False) -> Json:
        """Return the beginning of an Observation that a part's first model made."""
        meta: Json = {"security": [codes.coding("aiast")]}
        if review:
            meta["tag"] = [codes.REVIEW_TAG]
        made: Json = {
            "resourceType": "Observation",
            "id": self.id(part.part_id, local),
            "meta": meta,
            "status": "preliminary",
            "category": [codes.concept(category)],
            "subject": self.patient,
        }
        if part.models:
            made["device"] = {"reference": f"Device/{ids.device_id(part.models[0])}"}
        return made


@dataclass(slots=True)
class Topic:
    """What one part adds to the report."""

    observations: list[Json] = field(default_factory=list)
    statements: list[Json] = field(default_factory=list)
    """What rests on Observations of the part: RiskAssessments, DetectedIssues, family history."""
    media: list[Json] = field(default_factory=list)
    documents: list[Json] = field(default_factory=list)
    """DocumentReferences and Binaries."""
    objects: list[Json] = field(default_factory=list)
    """DocumentReferences of DICOM objects."""
    made_by: dict[str, list[Json]] = field(default_factory=dict)
    """Observations by the name of a model, where it is known which model made which."""
    files: list[BlobRef] = field(default_factory=list)
    """The DICOM objects."""
    images: list[BlobRef] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    """Lines that stand before everything else in the conclusion."""
    conclusion: list[str] = field(default_factory=list)
    """Lines for the conclusion, most important first."""
    conclusion_codes: list[Json] = field(default_factory=list)

    def add(self, observation: Json) -> Json:
        """Keep an Observation; return a Reference to it."""
        self.observations.append(observation)
        return reference(observation)
