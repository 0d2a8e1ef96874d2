"""The patch around a nodule as the outline and impression networks take it.

64x64 pixels of 0.7 mm on one slice, the place at row 32, column 32, HU. Other pixel sizes are
resampled, so that a millimetre is the same to the networks on every scanner.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

SIDE = 64
PIXEL_MM = 0.7
LOW_HU, HIGH_HU = -1000.0, 1500.0

Patch = npt.NDArray[np.float32]


def cut(
    plane: npt.NDArray[np.generic], place: tuple[float, float], pixel_mm: tuple[float, float]
) -> Patch:
    """Return the patch, float32 (64, 64), around (row, column); the image's edge is repeated."""
    lines = [_line(at, mm) for at, mm in zip(place, pixel_mm, strict=True)]
    low = [
        min(max(int(np.floor(line[0])) - 1, 0), size - 1)
        for line, size in zip(lines, plane.shape, strict=True)
    ]
    high = [
        max(int(np.ceil(line[-1])) + 2, first + 1) for line, first in zip(lines, low, strict=True)
    ]
    part = plane[low[0] : high[0], low[1] : high[1]].astype(np.float32)
    grid = np.meshgrid(lines[0] - low[0], lines[1] - low[1], indexing="ij")
    taken = ndimage.map_coordinates(part, grid, order=1, mode="nearest")
    return np.asarray(np.clip(taken, LOW_HU, HIGH_HU), np.float32)


def paste(
    values: Patch,
    place: tuple[float, float],
    pixel_mm: tuple[float, float],
    start: tuple[int, int],
    shape: tuple[int, int],
) -> Patch:
    """Return a patch's values on the image's own pixels from `start`; 0 outside the patch."""
    lines = [
        (np.arange(size) + first - at) * mm / PIXEL_MM + SIDE // 2
        for size, first, at, mm in zip(shape, start, place, pixel_mm, strict=True)
    ]
    grid = np.meshgrid(*lines, indexing="ij")
    return np.asarray(ndimage.map_coordinates(values, grid, order=1, cval=0.0), np.float32)


def _line(at: float, mm: float) -> npt.NDArray[np.float64]:
    return np.asarray((np.arange(SIDE) - SIDE // 2) * PIXEL_MM / mm + at)
