"""Is it a chest CT, and the block of it that the search looks at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.imaging import lungs as lung_mask
from services.imaging.lungs import Lungs, Mask
from services.imaging.series.refusals import NotAChestCt
from services.imaging.series.volume import Volume

LUNG_ML_MIN = 300.0
ONE_SIDE_SHARE_MIN = 0.12
"""Each lung holds at least this share of the air: two lungs, not one air space."""

SLICES_SHARE_MIN = 0.25
SLICE_CM2_MIN = 20.0
"""At least a quarter of the slices show 20 cm2 of lung: more than the bases of an abdomen CT."""

SEARCH_MM = (1.25, 0.8, 0.8)
"""Finer voxels are averaged to about this size for the search: a 3 mm nodule still shows."""

BACKGROUND_HU = -850.0
"""What the search sees outside the lungs."""

BRIGHT_HU = 150.0
"""Contrast and bone above this are no brighter to the search."""


@dataclass(frozen=True, slots=True)
class Block:
    """The lungs' bounding box: what the search looks at, and where it lies in the volume."""

    field: npt.NDArray[np.float32]
    """float32, HU, clipped; `BACKGROUND_HU` outside the lungs."""

    inside: Mask
    start: tuple[int, int, int]
    step: tuple[int, int, int]
    """Voxels of the volume that make one of the block, on each axis."""

    spacing_mm: tuple[float, float, float]
    """Of the block."""

    def to_volume(self, place: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the volume's index of a place in the block."""
        step = np.array(self.step)
        return np.asarray((place + 0.5) * step - 0.5 + self.start)


def check_chest(volume: Volume, lungs: Lungs) -> None:
    """Refuse a CT that does not show two lungs; a slab of the chest is enough.

    Raises
    ------
    NotAChestCt
    """
    if lungs.volume_ml < LUNG_ML_MIN:
        raise NotAChestCt("the CT shows no lungs", lung_ml=lungs.volume_ml, needed_ml=LUNG_ML_MIN)
    smaller = min(lungs.right_ml, lungs.left_ml)
    if smaller < ONE_SIDE_SHARE_MIN * lungs.volume_ml:
        raise NotAChestCt(
            "the CT does not show two lungs", right_ml=lungs.right_ml, left_ml=lungs.left_ml
        )
    thickness_cm = volume.spacing_mm[0] * lungs.step[0] / 10.0
    area_cm2 = lungs.air.sum(axis=(1, 2)) * lungs.voxel_ml / thickness_cm
    share = float((area_cm2 >= SLICE_CM2_MIN).mean())
    if share < SLICES_SHARE_MIN:
        raise NotAChestCt(
            "too few of the slices show lung", share=share, needed_share=SLICES_SHARE_MIN
        )


def block(volume: Volume, lungs: Lungs) -> Block:
    """Return the part of the volume that holds the lungs, as the search sees it."""
    start, stop = _bounds(volume, lungs)
    z, y, x = (
        max(1, round(wanted / mm)) for wanted, mm in zip(SEARCH_MM, volume.spacing_mm, strict=True)
    )
    step = (z, y, x)
    window = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    field = lung_mask.reduce(volume.hu[window], step)
    np.clip(field, -1000, BRIGHT_HU, out=field)
    inside = lung_mask.sample(lungs, start, field.shape, step)
    field[~inside] = BACKGROUND_HU
    dz, dy, dx = (mm * by for mm, by in zip(volume.spacing_mm, step, strict=True))
    return Block(field, inside, start, step, (dz, dy, dx))


def _bounds(volume: Volume, lungs: Lungs) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return first and one past the last voxel of the lungs on each axis."""
    starts, stops = [], []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        shown = np.flatnonzero(lungs.inside.any(axis=others))
        starts.append(int(shown[0]) * lungs.step[axis])
        stops.append(min((int(shown[-1]) + 1) * lungs.step[axis], volume.hu.shape[axis]))
    return (starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2])
