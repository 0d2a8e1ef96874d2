"""Fits and judges the head that tells benign lung, adenocarcinoma and squamous carcinoma apart.

A linear softmax with a ridge over frozen features; restained copies of a training tile are
rows of their own. Folds never part a cluster of near-copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

Array = np.ndarray
CLASSES = ("lung_n", "lung_aca", "lung_scc")
SEED = 20261126
FOLDS = 10
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Head:
    """Logits are `features @ weight + bias`."""

    weight: Array
    bias: Array

    def probabilities(self, features: Array) -> Array:
        """Return probabilities, (n, 3)."""
        logits = features.astype(np.float64) @ self.weight + self.bias
        logits -= logits.max(1, keepdims=True)
        odds = np.exp(logits)
        return odds / odds.sum(1, keepdims=True)


def fit(features: Array, labels: Array, ridge: float) -> Head:
    """Return the head with the least cross-entropy plus ridge on standardised features."""
    mean, spread = features.mean(0), features.std(0) + 1e-3
    x = torch.from_numpy((features - mean) / spread).double()
    y = torch.from_numpy(labels)
    weight = torch.zeros(x.shape[1], 3, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=80, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        solver.zero_grad()
        value = functional.cross_entropy(x @ weight + bias, y) + ridge * (weight**2).sum()
        value.backward()
        return value

    solver.step(loss)
    scaled = weight.detach().numpy() / spread[:, None]
    return Head(scaled, bias.detach().numpy() - mean @ scaled)


def labels_of(kinds: Sequence[str]) -> Array:
    """Return class numbers, (n,)."""
    return np.array([CLASSES.index(kind) for kind in kinds])


def folds(labels: Array, count: int = FOLDS, seed: int = SEED) -> Array:
    """Return the fold of every tile, with equal shares of the classes."""
    generator = np.random.default_rng(seed)
    found = np.zeros(len(labels), np.int64)
    for which in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == which))
        found[rows] = np.arange(len(rows)) % count
    return found


def colour_groups(colours: Array, count: int, seed: int = SEED) -> Array:
    """Return groups of tiles that are stained alike, by k-means: a stand-in for slides."""
    generator = np.random.default_rng(seed)
    x = (colours - colours.mean(0)) / colours.std(0)
    middles = x[generator.choice(len(x), count, replace=False)]
    group = np.zeros(len(x), np.int64)
    for _ in range(50):
        group = ((x[:, None] - middles[None]) ** 2).sum(2).argmin(1)
        middles = np.stack(
            [x[group == k].mean(0) if (group == k).any() else middles[k] for k in range(count)]
        )
    return group


def crossed(
    kept: Mapping[str, Array], train_on: Sequence[str], labels: Array, fold: Array,
    columns: Array, ridge: float, tested: Sequence[str] = ("as it is",),
) -> dict[str, Array]:  # fmt: skip
    """Return each tile's probabilities from a head that never saw it, by condition."""
    found = {name: np.zeros((len(labels), 3)) for name in tested}
    for which in np.unique(fold):
        out = fold == which
        rows = np.concatenate([kept[name][~out][:, columns] for name in train_on])
        head = fit(rows, np.tile(labels[~out], len(train_on)), ridge)
        for name in tested:
            found[name][out] = head.probabilities(kept[name][out][:, columns])
    return found
