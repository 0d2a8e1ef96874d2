"""Logistic regression with shrinkage and soft labels, by Newton's steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LIMIT = 4.0
"""Standardised features beyond this count as this."""

STEPS = 12

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """Standardisation and weights; the last row of the weights is the constant."""

    middle: Floats
    spread: Floats
    weights: Floats

    def logits(self, features: Floats) -> Floats:
        """Return logits, (n, outputs)."""
        return _standard(features, self.middle, self.spread) @ self.weights


def fit(features: Floats, wanted: Floats, weight: Floats, shrinkage: float) -> Linear:
    """Return the regression of each column of `wanted`, 0 to 1, on the features."""
    middle, spread = features.mean(axis=0), features.std(axis=0) + 1e-3
    x = _standard(features, middle, spread)
    columns = [_solve(x, column, weight, shrinkage) for column in wanted.T]
    return Linear(middle, spread, np.stack(columns, axis=1))


def mean(fits: Sequence[Linear], columns: Sequence[npt.NDArray[np.int64]], count: int) -> Linear:
    """Return one regression on `count` features that gives the mean of the fits' logits.

    columns : the features of each fit; one that several read is standardised alike in all
    """
    middle, spread = np.zeros(count), np.ones(count)
    weights = np.zeros((count + 1, fits[0].weights.shape[1]))
    for one, at in zip(fits, columns, strict=True):
        middle[at], spread[at] = one.middle, one.spread
        weights[at] += one.weights[:-1] / len(fits)
        weights[-1] += one.weights[-1] / len(fits)
    return Linear(middle, spread, weights)


def _standard(features: Floats, middle: Floats, spread: Floats) -> Floats:
    scaled = ((features - middle) / spread).clip(-LIMIT, LIMIT)
    return np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)


def _solve(x: Floats, wanted: Floats, weight: Floats, shrinkage: float) -> Floats:
    shrunk = np.full(x.shape[1], shrinkage)
    shrunk[-1] = 0.0
    found = np.zeros(x.shape[1])
    for _ in range(STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(x @ found, -30, 30)))
        gradient = x.T @ (weight * (chance - wanted)) + shrunk * found
        curvature = (x * (weight * chance * (1 - chance))[:, None]).T @ x
        step = np.linalg.solve(curvature + np.diag(shrunk + 1e-6), gradient)
        found = found - step
        if np.abs(step).max() < 1e-5:
            break
    return found
