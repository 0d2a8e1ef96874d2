"""Makes `samples/ct`: 32 slices of LIDC-IDRI-0001 around its nodule, with planted identifiers.

    python samples/make_ct.py FOLDER_WITH_THE_SERIES

Pixels are kept bit for bit (JPEG-LS lossless, ISO/IEC 14495-1). The headers are given the
fictional identity of `patient.json`, a private element and dates, because the demo is to show
that they are removed. UIDs are made anew, so that nobody takes the excerpt for the original.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless, generate_uid

HERE = Path(__file__).parent
FIRST, SLICES = 74, 32
"""Ascending slices 74 to 105 of 133; the consensus nodule lies on 86 to 93."""

PLANTED = {
    "PatientName": "DEMO^FICTIONAL-PATIENT=演示^患者",
    "PatientID": "DEMO-000001",
    "OtherPatientIDs": "DEMO-ID-00000019640315001X",
    "PatientBirthDate": "19640315",
    "PatientSex": "M",
    "PatientAge": "062Y",
    "PatientAddress": "虚构省演示市样例路0号",
    "PatientTelephoneNumbers": "+8600000000001",
    "AccessionNumber": "DEMO-ACC-0001",
    "InstitutionName": "演示医院 (Demo Hospital, fictional)",
    "InstitutionAddress": "虚构省演示市样例路1号",
    "ReferringPhysicianName": "DEMO^FICTIONAL-PHYSICIAN=演示^医生",
    "OperatorsName": "DEMO^FICTIONAL-TECHNICIAN",
    "StationName": "DEMO-STATION-0",
    "DeviceSerialNumber": "DEMO-SERIAL-0001",
    "StudyID": "DEMO-STUDY-1",
    "StudyDescription": "CHEST CT FOR DEMO FICTIONAL-PATIENT",
    "SeriesDescription": "CHEST 2.5 MM STANDARD",
    "ImageComments": "演示患者 phone +86 000 0000 0001, fictional",
    "StudyDate": "20261120",
    "SeriesDate": "20261120",
    "AcquisitionDate": "20261120",
    "ContentDate": "20261120",
    "StudyTime": "103000",
}
DROPPED = ("PatientIdentityRemoved", "DeidentificationMethod", "LastMenstrualDate")
"""The archive's own marks of de-identification: they are no longer true of these headers."""


def main(folder: Path) -> None:
    """Write the excerpt."""
    slices = [dcmread(path) for path in folder.rglob("*.dcm")]
    slices = [each for each in slices if each.get("Modality") == "CT"]
    slices.sort(key=lambda each: float(each.ImagePositionPatient[2]))
    target = HERE / "ct"
    target.mkdir(exist_ok=True)
    for number, dataset in enumerate(slices[FIRST : FIRST + SLICES], 1):
        before = dataset.pixel_array.copy()
        plant(dataset, number)
        dataset.compress(JPEGLSLossless, generate_instance_uid=False)
        path = target / f"slice-{number:02}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        if not (dcmread(path).pixel_array == before).all():
            raise SystemExit(f"{path.name}: the pixels did not survive compression")


def plant(dataset: Dataset, number: int) -> None:
    """Give one slice the fictional identity and fresh UIDs."""
    dataset.remove_private_tags()
    for name in DROPPED:
        if name in dataset:
            delattr(dataset, name)
    dataset.SpecificCharacterSet = "GB18030"
    for name, value in PLANTED.items():
        setattr(dataset, name, value)
    block = dataset.private_block(0x0099, "DXMESH DEMO", create=True)
    block.add_new(0x01, "LO", "DEMO FICTIONAL-PATIENT DEMO-000001")
    dataset.StudyInstanceUID = _uid("study")
    dataset.SeriesInstanceUID = _uid("series")
    dataset.FrameOfReferenceUID = _uid("frame of reference")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = _uid(f"slice {number}")
    dataset.InstanceNumber = number


def _uid(what: str) -> str:
    return str(generate_uid(prefix="2.25.", entropy_srcs=["dxmesh sample", what]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
