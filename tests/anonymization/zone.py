"""One anonymization worker and all it touches: bus, blobs and database in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pydicom
from dxmesh.consent.v1.consent_service_pb2 import CheckConsentRequest, CheckConsentResponse
from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.event.v1.case_ref_pb2 import CaseRef
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeInstance, IntakeManifest, IntakeStudy
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import create_async_engine

from services.anonymization.store import Cipher, IdentityStore, metadata
from services.anonymization.work import identity_scope
from services.anonymization.worker import AnonymizationWorker
from services.kernel import subjects
from services.kernel.blobs import Blobs
from services.kernel.database import create_schema
from services.kernel.testing import MemoryBus, memory_blobs

CASE = CaseRef(tenant="demo", case_id="case-1", received_time=Timestamp(seconds=1_710_000_000))
POTASSIUM = {
    "resourceType": "Observation",
    "id": "k",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}], "text": "钾"},
    "subject": {"reference": "Patient/p1", "display": "赵铁柱"},
    "effectiveDateTime": "2024-03-05T08:15:00+08:00",
    "valueQuantity": {"value": 4, "unit": "mmol/L"},
}
NOTE = (
    "姓名：赵铁柱 住院号：MRN0042917\n主诉：咳嗽3周。\n"
    "患者赵铁柱于2024年3月5日入院，电话13812345678。"
)


class Consent:
    """Answers as told and remembers what it was asked."""

    def __init__(self, permitted: bool = True) -> None:
        self.permitted = permitted
        self.asked: list[CheckConsentRequest] = []

    async def check(self, request: CheckConsentRequest) -> CheckConsentResponse:
        self.asked.append(request)
        reason = "PERMITTED" if self.permitted else "WITHDRAWN"
        return CheckConsentResponse(
            permitted=self.permitted, reason=reason, consent_version="consent-1/3"
        )


@dataclass
class Mesh:
    """One worker and all it touches."""

    bus: MemoryBus
    intake: Blobs
    analysis: Blobs
    store: IdentityStore
    consent: Consent
    worker: AnonymizationWorker

    async def receive(
        self, bundle: bytes, series: list[list[bytes]], purpose: str = "TREAT"
    ) -> CaseReceived:
        """Lay a case into the intake and return its event."""
        put = self.intake.put
        instances = []
        for number, files in enumerate(series):
            for position, content in enumerate(files):
                blob = await put("demo", "intake-1", f"dicom-{number}-{position}", content)
                dataset = pydicom.dcmread(io.BytesIO(content), force=True)
                uid = str(dataset.get("SOPInstanceUID", ""))
                instances.append(
                    IntakeInstance(
                        sop_instance_uid=uid, series_instance_uid=f"1.2.{number}", blob=blob
                    )
                )
        manifest = IntakeManifest(
            bundle=await put("demo", "intake-1", "bundle", bundle),
            studies=[IntakeStudy(study_instance_uid="1.2", instances=instances)] if series else [],
            purpose=purpose,
        )
        ref = await put("demo", "intake-1", "manifest", manifest.SerializeToString())
        return CaseReceived(case=CASE, manifest=ref, subject_key="subject-1")

    async def receive_late(
        self, files: list[bytes], number: int = 1, series: int = 0
    ) -> CaseReceived:
        """Lay late images of the case into the intake and return their event."""
        scope, instances = f"late-{number}", []
        for position, content in enumerate(files):
            blob = await self.intake.put("demo", scope, f"dicom-{position}", content)
            uid = str(pydicom.dcmread(io.BytesIO(content)).SOPInstanceUID)
            made = IntakeInstance(
                sop_instance_uid=uid, series_instance_uid=f"1.2.{series}", blob=blob
            )
            instances.append(made)
        study = IntakeStudy(study_instance_uid="1.2", instances=instances)
        manifest = IntakeManifest(studies=[study])
        ref = await self.intake.put("demo", scope, "manifest", manifest.SerializeToString())
        return CaseReceived(case=CASE, manifest=ref, subject_key="subject-1", supplement=number)

    async def files_of(self, ref: BlobRef) -> list[str]:
        """Return the instance UIDs in an archive of the analysis zone."""
        archive = zipfile.ZipFile(io.BytesIO(await self.analysis.get("demo", ref)))
        read = [pydicom.dcmread(io.BytesIO(archive.read(name))) for name in archive.namelist()]
        return [str(each.SOPInstanceUID) for each in read]

    async def everything(self) -> str:
        """Return all that the analysis zone holds and the bus carried, as one text."""
        texts = []
        for name in await self.analysis.names("demo", "case-1"):
            content = await self.analysis.get("demo", BlobRef(scope="case-1", name=name))
            texts.append(content.decode("utf-8", "ignore") + content.decode("latin-1"))
            texts.append(content.decode("gb18030", "ignore"))
        for topic in subjects.TOPICS:
            texts += [str(event) for event in self.bus.published(topic)]
        return "\n".join(texts)


async def open_mesh() -> AsyncIterator[Mesh]:
    """Yield a mesh of its own."""
    engine = create_async_engine("sqlite+aiosqlite:///:memory:")
    await create_schema(engine, metadata)
    bus, intake, analysis = MemoryBus(), memory_blobs("identity"), memory_blobs("analysis")

    async def cipher_for(tenant: str, case_id: str) -> Cipher:
        return await intake.vault.scope_cipher(tenant, identity_scope(case_id))

    store, consent = IdentityStore(engine, cipher_for), Consent()
    worker = AnonymizationWorker(bus, intake, analysis, store, consent, intake.vault.hasher)
    await worker.start(1)
    yield Mesh(bus, intake, analysis, store, consent, worker)
    await engine.dispose()


async def send(mesh: Mesh, event: CaseReceived, message_id: str = "m") -> None:
    await mesh.bus.publish(subjects.CASE_RECEIVED, event, message_id=message_id)
