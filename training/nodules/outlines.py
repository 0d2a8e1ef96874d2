"""The outline network: its slices, its training, and how well it draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from training.nodules.lidc import Patches, Slices, Window
from training.nodules.loop import Network, Plan, fit
from training.nodules.outline_network import OutlineNet, cut, vary_density

SEED = 3
EPOCHS, BATCH = 14, 48
RATE, DECAY = 4e-3, 0.01
SHIFT_PX = 1.2
ASIDE = BATCH // 6
ASIDE_MM = (11.0, 23.0)
"""So many patches of a batch lie this far from the nodule: there is nothing in their middle."""

AGREED = 0.5
LEFT_OUT = "LIDC-IDRI-0001"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    """Slices in HU with the share of readers that drew each pixel."""

    fields: Tensor
    """float16, (n, 2, 128, 128): HU, share."""

    pixel_mm: Tensor
    centre: Tensor
    patient: npt.NDArray[np.str_]
    nodule: npt.NDArray[np.str_]

    def part(self, rows: npt.NDArray[np.bool_]) -> Drawn:
        """Return some of them."""
        chosen = torch.from_numpy(np.flatnonzero(rows))
        return Drawn(
            self.fields[chosen],
            self.pixel_mm[chosen],
            self.centre[chosen],
            self.patient[rows],
            self.nodule[rows],
        )


def drawn(known: Patches, shown: Slices, window: Window) -> Drawn:
    """Return the slices whose window was found, without those of LIDC-IDRI-0001."""
    votes = shown.votes()
    usable = np.isfinite(window.slope) & (votes.reshape(len(votes), -1).max(axis=1) > 0)
    rows = np.flatnonzero(usable & (shown.patient != LEFT_OUT))
    votes, nodule = votes[rows], shown.nodule[rows]
    present = {name: votes[nodule == name].max() for name in np.unique(nodule)}
    share = votes / np.array([present[name] for name in nodule])[:, None, None]
    slope, base = window.slope[rows, None, None], window.base[rows, None, None]
    hu = (shown.grey[rows] * slope + base).clip(-1000, 1500)
    pixel_mm = dict(zip(known.patient, known.pixel_mm, strict=True))
    centre = [
        np.argwhere(one >= AGREED if (one >= AGREED).any() else one > 0).mean(axis=0)
        for one in share
    ]
    return Drawn(
        torch.from_numpy(np.stack([hu, share], 1).astype(np.float16)),
        torch.tensor([pixel_mm[name] for name in shown.patient[rows]]).float(),
        torch.from_numpy(np.array(centre)).float(),
        shown.patient[rows],
        nodule,
    )


def train(slices: Drawn, kept: Path) -> OutlineNet:
    """Return a network trained on these slices."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    random = np.random.default_rng(SEED)

    def losses(network: Network, _epoch: int) -> Iterator[Tensor]:
        order = random.permutation(len(slices.fields))
        for at in range(0, len(order) - BATCH + 1, BATCH):
            yield _loss(network, slices, torch.from_numpy(order[at : at + BATCH]), generator)

    plan = Plan(
        epochs=EPOCHS, steps=len(slices.fields) // BATCH, rate=RATE, decay=DECAY, averaged=0.995
    )
    network = fit(OutlineNet(), losses, plan, kept)
    assert isinstance(network, OutlineNet)
    return network


def _loss(network: Network, slices: Drawn, rows: Tensor, generator: torch.Generator) -> Tensor:
    """Return cross-entropy and one minus Dice of one batch."""
    pixel_mm = slices.pixel_mm[rows]
    centre = slices.centre[rows] + SHIFT_PX * torch.randn(len(rows), 2, generator=generator)
    turn = 2 * np.pi * torch.rand(ASIDE, generator=generator)
    low, high = ASIDE_MM
    far = (low + (high - low) * torch.rand(ASIDE, generator=generator)) / pixel_mm[:ASIDE]
    centre[:ASIDE] = slices.centre[rows[:ASIDE]] + far[:, None] * torch.stack(
        [turn.sin(), turn.cos()], dim=1
    )
    both = cut(slices.fields[rows].float(), pixel_mm, centre, generator)
    patches, wanted = vary_density(both[:, :1], generator), both[:, 1:].clone()
    empty = wanted[:ASIDE, 0, 30:35, 30:35].amax(dim=(1, 2)) < AGREED
    wanted[:ASIDE][empty] = 0.0
    logits = network(patches.contiguous(memory_format=torch.channels_last))
    chance = torch.sigmoid(logits)
    both_sides = chance.sum(dim=(1, 2, 3)) + wanted.sum(dim=(1, 2, 3))
    dice = 1 - (2 * (chance * wanted).sum(dim=(1, 2, 3)) + 1) / (both_sides + 1)
    return 5 * functional.binary_cross_entropy_with_logits(logits, wanted) + dice.mean()


def compare(network: OutlineNet, slices: Drawn) -> tuple[Floats, Floats, Floats]:
    """Return Dice, area drawn and area of the readers, mm2, of each slice that half of the
    readers drew on.
    """
    found: list[Tensor] = []
    with torch.no_grad():
        for at in range(0, len(slices.fields), 128):
            rows = torch.arange(at, min(at + 128, len(slices.fields)))
            both = cut(slices.fields[rows].float(), slices.pixel_mm[rows], slices.centre[rows])
            chosen = torch.sigmoid(network(both[:, :1])) >= AGREED
            wanted = both[:, 1:] >= AGREED
            shared = (chosen & wanted).sum(dim=(1, 2, 3))
            found.append(
                torch.stack([shared, chosen.sum(dim=(1, 2, 3)), wanted.sum(dim=(1, 2, 3))], 1)
            )
    shared, chosen, wanted = torch.cat(found).double().numpy().T
    shown = wanted > 0
    dice = 2 * shared[shown] / (chosen[shown] + wanted[shown])
    return dice, chosen[shown] * 0.49, wanted[shown] * 0.49
