"""Figures with bootstrap intervals over groups, and calibration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import rankdata

Array = np.ndarray
DRAWS = 1000
BINS = 10


def auc(labels: Array, scores: Array) -> float:
    """Return the area under the ROC curve; ties count half."""
    ranks = rankdata(scores)
    positives = int(labels.sum())
    negatives = len(labels) - positives
    above = ranks[labels == 1].sum() - positives * (positives + 1) / 2
    return float(above / positives / negatives)


def interval(
    figure: Callable[[Array], float], groups: Array, seed: int = 7, draws: int = DRAWS
) -> dict[str, float]:
    """Return a figure of rows with its 95% interval; groups are drawn again, not rows.

    Parameters
    ----------
    figure : of row numbers, (n,); raises ValueError or ZeroDivisionError where it has no value
    """
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == one) for one in np.unique(groups)]
    drawn = []
    for _ in range(draws):
        chosen = generator.integers(0, len(members), len(members))
        rows = np.concatenate([members[which] for which in chosen])
        try:
            drawn.append(figure(rows))
        except (ValueError, ZeroDivisionError):
            continue
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = figure(np.arange(len(groups)))
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def mean_of(values: Array, groups: Array) -> dict[str, float]:
    """Return the mean of values with its interval."""
    return interval(lambda rows: float(values[rows].mean()), groups)


def auc_of(labels: Array, scores: Array, groups: Array) -> dict[str, float]:
    """Return the AUC with its interval."""

    def figure(rows: Array) -> float:
        if not 0 < labels[rows].sum() < len(rows):
            raise ValueError("one class alone")
        return auc(labels[rows], scores[rows])

    return interval(figure, groups)


def calibration(labels: Array, probability: Array, bins: int = BINS) -> dict[str, Any]:
    """Return the expected calibration error and the curve, in bins of as many cases each."""
    order = np.argsort(probability, kind="stable")
    curve, error = [], 0.0
    for rows in np.array_split(order, bins):
        said, was = float(probability[rows].mean()), float(labels[rows].mean())
        curve.append({"said": round(said, 4), "was": round(was, 4), "cases": len(rows)})
        error += abs(said - was) * len(rows) / len(order)
    return {"expected_calibration_error": round(error, 4), "curve": curve}
