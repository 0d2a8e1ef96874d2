"""How good a segmentation of nuclei is: Dice, AJI and PQ of one image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


def dice(found: Mask, truth: Mask) -> float:
    """Return twice the overlap over the sum; 1 when both are empty."""
    total = int(found.sum()) + int(truth.sum())
    return 2.0 * int((found & truth).sum()) / total if total else 1.0


def aji(found: Labels, truth: Labels) -> float:
    """Return the aggregated Jaccard index (Kumar et al. 2017)."""
    overlap, areas, wanted = _overlap(found, truth)
    if not len(wanted):
        return 1.0 if not len(areas) else 0.0
    if not len(areas):
        return 0.0
    union = wanted[:, None] + areas[None, :] - overlap
    best = np.argmax(overlap / union, axis=1)
    rows = np.arange(len(wanted))
    hit = overlap[rows, best] > 0
    shared = int(overlap[rows, best][hit].sum())
    whole = int(union[rows, best][hit].sum()) + int(wanted[~hit].sum())
    unused = np.setdiff1d(np.arange(len(areas)), best[hit])
    return shared / (whole + int(areas[unused].sum()))


def pq(found: Labels, truth: Labels) -> float:
    """Return the panoptic quality; an instance is matched from an IoU of 0.5."""
    overlap, areas, wanted = _overlap(found, truth)
    if not len(wanted) and not len(areas):
        return 1.0
    union = wanted[:, None] + areas[None, :] - overlap
    iou = overlap / np.maximum(union, 1)
    matched = iou[iou > 0.5]
    missed = len(wanted) + len(areas) - 2 * len(matched)
    return float(matched.sum() / (len(matched) + 0.5 * missed))


def _overlap(
    found: Labels, truth: Labels
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return shared pixels (truth, found), the areas found and the areas wanted."""
    found, truth = _dense(found), _dense(truth)
    rows, columns = int(truth.max()) + 1, int(found.max()) + 1
    pairs = truth.astype(np.int64) * columns + found
    table = np.bincount(pairs.ravel(), minlength=rows * columns).reshape(rows, columns)
    return table[1:, 1:], table[:, 1:].sum(0), table[1:].sum(1)


def _dense(labels: Labels) -> Labels:
    names, places = np.unique(labels, return_inverse=True)
    first = 0 if len(names) and names[0] == 0 else 1
    return np.asarray(places.reshape(labels.shape) + first, np.int32)
