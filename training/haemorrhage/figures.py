"""Figures with bootstrap intervals over patients, calibration, and baselines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

REPEATS = 1000
SEED = 7
BINS = 10

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Measure = Callable[[Ints, Floats], float]


def auc(labels: Ints, scores: Floats) -> float:
    """Return the area under the ROC curve; NaN where one class is missing."""
    positive = int(labels.sum())
    negative = len(labels) - positive
    if not positive or not negative:
        return float("nan")
    ranks = rankdata(scores)
    above = ranks[labels == 1].sum() - positive * (positive + 1) / 2
    return float(above / (positive * negative))


def average_precision(labels: Ints, scores: Floats) -> float:
    """Return the mean precision at each positive."""
    order = np.argsort(-scores, kind="stable")
    hits = labels[order] == 1
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean()) if hits.any() else float("nan")


def interval(
    measure: Measure, labels: Ints, scores: Floats, patient: Ints
) -> dict[str, float | None]:
    """Return a figure and its 95% interval by resampling patients."""
    value = measure(labels, scores)
    generator = np.random.default_rng(SEED)
    rows = {p: np.flatnonzero(patient == p) for p in np.unique(patient)}
    names = np.array(sorted(rows))
    drawn = []
    for _ in range(REPEATS):
        chosen = generator.choice(names, len(names))
        at = np.concatenate([rows[p] for p in chosen])
        drawn.append(measure(labels[at], scores[at]))
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def calibration(labels: Ints, probability: Floats, bins: int = BINS) -> dict[str, Any]:
    """Return the expected calibration error and the curve, in bins of as many cases each."""
    order = np.argsort(probability, kind="stable")
    curve, error = [], 0.0
    for part in np.array_split(order, bins):
        said, seen = float(probability[part].mean()), float(labels[part].mean())
        error += abs(said - seen) * len(part) / len(labels)
        curve.append({"said": round(said, 4), "seen": round(seen, 4), "cases": len(part)})
    return {"expected_calibration_error": round(error, 4), "curve": curve}


def platt(logits: Floats, labels: Ints, ridge: float = 1e-3) -> tuple[float, float]:
    """Return scale and shift of logits with the least cross-entropy, scale positive."""
    x = np.stack([logits, np.ones_like(logits)], 1)
    weight, wanted = np.array([1.0, 0.0]), np.array([1.0, 0.0])

    def loss(tried: Floats) -> float:
        shown = x @ tried
        missed = np.logaddexp(0.0, shown) - labels * shown
        return float(missed.sum() + ridge * ((tried - wanted) ** 2).sum() / 2)

    for _ in range(100):
        chance = 1 / (1 + np.exp(-np.clip(x @ weight, -30, 30)))
        slope = x.T @ (chance - labels) + ridge * (weight - wanted)
        curve = (x * (chance * (1 - chance))[:, None]).T @ x + ridge * np.eye(2)
        step = np.linalg.solve(curve, slope)
        while loss(weight - step) > loss(weight) and float(np.abs(step).max()) > 1e-9:
            step = step / 2  # far from the best a whole step leads away from it
        weight = weight - step
        if float(np.abs(step).max()) < 1e-9:
            break
    return float(max(weight[0], 0.05)), float(weight[1])


def position_baseline(position: Floats, labels: Ints, fold: Ints) -> Floats:
    """Return how often slices at a place in the stack are positive in the other folds."""
    made = np.zeros(len(position))
    cell = np.minimum((position * 20).astype(int), 19)
    for number in np.unique(fold):
        other = fold != number
        hits = np.bincount(cell[other], weights=labels[other], minlength=20)
        seen = np.maximum(np.bincount(cell[other], minlength=20), 1)
        share = np.convolve(np.pad(hits / seen, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
        made[~other] = share[cell[~other]]
    return made


def operating_point(labels: Ints, probability: Floats, sensitivity: float) -> float:
    """Return the largest threshold, in steps of 0.01, that keeps this share of positives."""
    for step in range(99, 0, -1):
        if float((probability[labels == 1] >= step / 100).mean()) >= sensitivity:
            return step / 100
    return 0.01
