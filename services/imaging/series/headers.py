"""What a DICOM file says of each image in it: where it lies, and how its pixels are stored."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import VLWholeSlideMicroscopyImageStorage

from services.imaging.series import frames, plain_file
from services.imaging.series.archive import File
from services.imaging.series.attributes import (
    UNREADABLE,
    Numbers,
    first,
    integer,
    number,
    numbers,
    text,
    texts,
    upper,
)
from services.imaging.series.refusals import DamagedSeries, MissingGeometry, UnsuitablePixels
from services.imaging.series.stored import Stored, stored

__all__ = ["UNREADABLE", "Header", "check_geometry", "header", "read"]

ORTHONORMAL = 1e-3
FRAMES_MAX = 20_000
PLACE_MM_MAX = 10_000.0
PIXEL_MM = (0.02, 10.0)


@dataclass(frozen=True, slots=True)
class Header:
    """One image: identity within the analysis zone, geometry, and how its pixels are stored."""

    file: int
    """Number of its file in the archive."""

    frame: int
    """From 1; 0 for an instance of one frame."""

    frames: int
    """How many the instance states."""

    sop_class: str
    sop_uid: str
    series_uid: str
    study_uid: str
    frame_of_reference: str
    person: tuple[str, ...]
    """What tells two patients apart; compared, never shown."""

    modality: str
    image_type: tuple[str, ...]
    pixel_mm: Numbers
    """Distance between rows, between columns, mm; empty when not stated."""

    orientation: Numbers
    """Direction of a row, of a column, LPS; empty when not stated."""

    position: Numbers
    """Centre of the first pixel, LPS mm; empty when not stated."""

    rescale: tuple[float, float] | None
    """Slope and intercept: HU = stored * slope + intercept."""

    rescale_type: str
    thickness_mm: float | None
    kernel: str
    contrast: bool | None
    apart: tuple[str, ...]
    """What tells two acquisitions of one series apart; see `frames.APART`."""

    stored: Stored

    @property
    def rows(self) -> int:
        """Rows."""
        return self.stored.rows

    @property
    def columns(self) -> int:
        """Columns."""
        return self.stored.columns


def read(file: File, index: int) -> tuple[Dataset, list[Header]]:
    """Return a file's data set without its pixels, and a header for each of its frames.

    Raises
    ------
    DamagedSeries
        The bytes are no DICOM file, or a value cannot be read.
    """
    with plain_file.opened(file) as stream:
        dataset = _dataset(stream)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's warnings quote values
                one = header(dataset, index, stream.tell())
                return dataset, _each(dataset, one)
        except UNREADABLE as error:
            raise DamagedSeries("a file of the series is not readable as DICOM") from error


def _dataset(stream: BinaryIO) -> Dataset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(stream, stop_before_pixels=True, force=True)
    except UNREADABLE as error:
        raise DamagedSeries("a file of the series is not readable as DICOM") from error


def header(dataset: Dataset, index: int = 0, pixels_at: int = 0) -> Header:
    """Return the header of a data set as one image; values of an enhanced one's frames are not
    in it yet.

    Raises
    ------
    ValueError and what else pydicom raises on a malformed value.
    """
    if "SOPInstanceUID" not in dataset or "SOPClassUID" not in dataset:
        raise ValueError("no DICOM instance")
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    return Header(
        file=index,
        frame=0,
        frames=max(integer(dataset, "NumberOfFrames", 1), 1),
        sop_class=text(dataset, "SOPClassUID"),
        sop_uid=text(dataset, "SOPInstanceUID"),
        series_uid=text(dataset, "SeriesInstanceUID"),
        study_uid=text(dataset, "StudyInstanceUID"),
        frame_of_reference=text(dataset, "FrameOfReferenceUID"),
        person=tuple(text(dataset, name) for name in ("PatientID", "PatientSex")),
        modality=upper(dataset, "Modality"),
        image_type=tuple(part.upper() for part in texts(dataset, "ImageType")),
        pixel_mm=numbers(dataset, "PixelSpacing"),
        orientation=numbers(dataset, "ImageOrientationPatient"),
        position=numbers(dataset, "ImagePositionPatient"),
        rescale=(slope[0], intercept[0]) if slope and intercept else None,
        rescale_type=upper(dataset, "RescaleType"),
        thickness_mm=number(dataset, "SliceThickness"),
        kernel=text(dataset, "ConvolutionKernel"),
        contrast=frames.contrast(dataset),
        apart=frames.apart(dataset),
        stored=stored(dataset, pixels_at),
    )


def _each(dataset: Dataset, one: Header) -> list[Header]:
    """Return a header for each frame; functional groups override the whole (PS3.3 C.7.6.16)."""
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if (one.frames == 1 and not groups) or one.sop_class == VLWholeSlideMicroscopyImageStorage:
        return [one]
    if not groups:
        return [replace(one, frame=1)]  # one stands for all: they say nothing of where they lie
    if one.frames > FRAMES_MAX:
        raise DamagedSeries("a file states too many frames", frames=one.frames, limit=FRAMES_MAX)
    if len(groups) != one.frames:
        raise DamagedSeries(
            "a file states another number of frames than it describes",
            frames=one.frames,
            described=len(groups),
        )
    shared = first(dataset, "SharedFunctionalGroupsSequence")
    return [
        replace(one, frame=number, **frames.group_values(dataset, shared, groups[number - 1], one))
        for number in range(1, one.frames + 1)
    ]


def check_geometry(header: Header) -> None:
    """Make sure that a slice says where it lies.

    Raises
    ------
    MissingGeometry, UnsuitablePixels
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
    if max(map(abs, header.position)) > PLACE_MM_MAX:
        raise MissingGeometry(
            "a slice lies outside of any scanner",
            farthest_mm=f"{max(map(abs, header.position)):g}",
            limit_mm=PLACE_MM_MAX,
        )
    row_mm, column_mm = header.pixel_mm
    if not PIXEL_MM[0] <= min(row_mm, column_mm) <= max(row_mm, column_mm) <= PIXEL_MM[1]:
        raise UnsuitablePixels(
            "the pixel spacing is none that a scanner has",
            row_mm=f"{row_mm:g}",
            column_mm=f"{column_mm:g}",
        )


def _dot(one: Numbers, two: Numbers) -> float:
    return sum(a * b for a, b in zip(one, two, strict=True))
