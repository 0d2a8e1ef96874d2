"""A case from the intake to the analysis zone, over a bus, blobs and a database in memory."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pydicom
import pytest
from dxmesh.event.v1.case_stopped_pb2 import CaseStopped
from pydicom.dataset import FileDataset

from services.anonymization.dates import shift_tm
from services.kernel import subjects
from services.kernel.errors import KeyDestroyed, Unavailable
from tests.anonymization.zone import CASE, NOTE, POTASSIUM, Mesh, send


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
    image = ct_file(FrameOfReferenceUID="1.2.3.77", ContentTime="101112.5")
    await send(mesh, await mesh.receive(bundle(NOTE, [POTASSIUM]), [[as_bytes(image)]]))
    identity = await mesh.store.get("demo", "case-1")
    (imaging,) = mesh.bus.published(subjects.PART_IMAGING)
    archive = zipfile.ZipFile(io.BytesIO(await mesh.analysis.get("demo", imaging.blobs[0])))
    made = pydicom.dcmread(io.BytesIO(archive.read("0001.dcm")))
    assert identity.uids[made.SOPInstanceUID] == image.SOPInstanceUID
    assert identity.uids[made.FrameOfReferenceUID] == "1.2.3.77"
    assert identity.references == {"lab-1": "Observation/k", "note-1": "DocumentReference/doc-1"}
    assert json.loads(identity.patient)["name"][0]["text"] == "赵铁柱"
    assert 1 <= identity.days_to_true_date <= 730
    assert shift_tm(str(image.ContentTime), identity.time_shift_s) == made.ContentTime


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
