"""A DICOM file's bytes to a data set and back, without reading values nobody looks at."""

from __future__ import annotations

import io
import logging
import struct
import warnings

from pydicom import config, dcmread, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from services.kernel.errors import InvalidInput

UNREADABLE = (
    *(AttributeError, KeyError, IndexError, TypeError, ValueError, EOFError, OSError),
    *(NotImplementedError, LookupError, OverflowError, RecursionError),
    *(BytesLengthException, InvalidDicomError, AssertionError, struct.error),
)
"""What pydicom raises on a malformed file or value."""


KNOWN_GROUPS = frozenset((0x0004, 0x0008, 0x0010, 0x0020, 0x0028))
"""One of them is in every DICOM file; without a preamble it is the only sign of one."""


class UnreadableInstance(InvalidInput):
    """The bytes are no DICOM file that can be read to its end, or written again."""


def silence_pydicom() -> None:
    """Keep pydicom from judging values: its warnings and log lines quote them.

    Called once by whoever starts a process; what a value must be is judged in `values`.
    """
    config.settings.reading_validation_mode = config.IGNORE
    config.settings.writing_validation_mode = config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


def read(content: bytes) -> FileDataset:
    """Return the data set of a DICOM file, values still raw; preamble and meta optional.

    Raises
    ------
    UnreadableInstance
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values
        try:
            dataset = dcmread(io.BytesIO(content), force=True)
        except UNREADABLE as error:
            raise UnreadableInstance("a file is not readable as DICOM") from error
    if dataset.preamble is None and not any(tag >> 16 in KNOWN_GROUPS for tag in dataset._dict):
        raise UnreadableInstance("a file holds no DICOM attributes")
    return dataset


def sop_uid(content: bytes) -> str:
    """Return the SOP Instance UID of a file that `write` made."""
    found = dcmread(
        io.BytesIO(content), stop_before_pixels=True, force=True, specific_tags=["SOPInstanceUID"]
    )
    return str(found.get("SOPInstanceUID", ""))


def write(dataset: FileDataset) -> bytes:
    """Return the file of a data set, in the encoding it was read in.

    Raises
    ------
    UnreadableInstance
        A value cannot be encoded.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            implicit, _ = dataset.original_encoding
            if any(_is_foreign(element, implicit) for element in dataset._dict.values()):
                _read_all(dataset)
            dcmwrite(buffer, dataset)
        except UNREADABLE as error:
            raise UnreadableInstance("a file cannot be written as DICOM again") from error
    return buffer.getvalue()


def _is_foreign(element: object, implicit: bool | None) -> bool:
    """Tell whether a raw value is in another encoding than its file states."""
    return isinstance(element, RawDataElement) and element.is_implicit_VR != implicit


def _read_all(dataset: Dataset) -> None:
    for tag in list(dataset._dict):
        try:
            dataset[tag]
        except UNREADABLE:
            del dataset._dict[tag]
