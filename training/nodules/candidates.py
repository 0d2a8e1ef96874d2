"""The candidate model's linear part: features of candidates and further crops, and the fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from training.nodules.first import FirstNet
from training.nodules.network import ATTITUDES, Features
from training.nodules.ridge import Linear, fit

SHRINKAGE, EXTRA_WEIGHT = 100.0, 0.5
"""Chosen on the validation part among 30, 100, 300 and 0, 0.5, 1."""

Grey = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mixed:
    """Both parts' logits on the validation crops, each divided by its spread there, summed."""

    linear: Linear
    spreads: tuple[float, float]
    logits: Floats


def features(first: FirstNet, grey: Grey) -> npt.NDArray[np.float32]:
    """Return the features of crops, (n, 888)."""
    network, parts = Features(first).eval(), []
    with torch.no_grad():
        for at in range(0, len(grey), 64):
            parts.append(network(_tensor(grey[at : at + 64])))
    return torch.cat(parts).numpy()


def own_logits(first: FirstNet, grey: Grey) -> Floats:
    """Return the first network's mean logits over its attitudes, (n,)."""
    parts = []
    with torch.no_grad():
        for at in range(0, len(grey), 128):
            crops = _tensor(grey[at : at + 128])
            parts.append(torch.stack([first(turn(crops)) for turn in ATTITUDES]).mean(dim=0))
    return torch.cat(parts).double().numpy()


def train(found: Floats, labels: Ints, development: Ints, candidates: int) -> Linear:
    """Return the fit on development candidates and further crops (rows from `candidates` on)."""
    rows = np.concatenate([development, np.arange(candidates, len(found))])
    weight = np.where(rows < candidates, 1.0, EXTRA_WEIGHT)
    return fit(found[rows], labels[rows, None].astype(np.float64), weight, SHRINKAGE)


def mix(linear: Linear, found: Floats, own: Floats) -> Mixed:
    """Return both parts on the validation crops."""
    read = linear.logits(found)[:, 0]
    spreads = (float(read.std()), float(own.std()))
    return Mixed(linear, spreads, read / spreads[0] + own / spreads[1])


def _tensor(grey: Grey) -> torch.Tensor:
    return torch.from_numpy(grey).unsqueeze(1).float() / 255
