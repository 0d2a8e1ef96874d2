"""The impression: its patches, their features, folds of patients, and the fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.nodules.impression_network import ATTITUDES, HIGHEST, RATINGS, Features
from training.nodules.lidc import PATCH, Patches
from training.nodules.outline_network import cut
from training.nodules.ridge import Linear, fit, mean

SEED = 20261126
FOLDS, TEST_SHARE = 5, 0.2
TEST, LEFT_OUT = -1, -2
WIDE, NEAR = slice(142, 838), slice(838, 1534)
"""Columns of the two views; the rings come first."""

SHRINKAGE = 300.0
"""Chosen over the folds among 100, 300 and 1000."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Nodules:
    """Features and ratings of all nodules."""

    features: Floats
    """(nodules, attitudes, 1534)."""

    ratings: Floats
    """(nodules, 8): means of the readers."""

    readers: Ints
    fold: Ints
    """Of each nodule's patient: 0 to 4; -1 the test part; -2 LIDC-IDRI-0001, left out."""

    patient: npt.NDArray[np.str_]
    diameter_mm: Floats
    """Of the area that one reader outlined: the baseline."""


def folds(patient: npt.NDArray[np.str_]) -> Ints:
    """Return the fold of each nodule's patient."""
    names = np.unique(patient)
    order = np.random.default_rng(SEED).permutation(names)
    test = int(TEST_SHARE * len(names))
    fold = dict.fromkeys(order[:test], TEST)
    fold |= {name: number % FOLDS for number, name in enumerate(order[test:])}
    fold["LIDC-IDRI-0001"] = LEFT_OUT
    return np.array([fold[name] for name in patient])


def patches(known: Patches) -> Tensor:
    """Return every nodule's patch, float32 (n, 1, 64, 64), HU."""
    fields = torch.from_numpy(known.hu.astype(np.float32)).unsqueeze(1)
    pixel_mm = torch.from_numpy(known.pixel_mm).float()
    centre = torch.full((len(fields), 2), float(PATCH // 2))
    return torch.cat(
        [
            cut(fields[at : at + 200], pixel_mm[at : at + 200], centre[at : at + 200])
            for at in range(0, len(fields), 200)
        ]
    )


def features(shown: Tensor) -> npt.NDArray[np.float32]:
    """Return the features of every attitude, (n, attitudes, 1534)."""
    network = Features().eval()
    parts = []
    with torch.no_grad():
        for at in range(0, len(shown), 64):
            batch = shown[at : at + 64]
            parts.append(torch.stack([network(turn(batch)) for turn in ATTITUDES], dim=1))
    return torch.cat(parts).numpy()


def gather(known: Patches, found: npt.NDArray[np.float32]) -> Nodules:
    """Return the nodules with their features."""
    return Nodules(
        found.astype(np.float64),
        np.stack([known.ratings[name] for name in RATINGS], 1),
        known.readers,
        folds(known.patient),
        known.patient,
        2 * np.sqrt(known.area_mm2 / np.pi),
    )


def train(nodules: Nodules, rows: Ints) -> Linear:
    """Return the mean of two fits: rings with the wide view, rings with the near one.

    On each attitude of some nodules, weighted by the square root of their readers.
    """
    attitudes = nodules.features.shape[1]
    wanted = ((nodules.ratings[rows] - 1) / (np.array(HIGHEST) - 1)).clip(0, 1)
    weight = np.sqrt(nodules.readers[rows]) / attitudes
    found = nodules.features[rows].reshape(len(rows) * attitudes, -1)
    every = np.arange(found.shape[1])
    views = [np.delete(every, np.s_[other]) for other in (NEAR, WIDE)]
    fits = [
        fit(
            found[:, columns],
            np.repeat(wanted, attitudes, axis=0),
            np.repeat(weight, attitudes),
            SHRINKAGE,
        )
        for columns in views
    ]
    return mean(fits, views, found.shape[1])


def logits(linear: Linear, nodules: Nodules, rows: Ints) -> Floats:
    """Return mean logits over the attitudes, (n, 8)."""
    attitudes = nodules.features.shape[1]
    seen = [linear.logits(nodules.features[rows, number]) for number in range(attitudes)]
    return np.asarray(np.mean(seen, axis=0))


def across_folds(nodules: Nodules) -> Floats:
    """Return logits of each fold's nodules from a fit on the other folds; NaN elsewhere."""
    found = np.full((len(nodules.fold), len(RATINGS)), np.nan)
    for fold in range(FOLDS):
        rows = np.flatnonzero(nodules.fold == fold)
        others = np.flatnonzero((nodules.fold >= 0) & (nodules.fold != fold))
        found[rows] = logits(train(nodules, others), nodules, rows)
    return found
