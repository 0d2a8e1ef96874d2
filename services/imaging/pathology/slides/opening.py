"""Opens the files that a series turned out to be."""

from __future__ import annotations

from services.imaging.pathology.slides.dicom import open_dicom
from services.imaging.pathology.slides.refusals import NotASlide
from services.imaging.pathology.slides.slide import Slide
from services.imaging.pathology.slides.tiff import open_tiff
from services.imaging.series.sources import SlideFiles


def open_slide(files: SlideFiles) -> Slide:
    """Return the slide; the caller closes it.

    Raises
    ------
    SeriesRefused
        One of `slides.refusals`, with the numbers that show it.
    """
    if files.format == "dicom":
        return open_dicom(files.paths)
    if files.format == "tiff" and len(files.paths) == 1:
        return open_tiff(files.paths[0])
    raise NotASlide("the files are of no format that is read", files=len(files.paths))
