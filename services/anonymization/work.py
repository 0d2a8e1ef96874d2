"""One case while it is de-identified: what was read, what was made, what was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_deidentified_pb2 import ExpectedPart, SetAside
from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_LABS, PartKind
from dxmesh.event.v1.consent_withdrawn_pb2 import ConsentWithdrawn
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.event.v1.subject_forgotten_pb2 import SubjectForgotten
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeInstance, IntakeManifest, IntakeStudy
from google.protobuf.timestamp_pb2 import Timestamp

from services.anonymization import submission
from services.anonymization.identity import Identity, Imaged
from services.anonymization.instance import Deidentifier
from services.anonymization.known import KnownStrings
from services.anonymization.pseudonyms import Pseudonyms
from services.kernel import fhir
from services.kernel.errors import MeshError

TREATMENT = "TREAT"
"""Purpose (v3-ActReason) for which results are kept beside the patient's later ones: research and
training ask for one record, and a consent to them says nothing of keeping another."""


OF_RESULTS = frozenset(
    ("VALUE_TYPE_NOT_READ", "VALUE_TOO_LONG", "RESULT_SUPERSEDED", "RESULT_WITHOUT_CODE")
)
"""What ingest says of a message's results that a physician has to know: those are not there."""


@dataclass(slots=True)
class Work:
    """One case while it is de-identified."""

    event: CaseReceived
    manifest: IntakeManifest
    submission: submission.Submission
    pseudonyms: Pseudonyms
    deidentifier: Deidentifier
    parts: list[PartReady] = field(default_factory=list)
    set_aside: Counter[tuple[PartKind.ValueType, str, str]] = field(default_factory=Counter)
    references: dict[str, str] = field(default_factory=dict)
    before: Identity | None = None
    """What is kept of the case, when this is a supplement to it."""
    studies: dict[str, Imaged] = field(default_factory=dict)
    """What becomes of the images, by study UID as received."""

    @property
    def tenant(self) -> str:
        """The case's tenant."""
        return self.event.case.tenant

    @property
    def case_id(self) -> str:
        """The case's id."""
        return self.event.case.case_id

    def leave_out(self, kind: PartKind.ValueType, error: MeshError) -> None:
        """Count content that is not passed on, by its reason."""
        self.set_aside[kind, error.reason, error.message] += 1

    def hear(self) -> None:
        """Count results of a message that ingest could not take over: the report names them."""
        for problem in self.manifest.problems:
            if problem.reason in OF_RESULTS:
                aside = PART_KIND_LABS, problem.reason, problem.message
                self.set_aside[aside] += max(problem.count, 1)

    def add_part(self, part_id: str, kind: PartKind.ValueType, blobs: list[BlobRef]) -> None:
        """Add a part to announce."""
        self.parts.append(
            PartReady(
                case=self.event.case,
                part_id=part_id,
                kind=kind,
                blobs=blobs,
                subject_pseudonym=self.pseudonyms.subject_pseudonym(),
                keep_history=self.keeps_history,
            )
        )

    @property
    def keeps_history(self) -> bool:
        """Whether results may stand beside the patient's others.

        Those that are restricted may not: a later report, which is not, would show them.
        """
        return self.manifest.purpose == TREATMENT and not self.submission.restricted

    def imaged(self, number: int, study: str) -> Imaged:
        """Return the part of a study's images: its first, or one that supersedes the last.

        The same for a supplement that is done again after a crash.
        """
        supplement = self.event.supplement
        if self.before is None:
            return Imaged(part=f"imaging-{number}", supersedes="", supplement=0, series={})
        last = self.before.studies.get(study)
        if last is None:
            part = f"imaging-{len(self.before.studies) + number}.{supplement}"
            return Imaged(part=part, supersedes="", supplement=supplement, series={})
        series = dict(last["series"])
        if last["supplement"] == supplement:
            return Imaged(**{**last, "series": series})
        part = f"{last['part'].partition('.')[0]}.{supplement}"
        return Imaged(part=part, supersedes=last["part"], supplement=supplement, series=series)

    def expected(self) -> list[ExpectedPart]:
        """Return the parts as the report is told of them."""
        taken = {each["part"]: each["supersedes"] for each in self.studies.values()}
        return [
            ExpectedPart(
                part_id=part.part_id, kind=part.kind, supersedes=taken.get(part.part_id, "")
            )
            for part in self.parts
        ]

    def left_out(self) -> list[SetAside]:
        """Return what is not passed on, one entry per kind and reason."""
        return [
            SetAside(kind=kind, refusal=Refusal(reason=reason, message=text), count=count)
            for (kind, reason, text), count in sorted(self.set_aside.items())
        ]

    def known(self) -> KnownStrings:
        """Return what the submission and the images read so far say of the patient."""
        return self.submission.known | self.deidentifier.dicom_strings


def intake_scopes(event: CaseReceived, manifest: IntakeManifest) -> list[str]:
    """Return the key scopes of everything received, the manifest's last."""
    blobs = [each.blob for study in manifest.studies for each in study.instances]
    scopes = dict.fromkeys(ref.scope for ref in (*blobs, manifest.bundle))
    for kept in (event.manifest.scope, ""):  # a supplement has no Bundle
        scopes.pop(kept, None)
    return [*scopes, event.manifest.scope]


def forgotten(event: ConsentWithdrawn, pseudonym: str) -> SubjectForgotten:
    """Return a withdrawal as the analysis zone hears of it."""
    return SubjectForgotten(
        tenant=event.tenant, subject_pseudonym=pseudonym, recorded_time=event.recorded_time
    )


def identity_scope(case_id: str) -> str:
    """Return the key scope of the way back: it outlives the intake and dies with the case."""
    return f"{case_id}.identity"


def series_of(study: IntakeStudy) -> dict[str, list[IntakeInstance]]:
    """Return a study's instances by series, in the order received."""
    found: dict[str, list[IntakeInstance]] = {}
    for instance in study.instances:
        found.setdefault(instance.series_instance_uid, []).append(instance)
    return found


def identity_of(work: Work) -> Identity:
    """Return what the way back from a case must know; a supplement adds to what is kept."""
    read, pseudonyms = work.submission, work.pseudonyms
    before = work.before
    received = {study.study_instance_uid for study in work.manifest.studies}
    for study in work.manifest.studies:
        received |= {each.series_instance_uid for each in study.instances}
        received |= {each.sop_instance_uid for each in study.instances}
    known = work.known()
    return Identity(
        patient=fhir.dump(read.patient).decode(),
        service_request=fhir.dump(read.service_request).decode() if read.service_request else "",
        imaging_studies=[fhir.dump(each).decode() for each in read.imaging_studies],
        days_to_true_date=-pseudonyms.shift_days,
        time_shift_s=pseudonyms.shift_seconds,
        # Besides these, whatever an instance names by a UID, such as its frame of reference:
        # objects that are made of the images name it too, and go back to the hospital.
        uids=(before.uids if before else {})
        | {pseudonyms.uid(uid): uid for uid in (*received, *pseudonyms.uids) if uid},
        references=before.references if before else work.references,
        names=sorted(known.names),
        numbers=sorted(known.numbers),
        places=sorted(known.places),
        purpose=before.purpose if before else work.manifest.purpose,
        recipient=before.recipient if before else work.manifest.recipient,
        studies=(before.studies if before else {}) | work.studies,
        confidentiality=before.confidentiality if before else read.confidentiality,
    )


def now() -> Timestamp:
    """Return the time now."""
    time = Timestamp()
    time.GetCurrentTime()
    return time
