"""What a de-identified instance says of itself: method codes, flags, its own file meta."""

from __future__ import annotations

import copy
import io
from functools import lru_cache

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

METHOD = "dxmesh, DICOM PS3.15 Annex E"
IMPLEMENTATION_UID = UID("2.25.216284793310422936614418870203640192153")
METHOD_CODES = {
    "113100": "Basic Application Confidentiality Profile",
    "113104": "Clean Structured Content Option",
    "113105": "Clean Descriptors Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
}
"""DICOM PS3.16 CID 7050, De-identification Method."""
CLEAN_PIXEL_DATA = ("113101", "Clean Pixel Data Option")

_META_KEPT = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")


@lru_cache(maxsize=8)
def _encoded(implicit_vr: bool, little_endian: bool) -> Dataset:
    """Return the marks in one encoding, read back so that their values are raw bytes."""
    marks = Dataset()
    marks.PatientIdentityRemoved = "YES"
    marks.DeidentificationMethod = METHOD
    marks.DeidentificationMethodCodeSequence = Sequence(
        [_code(value, meaning) for value, meaning in METHOD_CODES.items()]
    )
    marks.LongitudinalTemporalInformationModified = "MODIFIED"
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit_vr, little_endian
    write_dataset(buffer, marks)
    return read_dataset(io.BytesIO(buffer.getvalue()), implicit_vr, little_endian)


def write_marks(dataset: Dataset, implicit_vr: bool, little_endian: bool) -> None:
    """Set (0012,0062) to (0012,0064) and (0028,0303).

    The code sequence is written from bytes made once: it costs as much as a small file.
    """
    dataset._dict.update(_encoded(implicit_vr, little_endian)._dict)


def add_pixel_option(dataset: Dataset) -> None:
    """Add the Clean Pixel Data Option and say that nothing is burned in any more."""
    codes = [copy.copy(item) for item in dataset.DeidentificationMethodCodeSequence]
    dataset.DeidentificationMethodCodeSequence = Sequence([*codes, _code(*CLEAN_PIXEL_DATA)])
    dataset.BurnedInAnnotation = "NO"


def own_meta(meta: FileMetaDataset, sop_instance_uid: str) -> FileMetaDataset:
    """Return file meta with class, instance and transfer syntax, and nothing of the sender."""
    own = FileMetaDataset()
    for keyword in _META_KEPT:
        if keyword in meta:
            setattr(own, keyword, meta[keyword].value)
    if "MediaStorageSOPInstanceUID" in own:
        own.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    own.ImplementationClassUID = IMPLEMENTATION_UID
    return own


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
