"""Small dense networks on the features of whole slices, beside the reader and the linear layer.

All seven outputs share what they learn, which the rare types need. Trained in seconds with mixup;
the mean of several is taken.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.haemorrhage.pooled import LIMIT

SEEDS = (0, 1, 2)
WIDTH, EPOCHS, BATCH = 64, 8, 128
RATE, DECAY, MIXUP = 1.5e-3, 0.1, 0.4
DROP_IN, DROP = 0.3, 0.5

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


class Dense(nn.Module):
    """Takes features (n, POOLED); gives the networks' mean logits, (n, 7)."""

    def __init__(self, middle: Tensor, spread: Tensor, networks: list[nn.Module]) -> None:
        super().__init__()
        self.register_buffer("middle", middle)
        self.register_buffer("spread", spread)
        self.networks = nn.ModuleList(networks)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits, (n, 7)."""
        standard = ((features - self.middle) / self.spread).clamp(-LIMIT, LIMIT)
        return torch.stack([network(standard) for network in self.networks]).mean(dim=0)


def train(features: Singles, wanted: Floats, weight: Floats) -> Dense:
    """Return the networks trained on features (n, POOLED), labels (n, 7) and weights (n,)."""
    middle = torch.from_numpy(features.mean(axis=0))
    spread = torch.from_numpy(features.std(axis=0) + np.float32(1e-3))
    standard = ((torch.from_numpy(features) - middle) / spread).clamp(-LIMIT, LIMIT)
    labels = torch.from_numpy(wanted).float()
    weights = torch.from_numpy(weight / weight.mean()).float().unsqueeze(1)
    networks = [_train(standard, labels, weights, seed) for seed in SEEDS]
    return Dense(middle, spread, networks).eval()


def _train(features: Tensor, wanted: Tensor, weight: Tensor, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    network = nn.Sequential(
        nn.Dropout(DROP_IN),
        nn.Linear(features.shape[1], WIDTH),
        nn.BatchNorm1d(WIDTH),
        nn.ReLU(),
        nn.Dropout(DROP),
        nn.Linear(WIDTH, wanted.shape[1]),
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    steps = EPOCHS * (len(features) // BATCH) + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=steps, pct_start=0.2
    )
    for _ in range(EPOCHS):
        order = torch.from_numpy(random.permutation(len(features)))
        for at in range(0, len(features) - BATCH + 1, BATCH):
            rows = order[at : at + BATCH]
            others = rows[torch.randperm(BATCH)]
            share = float(random.beta(MIXUP, MIXUP))
            mixed, labels, weights = (
                part[rows] * share + part[others] * (1 - share)
                for part in (features, wanted, weight)
            )
            missed = functional.binary_cross_entropy_with_logits(
                network(mixed), labels, reduction="none"
            )
            optimizer.zero_grad()
            (missed * weights).mean().backward()
            optimizer.step()
            schedule.step()
    return network.eval()
