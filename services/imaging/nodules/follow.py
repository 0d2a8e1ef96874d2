"""Which nodule of an earlier CT is which of this one.

Places are given in the lungs, not in the scanner: as shares of the box around both lungs, so
that another table height, another breath or another start of the scan does not matter much. What
shift is left is taken from the pairs themselves, and pairs are chosen anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

NEAR_MM = 25.0
"""Two nodules may be the same up to this distance before, and half of it after alignment."""

VOLUME_RATIO_MAX = 12.0
"""More growth than this is taken for two nodules."""

SIZE_MM = 6.0
"""A doubling of volume counts as much as this distance."""

FAR = 1e6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spot:
    """A nodule as it is followed."""

    place: tuple[float, float, float]
    """Shares of the lungs' box, 0 to 1: across (from the patient's right), back, up."""

    volume_mm3: float
    left: bool | None
    """Side; None: not determined."""


def pair(
    before: Sequence[Spot], now: Sequence[Spot], lungs_mm: tuple[float, float, float]
) -> dict[int, int]:
    """Return for nodules of this CT (index) the one of the earlier CT (index).

    `lungs_mm` is the size of the lungs' box on this CT.
    """
    if not before or not now:
        return {}
    one = np.array([spot.place for spot in before]) * lungs_mm
    two = np.array([spot.place for spot in now]) * lungs_mm
    first = _assign(before, now, two[:, None] - one[None, :], NEAR_MM)
    if not first:
        return {}
    if len(first) < 2:
        return first  # one pair alone would always fit itself
    shift = np.median([two[k] - one[j] for k, j in first.items()], axis=0)
    return _assign(before, now, two[:, None] - one[None, :] - shift, NEAR_MM / 2)


def _assign(
    before: Sequence[Spot], now: Sequence[Spot], apart: Floats, near_mm: float
) -> dict[int, int]:
    distance = np.linalg.norm(apart, axis=2)
    ratio = np.log2(
        np.array([[max(a.volume_mm3, 1.0) / max(b.volume_mm3, 1.0) for b in before] for a in now])
    )
    other_side = np.array(
        [
            [a.left is not None and b.left is not None and a.left != b.left for b in before]
            for a in now
        ]
    )
    never = (distance > near_mm) | (np.abs(ratio) > np.log2(VOLUME_RATIO_MAX)) | other_side
    cost = np.where(never, FAR, distance + SIZE_MM * np.abs(ratio))
    rows, columns = linear_sum_assignment(cost)
    return {int(k): int(j) for k, j in zip(rows, columns, strict=True) if not never[int(k), int(j)]}
