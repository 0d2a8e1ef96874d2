"""Tumour cellularity: the share of nuclei in a region that are the tumour's, with an interval.

No network here tells tumour cells from others one by one; none of the open sets names single
cells. A nucleus counts as the tumour's by the probability of tumour of the cell of the heat map
it lies in, unless it looks like a lymphocyte's (small, round). The interval reaches from that
count (lower end over resampled cells of the heat map) to the one that takes small round nuclei
for the tumour's too (upper end). Readers differ by three deciles in a third of cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from services.imaging.pathology.results import Batch, Found

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SMALL_UM2 = 38.0
"""Lymphocytes' nuclei are 6 to 7 um wide."""

ROUND_MIN = 0.65
DRAWS = 500
SEED = 7
NUCLEI_MIN = 50
"""Fewer nuclei give no percentage."""


REGION_CELLS_MIN = 4
"""Cells of the heat map, 0.05 mm2: less is no region."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of 0 to 1 and the ends of its interval."""

    value: float
    low: float
    high: float
    nuclei: int


def small_and_round(nuclei: Batch) -> Mask:
    """Tell which nuclei look like a lymphocyte's, (n,)."""
    return np.asarray((nuclei.areas < SMALL_UM2) & (nuclei.roundness >= ROUND_MIN))


def tumour_of(found: Found) -> Floats:
    """Return the probability of tumour of every cell, (rows, columns); NaN where not judged."""
    return np.asarray(1.0 - found.kinds[:, :, 0], np.float32)


def regions(high: Mask) -> Mask:
    """Return the cells that hang together with enough others to be a region."""
    labels, count = ndimage.label(high, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray((sizes >= REGION_CELLS_MIN)[labels])


def suspect_region(tumour: Floats, counts: npt.NDArray[np.int32], threshold: float) -> Mask:
    """Return the region at or above the threshold that holds the most nuclei."""
    high = regions(np.nan_to_num(tumour, nan=0.0) >= threshold)
    labels, count = ndimage.label(high, np.ones((3, 3)))
    if not count:
        return np.zeros(tumour.shape, bool)
    held = ndimage.sum_labels(counts, labels, np.arange(1, count + 1))
    return np.asarray(labels == int(np.argmax(held)) + 1)


def marked_region(found: Found, box: tuple[float, float, float, float]) -> Mask:
    """Return the cells whose middle lies in a box of level 0: left, top, right, bottom."""
    side = found.grid.scale * 224
    rows, columns = found.counts.shape
    x = (np.arange(columns) + 0.5) * side
    y = (np.arange(rows) + 0.5) * side
    left, top, right, bottom = box
    inside = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))[None, :]
    return np.asarray(inside)


def share_in(found: Found, nuclei: Batch, region: Mask) -> Share | None:
    """Return the tumour's share of the nuclei in a region; None: too few nuclei."""
    at = found.cells_of(nuclei.places)
    tumour = np.nan_to_num(tumour_of(found), nan=0.0)
    small = small_and_round(nuclei)
    rows, columns = np.nonzero(region)
    place = np.full(region.shape, -1, np.int64)
    place[rows, columns] = np.arange(len(rows))
    cell = place[at[:, 1], at[:, 0]]
    inside = cell >= 0
    total = np.bincount(cell[inside], minlength=len(rows)).astype(np.float64)
    if total.sum() < NUCLEI_MIN:
        return None
    larger = np.bincount(cell[inside & ~small], minlength=len(rows)).astype(np.float64)
    weight = tumour[rows, columns].astype(np.float64)
    drawn = np.random.default_rng(SEED).multinomial(
        len(rows), np.full(len(rows), 1 / len(rows)), DRAWS
    )
    below = np.maximum(drawn @ total, 1.0)
    low = float(np.quantile(drawn @ (weight * larger) / below, 0.025))
    high = float(np.quantile(drawn @ (weight * total) / below, 0.975))
    value = float((weight * larger).sum() / total.sum())
    return Share(value, min(low, value), max(high, value), int(total.sum()))
