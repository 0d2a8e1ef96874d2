"""Where there is tissue on a slide, and whether it is stained with haematoxylin and eosin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from services.imaging.pathology import stain
from services.imaging.pathology.slides.refusals import NotHaematoxylinEosin, NoTissue
from services.imaging.pathology.slides.slide import Slide

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

THUMBNAIL_MPP = 16.0
"""Micrometres per pixel of the overview that tissue is looked for in."""

SIDE_MAX = 8192
"""Pixels of the overview's longer side; coarser for a larger slide."""

STRIP_PX = 2048
"""Rows and columns of a level that are read at once to make the overview."""

COLOUR_MIN = 0.02
"""Difference between densities of a pixel's colours: glass, dust and black marks have none."""

DENSITY_MIN = 0.05
SPECK_MM2 = 0.02
AREA_MM2_MIN = 0.02
PINK_SHARE_MIN = 0.4
"""Share of tissue that takes more green than blue: brown (DAB) and blue ink do not."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A small picture of the whole slide, and its tissue."""

    pixels: Pixels
    """(rows, columns, 3)."""

    tissue: Mask
    mpp: float
    """Micrometres per pixel."""

    @property
    def area_mm2(self) -> float:
        """Tissue, mm2."""
        return float(self.tissue.sum()) * self.mpp**2 / 1e6


def overview(slide: Slide) -> Overview:
    """Return the overview; read in blocks, so memory does not grow with the level it is made of.

    Raises
    ------
    NoTissue, NotHaematoxylinEosin
    SeriesRefused
        Of a slide whose tiles cannot be decoded.
    """
    base = slide.levels[0]
    wanted = max(THUMBNAIL_MPP, max(base.width_px, base.height_px) * slide.mpp / SIDE_MAX)
    wanted = max(wanted, slide.mpp)
    pixels, mpp = small(slide, wanted)
    tissue = find(pixels, mpp)
    found = Overview(pixels, tissue, mpp)
    if found.area_mm2 < AREA_MM2_MIN:
        raise NoTissue(
            "the slide shows no tissue", tissue_mm2=found.area_mm2, needed_mm2=AREA_MM2_MIN
        )
    share = pink_share(pixels[tissue])
    if share < PINK_SHARE_MIN:
        raise NotHaematoxylinEosin(
            "the stain is not haematoxylin and eosin", share=share, needed_share=PINK_SHARE_MIN
        )
    return found


def small(slide: Slide, mpp: float) -> tuple[Pixels, float]:
    """Return the whole slide at about `mpp`, and the exact micrometres per pixel."""
    number = slide.finest_for(mpp)
    level = slide.levels[number]
    step = max(1, round(mpp / (slide.mpp * level.downsample)))
    block = max(step, STRIP_PX // step * step)
    rows, columns = level.height_px // step, level.width_px // step
    found = np.full((max(rows, 1), max(columns, 1), 3), 255, np.uint8)
    for top in range(0, rows * step, block):
        high = min(block, rows * step - top)
        for left in range(0, columns * step, block):
            wide = min(block, columns * step - left)
            part = slide.region(number, left, top, wide, high)
            part = part if step == 1 else np.asarray(Image.fromarray(part).reduce(step))
            found[top // step : (top + high) // step, left // step : (left + wide) // step] = part
    return found, slide.mpp * level.downsample * step


def find(pixels: Pixels, mpp: float) -> Mask:
    """Return the tissue of an overview: coloured and not transparent."""
    optical = stain.density(pixels)
    coloured = (optical.max(axis=2) - optical.min(axis=2)) > COLOUR_MIN
    dense = optical.mean(axis=2) > DENSITY_MIN
    mask = ndimage.median_filter((coloured & dense).astype(np.uint8), 3) > 0
    mask = ndimage.binary_closing(mask, iterations=2, border_value=0) | mask
    labels, count = ndimage.label(mask)
    if not count:
        return np.zeros(mask.shape, bool)
    sizes = np.bincount(labels.ravel())
    large = sizes * mpp**2 / 1e6 >= SPECK_MM2
    large[0] = False
    return np.asarray(large[labels])


def pink_share(pixels: Pixels) -> float:
    """Return the share of pixels, (n, 3), that take more green than blue light."""
    if not len(pixels):
        return 0.0
    optical = stain.density(pixels)
    return float((optical[:, 1] >= optical[:, 2] - 0.02).mean())
