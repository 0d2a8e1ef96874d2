"""DICOM objects of a report in the hospital's hands: identity, UIDs, dates; pixels untouched."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from datetime import datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dxmesh.anonymization.v1.anonymization_service_pb2 import ReidentifyResponse
from pydicom.dataset import Dataset

from services.gateway.dicomweb.made import restored, scope
from services.gateway.restore import Identity
from services.imaging.dicom_out import write
from services.kernel.errors import Damaged

RECEIVED = datetime(2026, 11, 25, 8, 9, 10)
STUDY, SERIES, FRAME = "1.2.3.1", "1.2.3.2", "1.2.3.3"


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """SEG, SR and KO of a phantom, as the analysis zone makes them."""
    folder = Path(__file__).parents[2] / "imaging"
    loaded: dict[str, Any] = {}
    for name in ("phantom", "dicom_sources"):
        spec = spec_from_file_location(f"made_{name}", folder / f"{name}.py")
        assert spec and spec.loader
        loaded[name] = sys.modules[spec.name] = module_from_spec(spec)
        spec.loader.exec_module(loaded[name])
    source = loaded["dicom_sources"].stack(loaded["phantom"], tmp_path_factory.mktemp("made"))
    return {one.modality: one.content for one in write.objects([source])}


def identity(**changes: Any) -> Identity:
    uids = {"2.25.100": STUDY, "2.25.200": SERIES, "2.25.300": FRAME}
    uids |= {f"2.25.{9000 + n}": f"1.2.3.4.{n}" for n in range(20)}
    values: dict[str, Any] = {
        "patient": {
            "resourceType": "Patient",
            "id": "p-1",
            "name": [{"family": "赵", "given": ["铁柱"]}],
            "identifier": [{"type": {"coding": [{"code": "MR"}]}, "value": "MRN-1"}],
            "birthDate": "1964-03-15",
            "gender": "male",
        },
        "service_request": {},
        "imaging_studies": [],
        "days": 100,
        "uids": uids,
        "references": {},
    }
    return Identity(**(values | changes))


def uids_of(dataset: Dataset) -> set[str]:
    return {str(e.value) for e in dataset.iterall() if e.VR == "UI" and e.value}


def pixels_of(content: bytes) -> bytes:
    return bytes(pydicom.dcmread(io.BytesIO(content)).get("PixelData", b""))


@pytest.mark.requirement("DX-OUT-11")
@pytest.mark.parametrize("modality", ["SEG", "SR", "KO"])
def test_an_object_becomes_the_hospitals_own(objects: dict[str, bytes], modality: str) -> None:
    made = restored(objects[modality], identity(), RECEIVED)
    dataset = pydicom.dcmread(io.BytesIO(made.content))
    assert (str(dataset.PatientName), dataset.PatientID) == ("赵^铁柱", "MRN-1")
    assert (dataset.PatientBirthDate, dataset.PatientSex) == ("19640315", "M")
    assert (dataset.StudyInstanceUID, dataset.StudyDate) == (STUDY, "20200411")
    assert (dataset.SeriesDate, dataset.SeriesTime) == ("20261125", "080910")
    assert (dataset.ContentDate, dataset.InstanceCreationDate) == ("20261125", "20261125")
    assert made.name == f"{STUDY}/{dataset.SeriesInstanceUID}/{dataset.SOPInstanceUID}.dcm"
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert pixels_of(made.content) == pixels_of(objects[modality])


@pytest.mark.requirement("DX-OUT-12")
@pytest.mark.parametrize("modality", ["SEG", "SR", "KO"])
def test_every_reference_leads_to_the_hospitals_images(
    objects: dict[str, bytes], modality: str
) -> None:
    known = identity()
    before = uids_of(pydicom.dcmread(io.BytesIO(objects[modality])))
    made = restored(objects[modality], known, RECEIVED)
    after = uids_of(pydicom.dcmread(io.BytesIO(made.content)))
    named = before & known.uids.keys()
    assert {"2.25.100", "2.25.200"} < named and len(named) > 3
    assert after == {known.uids.get(uid, uid) for uid in before}
    if modality == "SEG":
        assert FRAME in after


@pytest.mark.requirement("DX-OUT-10")
def test_restored_objects_are_valid(objects: dict[str, bytes], tmp_path: Path) -> None:
    validator = shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("dicom3tools (dciodvfy) is not installed")
    for modality, content in objects.items():
        path = tmp_path / f"{modality}.dcm"
        path.write_bytes(restored(content, identity(), RECEIVED).content)
        ran = subprocess.run([validator, str(path)], capture_output=True, text=True, check=False)
        lines = (ran.stdout + ran.stderr).splitlines()
        assert [line for line in lines if line.startswith("Error")] == [], modality


def test_what_is_no_dicom_is_damaged() -> None:
    with pytest.raises(Damaged):
        restored(b"no object", identity(), RECEIVED)


@pytest.mark.requirement("DX-OUT-13")
async def test_a_report_brings_its_objects_and_goes_out_without_a_lost_one(
    world: Any, setting: Any, objects: dict[str, bytes]
) -> None:
    bundle = setting.sample_report()
    event = await setting.compose(world, bundle, publish=False)
    known = identity()
    world.peers.identity = ReidentifyResponse(
        patient_json=json.dumps(dict(known.patient)).encode(),
        days_to_true_date=100,
        uids=dict(known.uids),
    )
    names = {
        r["type"]["coding"][0]["code"]: r["identifier"][0]["value"]
        for r in (entry["resource"] for entry in bundle["entry"])
        if "masterIdentifier" in r
    }
    for modality in ("SEG", "SR", "KO"):
        content = b"no object" if modality == "KO" else objects[modality]
        ref = await world.analysis.put("north", event.case.case_id, names[modality], content)
        event.objects.append(ref)
    await world.gateway.committer.composed(event)
    stored = await world.gateway.store.resources.of_case("north", event.case.case_id)
    documents = [json.loads(s.content) for s in stored if s.type == "DocumentReference"]
    found = {d["type"]["coding"][0]["code"]: d for d in documents if "masterIdentifier" in d}
    assert found.keys() == {"SEG", "SR"}
    attachment = found["SEG"]["content"][0]["attachment"]
    blobs = world.gateway.committer._made._identity_zone
    kept = await blobs.names("north", scope(event.case.case_id))
    path = attachment["url"].removeprefix("/dicom-web/studies/")
    study, _, series, _, instance = path.split("/")
    assert f"{study}/{series}/{instance}.dcm" in kept and len(kept) == 2
    assert study == STUDY and attachment["size"] > 1000
