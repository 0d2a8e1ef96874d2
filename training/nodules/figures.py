"""Figures of a classifier, with bootstrap intervals over groups of near-copies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DRAWS = 1000


def auc(labels: Ints, scores: Floats) -> float:
    """Return the area under the ROC curve; ties count half."""
    ranks = rankdata(scores)
    positives = int(labels.sum())
    negatives = len(labels) - positives
    return float(
        (ranks[labels == 1].sum() - positives * (positives + 1) / 2) / positives / negatives
    )


def average_precision(labels: Ints, scores: Floats) -> float:
    """Return the mean precision at each nodule, best score first."""
    found = labels[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(found) / np.arange(1, len(found) + 1)
    return float(precision[found == 1].mean())


def sensitivity_at(labels: Ints, scores: Floats, false_positives: float) -> float:
    """Return the share of nodules above the score that this share of the rest exceeds."""
    limit = np.quantile(scores[labels == 0], 1 - false_positives)
    return float((scores[labels == 1] > limit).mean())


def brier(labels: Ints, scores: Floats) -> float:
    """Return the mean squared error of the probability."""
    return float(((scores - labels) ** 2).mean())


def interval(
    figure: Callable[[Ints, Floats], float], labels: Ints, scores: Floats, groups: Ints, seed: int
) -> dict[str, float]:
    """Return the figure with its 95% interval; groups, not crops, are drawn again."""
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    drawn: list[float] = []
    for _ in range(DRAWS):
        chosen = generator.integers(0, len(members), len(members))
        rows = np.concatenate([members[which] for which in chosen])
        if 0 < labels[rows].sum() < len(rows):
            drawn.append(figure(labels[rows], scores[rows]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = figure(labels, scores)
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def calibration(labels: Ints, scores: Floats, bins: int = 10) -> dict[str, object]:
    """Return the expected calibration error over bins of equal count, and the curve."""
    order = np.argsort(scores, kind="stable")
    curve, error = [], 0.0
    for rows in np.array_split(order, bins):
        said, was = float(scores[rows].mean()), float(labels[rows].mean())
        curve.append({"said": round(said, 4), "was": round(was, 4), "number": len(rows)})
        error += abs(said - was) * len(rows) / len(scores)
    return {"expected_error": round(error, 4), "curve": curve}


def platt(logits: Floats, labels: Ints) -> tuple[float, float]:
    """Return scale and shift of the logits with the least cross-entropy (Newton's steps)."""
    middle, spread = float(logits.mean()), float(logits.std()) + 1e-12
    x = np.stack([(logits - middle) / spread, np.ones_like(logits)], axis=1)
    weights = np.zeros(2)
    for _ in range(100):
        chance = 1.0 / (1.0 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (chance - labels)
        curvature = (x * (chance * (1 - chance))[:, None]).T @ x + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    scale = float(weights[0]) / spread
    return scale, float(weights[1]) - scale * middle
