"""Whole slides from DICOM VL WSI, read region by region.

`open_dicom(paths)` gives a `Slide`: levels, micrometres per pixel, `region()`, `close()`.
Only the tiles that a region touches are read, and a bounded number of them is kept. Slides
in TIFF and SVS become DICOM when they are received (docs/adr/0027).
"""

from services.imaging.pathology.slides.dicom import open_dicom
from services.imaging.pathology.slides.slide import Level, Slide

__all__ = ["Level", "Slide", "open_dicom"]
