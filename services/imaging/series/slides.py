"""Whole slides: recognised here, opened by the pathology reading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.imaging.series.archive import File
from services.imaging.series.headers import Header
from services.imaging.series.refusals import MixedSeries, OtherModality
from services.imaging.series.sources import SlideFiles

INSTANCES_MAX = 64
"""Levels, label, overview and focal planes of one slide."""


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
        sop_uids=tuple(uids[number] for number in numbers),
    )


def _on_disk(file: File) -> Path:
    if file.path is None:
        raise OtherModality("a slide is read from disk alone")
    return file.path
