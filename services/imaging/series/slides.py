"""Whole slides: recognised here, opened by the pathology reading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.imaging.series.archive import File
from services.imaging.series.headers import Header
from services.imaging.series.refusals import MixedSeries, OtherModality
from services.imaging.series.sources import SlideFiles

TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
"""How TIFF and BigTIFF begin; SVS is TIFF."""

INSTANCES_MAX = 64
"""Levels, label, overview and focal planes of one slide."""


def tiff(files: Sequence[File]) -> SlideFiles | None:
    """Return the slide that an archive of one TIFF or SVS file is, or None."""
    if len(files) != 1:
        return None
    with files[0].open() as stream:
        begins = stream.read(132)
    if begins[:4] not in TIFF or begins[128:] == b"DICM":  # a DICOM file may also be TIFF
        return None
    return SlideFiles(paths=(_on_disk(files[0]),), format="tiff")


def dicom(files: Sequence[File], headers: Sequence[Header]) -> SlideFiles:
    """Return the slide that instances of one VL Whole Slide Microscopy series are.

    Raises
    ------
    MixedSeries, OtherModality
    """
    series = len({(header.study_uid, header.series_uid, header.person) for header in headers})
    if series > 1:
        raise MixedSeries("instances of several slides in one series", different=series)
    numbers = sorted({header.file for header in headers})
    if len(numbers) > INSTANCES_MAX:
        raise OtherModality(
            "too many instances for one slide", instances=len(numbers), limit=INSTANCES_MAX
        )
    uids = {header.file: header.sop_uid for header in headers}
    return SlideFiles(
        paths=tuple(_on_disk(files[number]) for number in numbers),
        format="dicom",
        sop_uids=tuple(uids[number] for number in numbers),
    )


def _on_disk(file: File) -> Path:
    if file.path is None:
        raise OtherModality("a slide is read from disk alone")
    return file.path
