"""Midline shift at the level of the ventricles, by symmetry.

On the slices that show most fluid in the middle of the head, the middle of the skull's inside is
a straight line through the half-widths of its rows (A/2). Where the midline really runs (B) is
taken from the ventricles: the column about which the fluid in the middle of the brain is most
like its own mirror. Shift = A/2 - B, in mm, the median over those slices. It is not stated where
too little fluid is seen. Ventricles that are compressed on one side alone pull the figure
towards the open side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from services.imaging.haemorrhage.frame import COLUMNS, ROWS
from services.imaging.haemorrhage.prepare import WINDOW_HU, Head

FLUID_BELOW_HU = 15.0
"""Fluid is at least this much less dense than the brain's middle."""

CENTRAL_ROWS = (74, 168)
CENTRAL_COLUMNS = 46.0
DEEP_MM = 22.0
"""Fluid counts where it is at least this far inside the skull: no sulci."""

FLUID_MM2_MIN = 90.0
SKULL_SHARE_MIN = 0.72
SLICES_MAX = 5
SHIFT_MM_MAX = 22.0
LIKENESS_MIN = 0.35

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the midline lies aside."""

    mm: float
    """Signed: + towards higher columns of the stored image."""

    low_mm: float
    high_mm: float
    """Smallest and largest of the slices measured."""

    slices: tuple[int, ...]


def measure(head: Head) -> Shift | None:
    """Return the midline shift; none where the ventricles do not show it."""
    found: list[tuple[float, int]] = []
    for number in _level(head):
        shift = _on_slice(head, number)
        if shift is not None:
            found.append((shift, number))
    if not found:
        return None
    values = np.array([value for value, _ in found])
    numbers = tuple(sorted(number for _, number in found))
    return Shift(float(np.median(values)), float(values.min()), float(values.max()), numbers)


def _level(head: Head) -> list[int]:
    """Return slices that show the ventricles: the most fluid in the middle first."""
    areas = np.zeros(len(head.planes))
    for number in np.flatnonzero(head.frame.skull_share >= SKULL_SHARE_MIN):
        areas[number] = float(_fluid(head, int(number)).sum()) * head.pixel_mm**2
    order = np.argsort(-areas)[:SLICES_MAX]
    least = max(FLUID_MM2_MIN, 0.4 * float(areas.max()))
    return [int(number) for number in order if areas[number] >= least]


def _fluid(head: Head, number: int) -> Floats:
    """Return how much each pixel in the middle is fluid, 0 to 1, (ROWS, COLUMNS)."""
    low, high = WINDOW_HU
    smooth = ndimage.gaussian_filter(head.planes[number], 1.5)
    hu = smooth * (high - low) + low
    share = np.clip((head.brain_hu - hu - FLUID_BELOW_HU) / 6.0 + 0.5, 0.0, 1.0)
    filled = ndimage.binary_fill_holes(head.inside[number])
    depth = ndimage.distance_transform_edt(filled) * head.pixel_mm
    middle = (COLUMNS - 1) / 2
    rows, columns = np.indices((ROWS, COLUMNS))
    held = (rows >= CENTRAL_ROWS[0]) & (rows < CENTRAL_ROWS[1])
    held &= (np.abs(columns - middle) <= CENTRAL_COLUMNS) & (depth >= DEEP_MM)
    return np.asarray(np.where(held, share, 0.0))


def _skull_middle(inside: Mask) -> Floats | None:
    """Return the column half-way between the skull's sides for each row, on a straight line."""
    rows, middles = [], []
    for row in range(CENTRAL_ROWS[0] - 20, CENTRAL_ROWS[1] + 20):
        columns = np.flatnonzero(inside[row])
        if len(columns) and columns[-1] - columns[0] > 0.4 * COLUMNS:
            rows.append(row)
            middles.append((columns[0] + columns[-1]) / 2)
    if len(rows) < 40:
        return None
    slope, start = np.polyfit(rows, middles, 1)
    return np.asarray(slope * np.arange(ROWS) + start)


def _on_slice(head: Head, number: int) -> float | None:
    """Return the shift on one slice, mm, by the mirror of its fluid."""
    middle = _skull_middle(head.inside[number])
    if middle is None:
        return None
    fluid = _fluid(head, number)
    reach, half = int(SHIFT_MM_MAX / head.pixel_mm), int(CENTRAL_COLUMNS)
    rows = np.arange(*CENTRAL_ROWS)
    beside = np.arange(-2 * (half + reach), 2 * (half + reach) + 1) / 2.0
    columns = middle[rows][:, None] + beside[None, :]
    places = np.stack([np.broadcast_to(rows[:, None], columns.shape), columns])
    straight = ndimage.map_coordinates(fluid, places, order=1, cval=0.0)
    whole = max(float((straight**2).sum()), 1e-9)
    steps = np.arange(-2 * reach, 2 * reach + 1)
    scores = np.zeros(len(steps))
    for at, step in enumerate(steps):
        start = 2 * reach + int(step)
        seen = straight[:, start : start + 4 * half + 1]
        scores[at] = float((seen * seen[:, ::-1]).sum()) / whole
    best = int(np.argmax(scores))
    if scores[best] < LIKENESS_MIN:
        return None
    return float(steps[best]) / 2.0 * head.pixel_mm
