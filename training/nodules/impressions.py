"""The impression network: its patches, folds of patients, training, calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from training.nodules.impression_network import (
    HIGHEST,
    RATINGS,
    ImpressionNet,
    measures,
)
from training.nodules.lidc import PATCH, Patches, Slices, Window
from training.nodules.loop import Network, Plan, fit
from training.nodules.network import ATTITUDES
from training.nodules.outline_network import PIXEL_MM, SIDE, OutlineNet, cut, vary_density

SEED = 20261126
FOLDS, TEST_SHARE = 5, 0.2
TEST, LEFT_OUT = -1, -2
EPOCHS, BATCH = 10, 64
RATE, DECAY = 3e-3, 0.05
SLICES = 600
"""Further slices of the nodules an epoch."""

WEIGHTS = (3.0, 1.0, 0.7, 0.7, 0.7, 0.7, 0.5, 0.5)
"""Of the ratings' losses, in the order of `RATINGS`."""

SHIFT_PX = 1.5
MIXED, MIX = 0.5, 0.4
ATTITUDES_SEEN = 3

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Nodules:
    """Patches of all nodules, and of further slices of some."""

    patches: Tensor
    """float16, (n, 1, 64, 64), HU: first one of each nodule, then further slices."""

    outlines: Tensor
    nodule: Ints
    """Which nodule each patch shows."""

    ratings: Floats
    """(nodules, 8): means of the readers."""

    readers: Ints
    fold: Ints
    """Of each nodule's patient: 0 to 4; -1 the test part; -2 LIDC-IDRI-0001, left out."""

    patient: npt.NDArray[np.str_]
    diameter_mm: Floats
    """Of the area that one reader outlined: the baseline."""

    measured: Tensor
    """(n, 11): what is measured on the outlines."""


def folds(patient: npt.NDArray[np.str_]) -> Ints:
    """Return the fold of each nodule's patient."""
    names = np.unique(patient)
    order = np.random.default_rng(SEED).permutation(names)
    test = int(TEST_SHARE * len(names))
    fold = dict.fromkeys(order[:test], TEST)
    fold |= {name: number % FOLDS for number, name in enumerate(order[test:])}
    fold["LIDC-IDRI-0001"] = LEFT_OUT
    return np.array([fold[name] for name in patient])


def gather(known: Patches, shown: Slices, window: Window, outline: OutlineNet) -> Nodules:
    """Return the patches with their outlines."""
    own = _cut(
        known.hu.astype(np.float32),
        known.pixel_mm,
        np.full((len(known.hu), 2), PATCH // 2, np.float64),
    )
    further, nodule = _further(known, shown, window)
    patches = torch.cat([own, further])
    with torch.no_grad():
        outlines = torch.cat(
            [
                torch.sigmoid(outline(patches[at : at + 128].float())).half()
                for at in range(0, len(patches), 128)
            ]
        )
        measured = measures(patches.float(), outlines.float())
    return Nodules(
        patches,
        outlines,
        np.concatenate([np.arange(len(known.hu)), nodule]),
        np.stack([known.ratings[name] for name in RATINGS], 1),
        known.readers,
        folds(known.patient),
        known.patient,
        2 * np.sqrt(known.area_mm2 / np.pi),
        measured,
    )


def _further(known: Patches, shown: Slices, window: Window) -> tuple[Tensor, Ints]:
    """Return patches of further slices of nodules that at least two readers drew."""
    votes = shown.votes()
    most = votes.reshape(len(votes), -1).max(axis=1)
    of: dict[str, int] = {}
    for name in np.unique(shown.nodule):
        seen = window.patch[(shown.nodule == name) & (window.patch >= 0)]
        if len(seen):
            of[str(name)] = int(np.bincount(seen).argmax())
    linked = np.isin(shown.nodule, list(of))
    rows = np.flatnonzero(np.isfinite(window.slope) & linked & (most >= 2))
    nodule = np.array([of[str(name)] for name in shown.nodule[rows]])
    centre = [np.argwhere(votes[row] >= max(1, most[row] / 2)).mean(axis=0) for row in rows]
    hu = shown.grey[rows] * window.slope[rows, None, None] + window.base[rows, None, None]
    hu = hu.clip(-1000, 1500).astype(np.float32)
    return _cut(hu, known.pixel_mm[nodule], np.array(centre)), nodule


def _cut(fields: npt.NDArray[np.float32], pixel_mm: Floats, centre: Floats) -> Tensor:
    parts = [
        cut(
            torch.from_numpy(fields[at : at + 200]).unsqueeze(1),
            torch.from_numpy(pixel_mm[at : at + 200]).float(),
            torch.from_numpy(centre[at : at + 200]).float(),
        ).half()
        for at in range(0, len(fields), 200)
    ]
    return torch.cat(parts)


def train(nodules: Nodules, without: int, kept: Path) -> ImpressionNet:
    """Return a network trained on all folds but one; the test part is in none."""
    seed = 10 + without
    torch.manual_seed(seed)
    generator, random = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    fold = nodules.fold[nodules.nodule]
    rows = np.flatnonzero((fold >= 0) & (fold != without))
    own, further = rows[rows < len(nodules.fold)], rows[rows >= len(nodules.fold)]
    middle, spread = nodules.measured[rows].mean(dim=0), nodules.measured[rows].std(dim=0) + 1e-3
    more = min(SLICES, len(further))

    def losses(network: Network, _epoch: int) -> Iterator[Tensor]:
        drawn = random.choice(further, more, replace=False)
        order = random.permutation(np.concatenate([own, drawn]))
        for at in range(0, len(order) - BATCH + 1, BATCH):
            yield _loss(network, nodules, order[at : at + BATCH], generator, random)

    plan = Plan(
        epochs=EPOCHS, steps=(len(own) + more) // BATCH, rate=RATE, decay=DECAY, averaged=0.995
    )
    network = fit(ImpressionNet(middle, spread), losses, plan, kept)
    assert isinstance(network, ImpressionNet)
    return network


def _loss(
    network: Network,
    nodules: Nodules,
    rows: Ints,
    generator: torch.Generator,
    random: np.random.Generator,
) -> Tensor:
    both = torch.cat([nodules.patches[rows], nodules.outlines[rows]], dim=1).float()
    centre = SIDE // 2 + SHIFT_PX * torch.randn(len(rows), 2, generator=generator)
    both = cut(both, torch.full((len(rows),), PIXEL_MM), centre, generator)
    patches, outlines = vary_density(both[:, :1], generator), both[:, 1:]
    nodule = nodules.nodule[rows]
    highest = np.array(HIGHEST) - 1
    wanted = torch.from_numpy((nodules.ratings[nodule] - 1) / highest).float().clamp(0, 1)
    weight = torch.from_numpy(np.sqrt(nodules.readers[nodule])).float().unsqueeze(1)
    if random.random() < MIXED:
        share = float(random.beta(MIX, MIX))
        other = torch.randperm(len(rows), generator=generator)
        patches = share * patches + (1 - share) * patches[other]
        outlines = share * outlines + (1 - share) * outlines[other]
        wanted = share * wanted + (1 - share) * wanted[other]
    logits = network(patches, outlines)
    each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    weights = torch.tensor(WEIGHTS)
    return (each * weight * weights).sum() / (weight.sum() * weights.sum())


def logits_of(networks: list[ImpressionNet], nodules: Nodules, rows: Ints) -> Floats:
    """Return the mean logits over networks and attitudes, (n, 8)."""
    seen: list[Tensor] = []
    with torch.no_grad():
        for at in range(0, len(rows), 200):
            part = rows[at : at + 200]
            patches, outlines = nodules.patches[part].float(), nodules.outlines[part].float()
            turned = [
                network(turn(patches), turn(outlines))
                for network in networks
                for turn in ATTITUDES[:ATTITUDES_SEEN]
            ]
            seen.append(torch.stack(turned).mean(dim=0))
    return torch.cat(seen).double().numpy()
