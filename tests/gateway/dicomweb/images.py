"""Images as anonymization leaves them in the analysis zone, made from synthetic ones."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import orjson
from dxmesh.anonymization.v1.anonymization_service_pb2 import ReidentifyResponse
from pydicom import dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from services.anonymization.archive import stored
from services.anonymization.instance import Deidentifier
from services.anonymization.pseudonyms import Pseudonyms
from services.kernel.crypto import KeyedHash

CT, DX, SC = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.7.4",
)
STUDY, SERIES = "1.2.826.0.1.77.1", "1.2.826.0.1.77.1.1"
NAME, PATIENT_ID, ACCESSION = "WANG^XIAOMING", "MRN-7431", "ACC-20260101"
PATIENT = {
    "resourceType": "Patient",
    "id": "p-1",
    "identifier": [{"system": "urn:test:mrn", "value": PATIENT_ID}],
    "name": [{"family": "WANG", "given": ["XIAOMING"]}],
    "gender": "male",
    "birthDate": "1964-03-15",
}
STUDY_RESOURCE = {
    "resourceType": "ImagingStudy",
    "id": "study-1",
    "status": "available",
    "subject": {"reference": "Patient/p-1"},
    "identifier": [
        {"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"},
        {"type": {"coding": [{"code": "ACSN"}]}, "value": ACCESSION},
    ],
}


def pixels(number: int, rows: int = 32, columns: int = 24) -> np.ndarray:
    """Return a slice of HU + 1024, its number in a corner."""
    grid = np.add.outer(np.arange(rows), np.arange(columns)).astype(np.int16) * 10
    grid[0, 0] = 2000 + number
    return grid


def made(
    number: int,
    *,
    study: str = STUDY,
    series: str = SERIES,
    modality: str = "CT",
    sop_class: str = CT,
    day: str = "20260102",
    array: np.ndarray | None = None,
    **more: Any,
) -> FileDataset:
    """Return a CT slice as a hospital sends it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UID(sop_class), ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = UID(f"{series}.{number}")
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    grid = pixels(number) if array is None else array
    said = {
        "SOPClassUID": sop_class, "SOPInstanceUID": f"{series}.{number}",
        "StudyInstanceUID": study, "SeriesInstanceUID": series, "Modality": modality,
        "StudyDate": day, "StudyTime": "101500", "SeriesDate": day, "ContentDate": day,
        "AcquisitionDateTime": f"{day}234512.5+0800",
        "PatientName": NAME, "PatientID": PATIENT_ID, "PatientBirthDate": "19640315",
        "PatientSex": "M", "AccessionNumber": ACCESSION, "StudyID": "S1", "SeriesNumber": 2,
        "InstanceNumber": number, "SeriesDescription": "CHEST LUNG", "BurnedInAnnotation": "NO",
        "ImagePositionPatient": [0, 0, 2.5 * number], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.7, 0.7], "SliceThickness": 2.5, "FrameOfReferenceUID": f"{study}.9",
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "Rows": grid.shape[-2], "Columns": grid.shape[-1], "BitsAllocated": 16, "BitsStored": 16,
        "HighBit": 15, "PixelRepresentation": 1, "RescaleSlope": 1, "RescaleIntercept": -1024,
        "WindowCenter": -600, "WindowWidth": 1500,
    } | more  # fmt: skip
    for keyword, value in said.items():
        setattr(dataset, keyword, value)
    if "PixelData" not in said:
        dataset.PixelData = grid.astype("<i2").tobytes()
    return dataset


def colour(number: int, frames: int, *, table: bool = True, **more: Any) -> FileDataset:
    """Return a colour multi-frame object, each frame an RLE stream."""
    dataset = made(
        number, sop_class=SC, modality="SM", BitsAllocated=8, BitsStored=8, HighBit=7,
        PixelRepresentation=0, SamplesPerPixel=3, PhotometricInterpretation="RGB",
        PlanarConfiguration=0, NumberOfFrames=frames, PixelData=b"", **more,
    )  # fmt: skip
    del dataset.RescaleSlope, dataset.RescaleIntercept, dataset.WindowCenter, dataset.WindowWidth
    grids = [np.full((32, 24, 3), (n, 2 * n, 255 - n), np.uint8) for n in range(1, frames + 1)]
    dataset.PixelData = b"".join(grid.tobytes() for grid in grids)
    dataset.compress(RLELossless, generate_instance_uid=False)
    coded = list(generate_frames(dataset.PixelData, number_of_frames=frames))
    dataset.PixelData = encapsulate(coded, has_bot=table)
    return dataset


def jpeg_ls(number: int, **more: Any) -> FileDataset:
    """Return a CT slice compressed by JPEG-LS."""
    dataset = made(number, **more)
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    return dataset


def content(dataset: FileDataset) -> bytes:
    """Return the file."""
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


async def hold(
    world: Any,
    setting: Any,
    series: Sequence[Sequence[FileDataset]],
    *,
    case_id: str = "",
    studies: Sequence[dict[str, Any]] = (STUDY_RESOURCE,),
    patient: dict[str, Any] = PATIENT,
    tenant: str = "north",
    commit: bool = True,
    part: str = "imaging-1",
) -> ReidentifyResponse:
    """Put series where anonymization puts them, and commit a report of their case."""
    case_id = case_id or setting.CASE_ID
    pseudonyms = Pseudonyms(KeyedHash(b"k" * 32), "subject-1")
    cleaner = Deidentifier(pseudonyms)
    uids: dict[str, str] = {}
    for position, instances in enumerate(series, 1):

        async def cleaned(these: Sequence[FileDataset] = instances) -> AsyncIterator[bytes]:
            for one in these:
                for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
                    uid = str(one[keyword].value)
                    uids[pseudonyms.uid(uid)] = uid
                yield cleaner.instance(content(one))

        name = f"{part}/series-{position}.zip"
        await world.analysis.put_stream(tenant, case_id, name, stored(cleaned()))
    identity = ReidentifyResponse(
        patient_json=orjson.dumps(patient),
        imaging_study_json=[orjson.dumps(one) for one in studies],
        days_to_true_date=-pseudonyms.shift_days,
        time_shift_s=pseudonyms.shift_seconds,
        uids=uids,
    )
    world.peers.identities[case_id] = identity
    if commit:
        ref = setting.case_ref(case_id)
        ref.tenant = tenant
        await setting.compose(world, setting.sample_report(), ref=ref)
    return identity
