"""A fictional patient in DICOM, FHIR and a note, and what the tests measure with."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from services.anonymization import files
from services.anonymization.pseudonyms import Pseudonyms
from services.kernel.crypto import KeyedHash
from tests.anonymization.zone import Mesh, open_mesh

files.silence_pydicom()


def _file(**changes: Any) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.FrameOfReferenceUID = generate_uid()
    dataset.PatientName, dataset.PatientID = "Zhao^Tiezhu", "MRN0042917"
    dataset.PatientBirthDate, dataset.PatientSex = "19600502", "M"
    dataset.StudyDate, dataset.StudyTime = "20240305", "101530"
    dataset.Modality, dataset.Manufacturer = "CT", "GE MEDICAL SYSTEMS"
    dataset.StudyDescription, dataset.BodyPartExamined = "CT CHEST Zhao", "CHEST"
    dataset.Rows = dataset.Columns = 8
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = np.full((8, 8), 7, np.uint16).tobytes()
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def _bytes(dataset: FileDataset) -> bytes:
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset)
    return buffer.getvalue()


@pytest.fixture
def ct_file() -> Callable[..., FileDataset]:
    """Return a maker of small CT images of the fictional patient."""
    return _file


@pytest.fixture
def as_bytes() -> Callable[[FileDataset], bytes]:
    """Return what writes a data set as a file."""
    return _bytes


@pytest.fixture
def pseudonyms() -> Pseudonyms:
    """Return the pseudonyms of one patient under a fixed key."""
    return Pseudonyms(KeyedHash(b"k" * 32), "subject-1")


@pytest.fixture
def every_element() -> Callable[[Dataset], Iterator[Any]]:
    """Return what walks through a data set, sequences included."""

    def walk(dataset: Dataset) -> Iterator[Any]:
        for element in dataset:
            yield element
            if element.VR == "SQ":
                for item in element.value or ():
                    yield from walk(item)

    return walk


@pytest.fixture
def bundle() -> Callable[..., bytes]:
    """Return a maker of submissions with a Patient, results and a note."""

    def make(note: str, observations: list[dict[str, Any]], **patient: Any) -> bytes:
        person = {
            "resourceType": "Patient",
            "id": "p1",
            "name": [{"family": "赵", "given": ["铁柱"], "text": "赵铁柱"}],
            "identifier": [{"system": "urn:x", "value": "MRN0042917"}],
            "telecom": [{"system": "phone", "value": "+86 138 1234 5678"}],
            "gender": "male",
            "birthDate": "1960-05-02",
        } | patient
        document = {
            "resourceType": "DocumentReference",
            "id": "doc-1",
            "status": "current",
            "type": {"coding": [{"system": "http://loinc.org", "code": "34117-2"}]},
            "content": [
                {
                    "attachment": {
                        "contentType": "text/plain; charset=utf-8",
                        "data": base64.b64encode(note.encode()).decode(),
                    }
                }
            ],
        }
        order = {
            "resourceType": "ServiceRequest",
            "id": "order-1",
            "status": "active",
            "intent": "order",
            "subject": {"reference": "Patient/p1"},
            "authoredOn": "2024-03-05T10:00:00+08:00",
        }
        resources = [person, order, document, *observations]
        entries = [{"fullUrl": f"urn:uuid:{n}", "resource": r} for n, r in enumerate(resources)]
        content = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        return json.dumps(content, ensure_ascii=False).encode()

    return make


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    async for each in open_mesh():
        yield each
