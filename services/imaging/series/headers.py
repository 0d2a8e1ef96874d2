"""What one DICOM file says of its slice, checked to be usable."""

from __future__ import annotations

import io
import math
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from services.imaging.series.refusals import DamagedSeries, MissingGeometry

UNREADABLE = (
    *(AttributeError, KeyError, IndexError, TypeError, ValueError, EOFError, OSError),
    *(NotImplementedError, LookupError, OverflowError, RecursionError),
    *(BytesLengthException, InvalidDicomError, AssertionError, struct.error),
)
"""What pydicom raises on a malformed file or value."""

ORTHONORMAL = 1e-3

Numbers = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """One instance: identity within the analysis zone, geometry, and how pixels are stored."""

    sop_uid: str
    series_uid: str
    study_uid: str
    frame_of_reference: str
    person: tuple[str, ...]
    """What tells two patients apart; compared, never shown."""

    modality: str
    image_type: tuple[str, ...]
    frames: int
    rows: int
    columns: int
    pixel_mm: Numbers
    """Distance between rows, between columns, mm; empty when not stated."""

    orientation: Numbers
    """Direction of a row, of a column, LPS; empty when not stated."""

    position: Numbers
    """Centre of the first pixel, LPS mm; empty when not stated."""

    rescale: tuple[float, float] | None
    """Slope and intercept: HU = stored * slope + intercept."""

    photometric: str


def read(content: bytes) -> tuple[Dataset, Header]:
    """Return a file's data set and its header.

    Raises
    ------
    DamagedSeries
        The bytes are no DICOM file, or a value cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            dataset = pydicom.dcmread(io.BytesIO(content), force=True)
            return dataset, _header(dataset)
    except UNREADABLE as error:
        raise DamagedSeries("a file of the series is not readable as DICOM") from error


def check_geometry(header: Header) -> None:
    """Make sure that a slice says where it lies.

    Raises
    ------
    MissingGeometry
    """
    if len(header.position) != 3 or len(header.orientation) != 6 or len(header.pixel_mm) != 2:
        raise MissingGeometry(
            "a slice does not state its position, orientation and pixel spacing",
            position_values=len(header.position),
            orientation_values=len(header.orientation),
            spacing_values=len(header.pixel_mm),
        )
    row, column = header.orientation[:3], header.orientation[3:]
    error = max(abs(_dot(row, row) - 1), abs(_dot(column, column) - 1), abs(_dot(row, column)))
    if error > ORTHONORMAL:
        raise MissingGeometry("the orientation of a slice is not two unit vectors", error=error)


def _header(dataset: Dataset) -> Header:
    if "SOPInstanceUID" not in dataset or "SOPClassUID" not in dataset:
        raise ValueError("no DICOM instance")
    slope, intercept = _numbers(dataset, "RescaleSlope"), _numbers(dataset, "RescaleIntercept")
    return Header(
        sop_uid=_text(dataset, "SOPInstanceUID"),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        study_uid=_text(dataset, "StudyInstanceUID"),
        frame_of_reference=_text(dataset, "FrameOfReferenceUID"),
        person=tuple(_text(dataset, name) for name in ("PatientID", "PatientSex")),
        modality=_text(dataset, "Modality").upper(),
        image_type=tuple(part.upper() for part in _texts(dataset, "ImageType")),
        frames=int(dataset.get("NumberOfFrames") or 1),
        rows=int(dataset.get("Rows") or 0),
        columns=int(dataset.get("Columns") or 0),
        pixel_mm=_numbers(dataset, "PixelSpacing"),
        orientation=_numbers(dataset, "ImageOrientationPatient"),
        position=_numbers(dataset, "ImagePositionPatient"),
        rescale=(slope[0], intercept[0]) if slope and intercept else None,
        photometric=_text(dataset, "PhotometricInterpretation").upper(),
    )


def _text(dataset: Dataset, name: str) -> str:
    return str(dataset.get(name) or "").strip()


def _texts(dataset: Dataset, name: str) -> list[str]:
    value = dataset.get(name)
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(part) for part in value]


def _numbers(dataset: Dataset, name: str) -> Numbers:
    """Return the numbers of an attribute; none when it is absent, empty or not finite."""
    value = dataset.get(name)
    if value is None or value == "":
        return ()
    parts = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    numbers = tuple(float(part) for part in parts)
    return numbers if all(math.isfinite(number) for number in numbers) else ()


def _dot(one: Numbers, two: Numbers) -> float:
    return sum(a * b for a, b in zip(one, two, strict=True))
