"""The DICOM objects of a part, series by series. Pure: files are read, nothing is written.

An object that cannot be made costs itself, not the others: `problems` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from pydicom.dataset import Dataset

from services.imaging.dicom_out import keys, presentation, segmentation, slide, structured
from services.imaging.dicom_out.material import Series, collect
from services.imaging.dicom_out.segmentation import Segmented
from services.imaging.dicom_out.stamp import finished
from services.imaging.reading import DicomObject, ReadSource

T = TypeVar("T")


def objects(
    read: Sequence[ReadSource], lost: Callable[[str, Exception], None] | None = None
) -> Iterator[DicomObject]:
    """Yield every object of a part, one held at a time.

    Parameters
    ----------
    read : the part's sources, findings numbered and with tracking UIDs
    lost : told of an object that could not be made: its modality and why; none: it is raised
    """
    for series in collect(read):
        yield from _of_series(series, _Attempt(lost))


def _of_series(series: Series, attempt: _Attempt) -> Iterator[DicomObject]:
    segmented: list[Segmented] = []
    if series.is_slide:
        yield from attempt.each("SEG", series, lambda: slide.maps(series))
        yield from attempt.each("ANN", series, lambda: slide.nuclei(series))
    else:
        segmented = attempt.all("SEG", lambda: segmentation.segment(series))
        for one in segmented:
            yield finished(series, one.dataset, "SEG")
    yield from attempt.each("SR", series, lambda: [structured.report(series, segmented)])
    if not series.is_stack and not series.is_slide:
        yield from attempt.each("PR", series, lambda: presentation.states(series))
    yield from attempt.each("KO", series, lambda: _selected(series, segmented))


def _selected(series: Series, segmented: Sequence[Segmented]) -> list[Dataset]:
    selection = keys.select(series, [one.dataset for one in segmented])
    return [selection] if selection else []


def _file(series: Series, dataset: Dataset, modality: str) -> list[DicomObject]:
    return [finished(series, dataset, modality)]


class _Attempt:
    """Makes objects; what fails is told and left out."""

    def __init__(self, lost: Callable[[str, Exception], None] | None) -> None:
        self._lost = lost

    def all(self, modality: str, make: Callable[[], Iterable[T]]) -> list[T]:
        """Return what is made; nothing when that fails."""
        try:
            return list(make())
        except Exception as error:
            if self._lost is None:
                raise
            self._lost(modality, error)
            return []

    def each(
        self, modality: str, series: Series, make: Callable[[], Iterable[Dataset]]
    ) -> Iterator[DicomObject]:
        """Yield what is made, as files."""
        for dataset in self.all(modality, make):
            yield from self.all(modality, partial(_file, series, dataset, modality))
