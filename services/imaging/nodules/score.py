"""Crops around candidates as the network was trained on, and one probability from their scores.

The network saw axial crops of 50x50 CT pixels of scans with 0.46 to 0.98 mm pixels, grey
value floor((HU + 1000) / 1400 * 255). Each candidate is scored on its slice and on one
above and below; the mean of the three is its probability.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from services.imaging.nodules.detect import Candidate
from services.imaging.series.pixels import AIR_HU
from services.imaging.series.volume import Volume

MODEL = "lung_nodule_candidates"
INPUT, OUTPUT = "crops", "probability"
SIDE = 50
LOW_HU, HIGH_HU = -1000.0, 400.0
NATIVE_MM = (0.45, 1.0)
"""Pixel spacings that are cropped as they are; others are resampled to `USUAL_MM`."""

USUAL_MM = 0.7
NEIGHBOUR_MM = 2.0
"""How far away the slices above and below are taken, at least one slice."""

Crops = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float64]


def crops(volume: Volume, candidates: Sequence[Candidate]) -> Crops:
    """Return the model's input, float32 0 to 1, (3 * candidates, 1, 50, 50)."""
    tensor = np.empty((len(candidates), 3, SIDE, SIDE), np.float32)
    last = len(volume.hu) - 1
    step = max(1, round(NEIGHBOUR_MM / volume.spacing_mm[0]))
    for number, candidate in enumerate(candidates):
        middle = round(candidate.index[0])
        for place, slice_index in enumerate((middle - step, middle, middle + step)):
            plane = volume.hu[min(max(slice_index, 0), last)]
            tensor[number, place] = _crop(plane, candidate.index[1:], volume.spacing_mm[1:])
    return tensor.reshape(-1, 1, SIDE, SIDE)


def probabilities(scores: npt.NDArray[np.float32]) -> Probabilities:
    """Return one probability per candidate from the model's output, (3 * candidates, 1)."""
    return np.asarray(scores.reshape(-1, 3).astype(np.float64).mean(axis=1))


def grey(hu: npt.NDArray[np.float32]) -> Crops:
    """Return HU as the network's input holds it: eight-bit grey values / 255."""
    scaled = np.clip((hu - LOW_HU) / (HIGH_HU - LOW_HU), 0.0, 1.0)
    return np.asarray(np.floor(scaled * 255.0) / np.float32(255.0), np.float32)


def _crop(
    plane: npt.NDArray[np.int16], center: tuple[float, float], pixel_mm: tuple[float, float]
) -> Crops:
    """Return a crop with the candidate at row 25, column 25; air beyond the image."""
    half = SIDE // 2
    if all(NATIVE_MM[0] <= mm <= NATIVE_MM[1] for mm in pixel_mm):
        hu = _window(plane, round(center[0]) - half, round(center[1]) - half, SIDE, SIDE)
        return grey(hu)
    scale = [USUAL_MM / mm for mm in pixel_mm]
    reach = [int(np.ceil(half * by)) + 2 for by in scale]
    top, left = (round(at) - by for at, by in zip(center, reach, strict=True))
    wide = _window(plane, top, left, 2 * reach[0] + 1, 2 * reach[1] + 1)
    rows, columns = (
        (np.arange(SIDE) - half) * by + at - start
        for by, at, start in zip(scale, center, (top, left), strict=True)
    )
    grid = np.meshgrid(rows, columns, indexing="ij")
    return grey(ndimage.map_coordinates(wide, grid, order=1, mode="nearest"))


def _window(
    plane: npt.NDArray[np.int16], top: int, left: int, rows: int, columns: int
) -> npt.NDArray[np.float32]:
    window = np.full((rows, columns), AIR_HU, np.float32)
    bottom, right = min(top + rows, plane.shape[0]), min(left + columns, plane.shape[1])
    first_row, first_column = max(top, 0), max(left, 0)
    if bottom > first_row and right > first_column:
        window[first_row - top : bottom - top, first_column - left : right - left] = plane[
            first_row:bottom, first_column:right
        ]
    return window
