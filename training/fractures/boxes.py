"""Boxes: non-maximum suppression, and average precision as detection benchmarks count it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.fractures.data import Floats

Scores = npt.NDArray[np.float64]
MATCH = 0.5


def ious(boxes: Floats, others: Floats) -> npt.NDArray[np.float32]:
    """Return intersection over union, (k, m)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(-1)
    areas = [np.clip(b[:, 2:] - b[:, :2], 0, None).prod(-1) for b in (boxes, others)]
    return common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-6)


def suppress(boxes: Floats, scores: Scores, limit: float) -> npt.NDArray[np.int64]:
    """Return the boxes to keep, best first: none overlaps a better one by more than `limit`."""
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        if not kept or float(ious(boxes[row : row + 1], boxes[kept]).max()) <= limit:
            kept.append(int(row))
    return np.array(kept, np.int64)


def matches(
    found: Sequence[Floats], scores: Sequence[Scores], truth: Sequence[Floats], limit: float = MATCH
) -> list[tuple[Scores, npt.NDArray[np.bool_]]]:
    """Return for each image the scores of its boxes, best first, and which hit a fracture.

    A fracture is hit once, by the best-scored box that overlaps it enough.
    """
    result = []
    for boxes, chances, wanted in zip(found, scores, truth, strict=True):
        order = np.argsort(-chances, kind="stable")
        hit, free = np.zeros(len(order), bool), np.ones(len(wanted), bool)
        shared = ious(boxes[order], wanted) if len(wanted) else None
        for row in range(len(order)):
            if shared is not None and free.any():
                best = int(np.argmax(np.where(free, shared[row], -1.0)))
                if shared[row, best] >= limit:
                    hit[row], free[best] = True, False
        result.append((chances[order], hit))
    return result


def average_precision(
    matched: Sequence[tuple[Scores, npt.NDArray[np.bool_]]], fractures: int
) -> float:
    """Return the area under precision against recall, at 101 recalls (COCO's AP at one IoU)."""
    if not fractures or not matched:
        return 0.0
    scores = np.concatenate([chances for chances, _ in matched])
    hits = np.concatenate([hit for _, hit in matched])[np.argsort(-scores, kind="stable")]
    if not len(hits):
        return 0.0
    recall = np.cumsum(hits) / fractures
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.where(at < len(precision), precision[np.minimum(at, len(hits) - 1)], 0).mean())
