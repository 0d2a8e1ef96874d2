"""The candidate networks: their crops, their training.

Two networks answer together: the first one, trained on with extra crops, and a residual one.

Nodules and spots cut from LIDC slices are added (`extra.py`); pairs of crops are mixed; four
attitudes of each crop are looked at in the exported network itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from training.nodules.extra import Extra
from training.nodules.loop import Network, Plan, fit
from training.nodules.network import Calibrated, vary

SEED = 1
BATCH = 64
DECAY = 0.03
RESIDUAL = Plan(epochs=9, steps=0, rate=3e-3, decay=DECAY, averaged=0.998)
GOING_ON = Plan(epochs=6, steps=0, rate=6e-4, decay=DECAY, averaged=0.998)
LAST = 3
"""In the last epochs fewer extra crops are drawn: the candidates are what counts."""

NODULES, SPOTS = (599, 300), (900, 300)
"""Extra crops an epoch at most, before and in the last epochs."""

SOFT = 0.015
MIXED, MIX = 0.4, 0.3
"""Share of the batches that are mixed, and the parameter of the beta distribution."""

Ints = npt.NDArray[np.int64]
Grey = npt.NDArray[np.uint8]


@dataclass
class Drawer:
    """Draws the batches of an epoch."""

    images: Tensor
    labels: Tensor
    own: int
    """The first so many are candidates; the rest is extra."""

    epochs: int
    random: np.random.Generator
    generator: torch.Generator

    def rows(self, epoch: int) -> Ints:
        """Return the rows of an epoch in their order."""
        last = int(epoch >= self.epochs - LAST)
        extra = self.labels[self.own :].numpy()
        parts = [np.arange(self.own)]
        for label, most in ((1, NODULES[last]), (0, SPOTS[last])):
            there = self.own + np.flatnonzero(extra == label)
            parts.append(self.random.choice(there, min(most, len(there)), replace=False))
        return np.asarray(self.random.permutation(np.concatenate(parts)))

    def losses(self, network: Network, epoch: int) -> Iterator[Tensor]:
        """Give the loss of each batch."""
        order = self.rows(epoch)
        for at in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[at : at + BATCH]
            crops = vary(self.images[rows].float() / 255, self.generator)
            labels = self.labels[rows] * (1 - 2 * SOFT) + SOFT
            if self.random.random() < MIXED:
                share = float(self.random.beta(MIX, MIX))
                other = torch.randperm(BATCH, generator=self.generator)
                crops = share * crops + (1 - share) * crops[other]
                labels = share * labels + (1 - share) * labels[other]
            logits = network(crops.contiguous(memory_format=torch.channels_last))
            yield functional.binary_cross_entropy_with_logits(logits, labels)


def train(
    network: Network, plan: Plan, grey: Grey, labels: Ints, extra: Extra, kept: Path
) -> Network:
    """Return a network trained on candidates (n, 50, 50) and on extra crops."""
    torch.manual_seed(SEED)
    drawer = Drawer(
        torch.from_numpy(np.concatenate([grey, extra.grey])).unsqueeze(1),
        torch.from_numpy(np.concatenate([labels, extra.label])).float(),
        len(grey),
        plan.epochs,
        np.random.default_rng(SEED),
        torch.Generator().manual_seed(SEED),
    )
    steps = (len(grey) + NODULES[0] + SPOTS[0]) // BATCH
    return fit(network, drawer.losses, replace(plan, steps=steps), kept)


def logits_of(networks: list[Network], grey: Grey, attitudes: int = 4) -> npt.NDArray[np.float64]:
    """Return the mean logits over networks and attitudes, (n,)."""
    model = Calibrated(networks, 1.0, 0.0, attitudes).eval()
    images = torch.from_numpy(grey).unsqueeze(1)
    with torch.no_grad():
        parts = [
            model.logits(images[at : at + 128].float() / 255) for at in range(0, len(images), 128)
        ]
    return torch.cat(parts).double().numpy()
