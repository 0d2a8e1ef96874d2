"""A case through the mesh's own pure functions, one after another in this process.

No bus, no blobs, no encryption, no database, no HTTP: only what the services compute, in their
order, from the files a hospital sends to the PDF a physician reads. It is what `case` holds the
mesh against.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified, ExpectedPart
from dxmesh.event.v1.case_ref_pb2 import (
    PART_KIND_IMAGING,
    PART_KIND_LABS,
    PART_KIND_NLP,
    CaseRef,
    PartKind,
)
from dxmesh.event.v1.finding_ready_pb2 import OUTCOME_COMPLETED, FindingReady
from dxmesh.event.v1.model_use_pb2 import ModelUse
from google.protobuf.message import Message

from benchmarks import one_process_imaging
from services.anonymization import archive
from services.anonymization import submission as cases
from services.anonymization.instance import Deidentifier
from services.anonymization.pseudonyms import Pseudonyms
from services.cli import bundle, content
from services.gateway import attachments
from services.gateway.dicomweb import made as hospital
from services.gateway.pdf import render_bundle
from services.gateway.restore import Identity, restore
from services.gateway.web import reading
from services.ingest import dicom
from services.ingest import submission as submissions
from services.ingest.limits import Defaults
from services.kernel import fhir
from services.kernel.crypto import KeyedHash
from services.labs import findings as lab_findings
from services.labs import panel
from services.nlp import findings as note_findings
from services.nlp import notes
from services.reporting import assemble as reports

RECEIVE, DEIDENTIFY = "receive and check", "de-identify"
IMAGING, LABS, NOTES = "imaging", "laboratory", "notes"
COMPOSE, COMMIT = "compose", "restore identity, PDF"
STEPS = (RECEIVE, DEIDENTIFY, IMAGING, LABS, NOTES, COMPOSE, COMMIT)

TENANT = "demo"
RECIPIENT = "urn:dxmesh:demo|DXMESH-ANALYSIS"


@dataclass
class Done:
    """What came of a case, and the seconds each step took."""

    seconds: dict[str, float] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    """The Bundle as the gateway stores it."""
    pdf: bytes = b""
    objects: list[hospital.Made] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of the body to a step."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass
class Parts:
    """What analysis is given, and what the way back needs."""

    series: list[bytes]
    """One ZIP of de-identified files per series."""
    labs: bytes
    notes: bytes
    pseudonym: str
    identity: Identity


async def run(paths: Sequence[Path], language: str, ask: one_process_imaging.Here) -> Done:
    """Return the report of what lies under the paths."""
    done, hasher = Done(), KeyedHash(b"benchmark-key-of-32-bytes-length")
    with done.step(RECEIVE):
        found = content.read(paths)
        submitted = bundle.build(found, language=language)
        files = [(path.read_bytes()) for path in found.uploads]
        series: dict[str, list[bytes]] = {}
        for each in files:
            series.setdefault(dicom.read(io.BytesIO(each), len(each)).series, []).append(each)
        read = submissions.read(submitted, Defaults(recipient=RECIPIENT))
        keys = submissions.keys(read, hasher)
    case = CaseRef(tenant=TENANT, case_id=keys.case_id, language=read.language)
    case.received_time.FromDatetime(datetime.now(UTC))
    event = CaseDeidentified(case=case)
    event.started_time.GetCurrentTime()
    with done.step(DEIDENTIFY):
        parts = await _deidentified(submitted, series, Pseudonyms(hasher, keys.subject))
    event.finished_time.GetCurrentTime()
    event.subject_pseudonym = parts.pseudonym
    with done.step(IMAGING), tempfile.TemporaryDirectory(prefix="dx") as folder:
        images = one_process_imaging.read(parts.series, ask, keys.case_id, Path(folder))
    with done.step(LABS):
        labs = lab_findings.findings(panel.read(parts.labs))
    with done.step(NOTES):
        noted = note_findings.findings(notes.read(parts.notes), language)
    with done.step(COMPOSE):
        made = [
            _part(event, "imaging-1", PART_KIND_IMAGING, images.found, "imaging"),
            _part(event, "labs-1", PART_KIND_LABS, labs, "labs"),
            _part(event, "nlp-1", PART_KIND_NLP, noted, "nlp"),
        ]
        draft = reports.draft(event, tuple(made), version=1, composed=datetime.now(UTC))
        stored = fhir.dump(reports.compose_what_can_be(draft).bundle)
    with done.step(COMMIT):
        composed = fhir.parse(stored)
        restored = restore(composed, parts.identity)
        binaries = reading.image_binaries(composed)
        for name, png in images.pictures.items():
            resource = attachments.binary(binaries[name], "image/png", png)
            restored["entry"].append({"resource": resource})
        received = case.received_time.ToDatetime(UTC)
        done.objects = [
            hospital.restored(each, parts.identity, received) for each in images.objects
        ]
        done.pdf = render_bundle(restored)
        done.report = attachments.with_pdf(restored, keys.case_id, done.pdf)
    return done


async def _deidentified(
    submitted: bytes, series: dict[str, list[bytes]], pseudonyms: Pseudonyms
) -> Parts:
    read = cases.read(submitted)
    deidentifier = Deidentifier(pseudonyms, read.known)

    async def instances(files: list[bytes]) -> AsyncIterator[bytes]:
        for each in files:
            yield deidentifier.instance(each)

    archives = [
        b"".join([piece async for piece in archive.stored(instances(files))])
        for files in series.values()
    ]
    known = read.known | deidentifier.dicom_strings
    person = cases.subject(read, datetime.now(UTC).date().isoformat())
    labs, labs_from = cases.labs_part(read, known, pseudonyms, person)
    noted, notes_from = cases.notes_part(read, known, pseudonyms, person)
    identity = Identity(
        patient=read.patient,
        service_request=read.service_request,
        imaging_studies=read.imaging_studies,
        days=-pseudonyms.shift_days,
        uids={new: old for old, new in pseudonyms.uids.items()},
        references={**labs_from, **notes_from},
    )
    return Parts(archives, labs, noted, pseudonyms.subject_pseudonym(), identity)


def _part(
    event: CaseDeidentified,
    part_id: str,
    kind: PartKind.ValueType,
    findings: Message,
    model: str,
) -> Any:
    ready = FindingReady(
        case=event.case,
        part_id=part_id,
        kind=kind,
        outcome=OUTCOME_COMPLETED,
        started_time=event.started_time,
        finished_time=event.finished_time,
        models=[ModelUse(name=model, version="1", model_sha256="0" * 64, input_sha256="0" * 64)],
    )
    expected = ExpectedPart(part_id=part_id, kind=kind)
    return reports.part(expected, ready, findings.SerializeToString(deterministic=True))
