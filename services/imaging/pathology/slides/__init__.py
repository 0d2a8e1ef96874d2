"""Whole slides from DICOM VL WSI and from tiled TIFF/SVS, read region by region.

`open_slide(files)` gives a `Slide`: levels, micrometres per pixel, `region()`, `close()`.
Only the tiles that a region touches are read, and a bounded number of them is kept.
"""

from services.imaging.pathology.slides.opening import open_slide
from services.imaging.pathology.slides.slide import Level, Slide

__all__ = ["Level", "Slide", "open_slide"]
