"""Trains the reader on stored features, and scores slices with it."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from training.haemorrhage.data import Slices
from training.haemorrhage.features import Store
from training.haemorrhage.network import ROOM, Reader

BATCH = 32
STEPS = 200
RATE = 2e-3
DECAY = 0.05
PARTS = (10, 8, 14)
"""Of each batch: real haemorrhage, planted, none."""

WEIGHTS = (1.0, 0.4, 0.4, 0.4, 0.4, 0.4, 0.2)
HEAT_WEIGHT = 3.0

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def tensors(
    store: Store, entries: Ints, mirrored: npt.NDArray[np.bool_]
) -> tuple[torch.Tensor, ...]:
    """Return fine, coarse, cells, target of these entries; some with the sides exchanged."""
    order = np.where(mirrored[:, None], [[1, 0]], [[0, 1]])
    fine = np.stack([store.fine[e][o] for e, o in zip(entries, order, strict=True)])
    coarse = np.stack([store.coarse[e][o] for e, o in zip(entries, order, strict=True)])
    cells, target = store.measured[entries], store.target[entries]
    cells = np.where(mirrored[:, None, None, None], cells[..., ::-1], cells)
    target = np.where(mirrored[:, None, None, None], target[..., ::-1], target)
    return tuple(
        torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in (fine, coarse, cells, target)
    )


class Draw:
    """Draws batches: patients almost evenly, then their slices, plain or varied."""

    def __init__(self, store: Store, slices: Slices, rows: Ints, random: np.random.Generator):
        self.random = random
        held = np.isin(store.row, rows)
        real = slices.labels[store.row, 0] == 1
        shown = np.asarray(store.labels[:, 0]) == 1
        self.pools = [
            np.flatnonzero(held & real),
            np.flatnonzero(held & ~real & shown),
            np.flatnonzero(held & ~real & ~shown),
        ]
        self.weights = [self._weights(slices.patient[store.row[pool]]) for pool in self.pools]

    def _weights(self, patient: Ints) -> Floats:
        weight = 1.0 / np.sqrt(np.bincount(patient)[patient])
        return np.asarray(weight / weight.sum())

    def batch(self) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Return entries, and which are mirrored."""
        entries = np.concatenate(
            [
                self.random.choice(pool, count, p=weight)
                for pool, count, weight in zip(self.pools, PARTS, self.weights, strict=True)
            ]
        )
        return entries, self.random.random(len(entries)) < 0.5


def fit(
    store: Store, slices: Slices, rows: Ints, seed: int, steps: int = STEPS, quiet: bool = False
) -> Reader:
    """Return a reader trained on these rows."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    draw = Draw(store, slices, rows, random)
    reader = Reader()
    optimizer = torch.optim.AdamW(reader.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    weights = torch.tensor(WEIGHTS)
    began, total = time.perf_counter(), 0.0
    for step in range(steps):
        chosen, mirrored = draw.batch()
        fine, coarse, cells, target = tensors(store, chosen, mirrored)
        labels = torch.from_numpy(store.labels[chosen].astype(np.float32))
        known = torch.from_numpy(store.known[chosen].astype(np.float32))
        logits, heat = reader(fine, coarse, cells)
        smooth = labels * 0.96 + 0.02
        loss = functional.binary_cross_entropy_with_logits(logits, smooth, reduction="none")
        loss = (loss * weights).mean(0).sum()
        loss = loss + HEAT_WEIGHT * _heat_loss(heat, target, cells, known)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if (step + 1) % 50 == 0 and not quiet:
            took = time.perf_counter() - began
            print(f"step {step + 1}  loss {total / 50:.4f}  {took:.0f} s", flush=True)
            total = 0.0
    return reader.eval()


def _heat_loss(
    heat: torch.Tensor, target: torch.Tensor, cells: torch.Tensor, known: torch.Tensor
) -> torch.Tensor:
    """Return the map's loss where places are known; cells half in a box count little."""
    inside = (cells[:, 1:2] > ROOM).float()
    goal = (target > 0.3).float()
    unsure = ((target > 0.02) & (target <= 0.3)).float()
    weight = inside * (1 - 0.9 * unsure) * known.view(-1, 1, 1, 1)
    weight = weight * (1 + 4 * goal)
    loss = functional.binary_cross_entropy_with_logits(heat, goal, reduction="none") * weight
    return loss.sum() / (weight.sum() + 1.0) * 2.0


def score(
    reader: Reader, store: Store, rows: Ints, batch: int = 64
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return slice logits (n, 7) and map logits (n, 6, 32, 28): means of both sides' views."""
    logits, maps = [], []
    with torch.no_grad():
        for at in range(0, len(rows), batch):
            part = rows[at : at + batch]
            plain = tensors(store, part, np.zeros(len(part), bool))
            turned = tensors(store, part, np.ones(len(part), bool))
            one, first = reader(*plain[:3])
            other, second = reader(*turned[:3])
            logits.append(((one + other) / 2).numpy())
            maps.append(((first + second.flip(3)) / 2).numpy())
    return np.concatenate(logits), np.concatenate(maps)
