"""A case from the intake to the analysis zone, over a bus, blobs and a database in memory."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pydicom
import pytest
from dxmesh.consent.v1.consent_service_pb2 import CheckConsentRequest, CheckConsentResponse
from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.event.v1.case_ref_pb2 import CaseRef
from dxmesh.event.v1.case_stopped_pb2 import CaseStopped
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeInstance, IntakeManifest, IntakeStudy
from google.protobuf.timestamp_pb2 import Timestamp
from pydicom.dataset import FileDataset
from sqlalchemy.ext.asyncio import create_async_engine

from services.anonymization.store import Cipher, IdentityStore, metadata
from services.anonymization.work import identity_scope
from services.anonymization.worker import AnonymizationWorker
from services.kernel import subjects
from services.kernel.blobs import Blobs
from services.kernel.database import create_schema
from services.kernel.errors import KeyDestroyed, Unavailable
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

    async def receive(self, bundle: bytes, series: list[list[bytes]]) -> CaseReceived:
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
            purpose="TREAT",
        )
        ref = await put("demo", "intake-1", "manifest", manifest.SerializeToString())
        return CaseReceived(case=CASE, manifest=ref, subject_key="subject-1")

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


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
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


@pytest.mark.requirement("DX-ID-08")
async def test_case_becomes_parts(
    mesh: Mesh,
    bundle: Callable[..., bytes],
    ct_file: Callable[..., FileDataset],
    as_bytes: Callable[[FileDataset], bytes],
) -> None:
    files = [as_bytes(ct_file(InstanceNumber=n)) for n in (1, 2)]
    await send(mesh, await mesh.receive(bundle(NOTE, [POTASSIUM]), [files]))
    (done,) = mesh.bus.published(subjects.CASE_DEIDENTIFIED)
    assert [part.part_id for part in done.parts] == ["imaging-1", "labs-1", "nlp-1"]
    assert done.consent_version == "consent-1/3"
    (imaging,) = mesh.bus.published(subjects.PART_IMAGING)
    archive = zipfile.ZipFile(io.BytesIO(await mesh.analysis.get("demo", imaging.blobs[0])))
    assert archive.namelist() == ["0001.dcm", "0002.dcm"]
    first = pydicom.dcmread(io.BytesIO(archive.read("0001.dcm")))
    assert (first.pixel_array == 7).all()
    assert first.PatientAge == "063Y"
    (labs,) = mesh.bus.published(subjects.PART_LABS)
    document = json.loads(await mesh.analysis.get("demo", labs.blobs[0]))
    assert document["subject"] == {"sex": "male", "age_years": 63.0, "pregnant": None}
    assert document["observations"][0]["valueQuantity"] == {"value": 4, "unit": "mmol/L"}
    (nlp,) = mesh.bus.published(subjects.PART_NLP)
    (note,) = json.loads(await mesh.analysis.get("demo", nlp.blobs[0]))["notes"]
    assert (note["id"], note["language"], note["type"]) == ("note-1", "zh", "34117-2")
    assert "主诉：咳嗽3周。" in note["text"]


@pytest.mark.requirement("DX-ID-09")
async def test_intake_is_destroyed_and_a_repeat_changes_nothing(
    mesh: Mesh, bundle: Callable[..., bytes]
) -> None:
    event = await mesh.receive(bundle(NOTE, [POTASSIUM]), [])
    await send(mesh, event, "first")
    with pytest.raises(KeyDestroyed):
        await mesh.intake.get("demo", event.manifest)
    await send(mesh, event, "second")
    assert len(mesh.bus.published(subjects.CASE_DEIDENTIFIED)) == 1
    assert not mesh.bus.dead


@pytest.mark.requirement("DX-ID-09")
async def test_crash_before_the_end_is_made_good_by_the_next_delivery(
    mesh: Mesh, bundle: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await mesh.receive(bundle(NOTE, [POTASSIUM]), [])
    publish, failed = mesh.bus.publish, []

    async def failing(topic: Any, message: Any, *, message_id: str) -> None:
        if topic is subjects.PART_NLP and not failed:
            failed.append(message_id)
            raise Unavailable("the bus is away")
        await publish(topic, message, message_id=message_id)

    monkeypatch.setattr(mesh.bus, "publish", failing)
    with pytest.raises(Unavailable):
        await mesh.worker.handle(event)
    assert not mesh.bus.published(subjects.CASE_DEIDENTIFIED)
    await mesh.worker.handle(event)
    assert len(mesh.bus.published(subjects.PART_LABS)) == 1
    assert len(mesh.bus.published(subjects.CASE_DEIDENTIFIED)) == 1


@pytest.mark.requirement("DX-ID-13")
async def test_withdrawn_consent_stops_the_case_and_leaves_nothing(
    mesh: Mesh, bundle: Callable[..., bytes]
) -> None:
    mesh.consent.permitted = False
    event = await mesh.receive(bundle(NOTE, [POTASSIUM]), [])
    await send(mesh, event)
    (stopped,) = mesh.bus.published(subjects.CASE_STOPPED)
    assert (stopped.step, stopped.refusal.reason) == ("anonymization", "CONSENT_WITHDRAWN")
    assert not mesh.bus.published(subjects.CASE_DEIDENTIFIED)
    assert not await mesh.analysis.names("demo", "case-1")
    assert not await mesh.intake.names("demo", "intake-1")
    assert mesh.consent.asked[0].step == "anonymization"
    assert mesh.consent.asked[0].purpose == "TREAT"


@pytest.mark.requirement("DX-ID-13")
async def test_case_stopped_elsewhere_is_not_begun_and_its_identity_is_gone(
    mesh: Mesh, bundle: Callable[..., bytes]
) -> None:
    event = await mesh.receive(bundle(NOTE, [POTASSIUM]), [])
    await mesh.bus.publish(
        subjects.CASE_STOPPED, CaseStopped(case=CASE, step="gateway"), message_id="s"
    )
    await send(mesh, event)
    assert not mesh.bus.published(subjects.CASE_DEIDENTIFIED)
    with pytest.raises(KeyDestroyed):
        await mesh.store.get("demo", "case-1")
    assert not await mesh.intake.names("demo", "intake-1")


@pytest.mark.requirement("DX-ID-07")
async def test_unusable_content_is_set_aside_with_its_reason_and_the_rest_goes_on(
    mesh: Mesh,
    bundle: Callable[..., bytes],
    ct_file: Callable[..., FileDataset],
    as_bytes: Callable[[FileDataset], bytes],
) -> None:
    good, burned = as_bytes(ct_file()), as_bytes(ct_file(BurnedInAnnotation="YES"))
    event = await mesh.receive(bundle(" ", [POTASSIUM]), [[good, burned], [b"no dicom at all"]])
    await send(mesh, event)
    (done,) = mesh.bus.published(subjects.CASE_DEIDENTIFIED)
    assert {each.refusal.reason for each in done.set_aside} == {
        *("BURNED_IN_TEXT", "UNREADABLE_INSTANCE", "NOTE_EMPTY")
    }
    (imaging,) = mesh.bus.published(subjects.PART_IMAGING)
    assert len(imaging.blobs) == 1
    assert not mesh.bus.published(subjects.PART_NLP)


@pytest.mark.requirement("DX-ID-08")
async def test_way_back_knows_uids_references_and_the_true_dates(
    mesh: Mesh,
    bundle: Callable[..., bytes],
    ct_file: Callable[..., FileDataset],
    as_bytes: Callable[[FileDataset], bytes],
) -> None:
    image = ct_file()
    await send(mesh, await mesh.receive(bundle(NOTE, [POTASSIUM]), [[as_bytes(image)]]))
    identity = await mesh.store.get("demo", "case-1")
    (imaging,) = mesh.bus.published(subjects.PART_IMAGING)
    archive = zipfile.ZipFile(io.BytesIO(await mesh.analysis.get("demo", imaging.blobs[0])))
    made = pydicom.dcmread(io.BytesIO(archive.read("0001.dcm")))
    assert identity.uids[made.SOPInstanceUID] == image.SOPInstanceUID
    assert identity.references == {"lab-1": "Observation/k", "note-1": "DocumentReference/doc-1"}
    assert json.loads(identity.patient)["name"][0]["text"] == "赵铁柱"
    assert 1 <= identity.days_to_true_date <= 730


@pytest.mark.requirement("DX-ID-10")
async def test_planted_identifiers_are_found_nowhere_in_the_analysis_zone(
    mesh: Mesh,
    bundle: Callable[..., bytes],
    ct_file: Callable[..., FileDataset],
    as_bytes: Callable[[FileDataset], bytes],
) -> None:
    forms = ["赵铁柱", "柱铁赵", "zhaotiezhu", "ZHAO TIEZHU", "uhzeitoahz", "Tiezhu Zhao"]
    forms += ["MRN0042917", "7192400NRM", "13812345678", "87654321831", "138-1234-5678"]
    plain = " ".join(forms)
    image = ct_file(PatientName="ZHAO^TIEZHU=赵^铁柱", SpecificCharacterSet="ISO_IR 192")
    for keyword in ("StudyDescription", "ImageComments", "ConvolutionKernel", "ScanOptions"):
        setattr(image, keyword, "ZHAO TIEZHU" if keyword != "ImageComments" else plain)
    image.SeriesDescription = "Chest uhzeitoahz"
    image.DerivationDescription, image.ProtocolName = plain, "MRN0042917"
    image.PatientComments, image.ReferringPhysicianName = plain, "zhaotiezhu"
    image.private_block(0x0029, "ZHAOTIEZHU", create=True).add_new(1, "LO", plain)
    result = POTASSIUM | {
        "note": [{"text": plain}],
        "valueString": plain,
        "code": POTASSIUM["code"] | {"text": plain},
        "performer": [{"display": plain}],
        "extension": [{"url": "urn:zhaotiezhu", "valueString": plain}],
        "referenceRange": [{"text": plain}],
        "method": {"text": plain},
        "interpretation": [{"coding": [{"code": plain, "display": plain}], "text": plain}],
    }
    note = NOTE + "\n" + "；".join(f"见{form}。" for form in forms)
    await send(mesh, await mesh.receive(bundle(note, [result]), [[as_bytes(image)]]))
    assert mesh.bus.published(subjects.CASE_DEIDENTIFIED)
    held = await mesh.everything()
    received = subjects.CASE_RECEIVED
    assert not [form for form in forms if form.casefold() in held.casefold()]
    assert "MRN" not in str(mesh.bus.published(received))
