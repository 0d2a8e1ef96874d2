"""What the frozen start sees of a whole slice, read by one linear layer beside the reader.

Few patients are known, so a layer with strong shrinkage on means of the maps is worth as much as
the reader, and the two fail on different patients. Means and means of the highest cells, inside
the skull, of each map and of its difference from the other side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.haemorrhage.data import Slices
from training.haemorrhage.features import Store
from training.haemorrhage.network import COARSE_CHANNELS, FINE_CHANNELS, MEASURED, ROOM

COARSE_ROOM = 0.4
"""Of the four fine cells of a coarse one, more than this share must be looked at."""

HIGHEST = 60
"""One of so many cells counts among the highest."""

LIMIT = 5.0
"""Standardised features beyond this count as this."""

POOLED = 4 * (FINE_CHANNELS + COARSE_CHANNELS + MEASURED) + 1
SHRINKAGE = 1000.0
"""Chosen over the folds among 100, 300, 1000, 3000 and 10000."""

REAL_WEIGHT, VARIED_WEIGHT = 3.0, 0.7

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Linear:
    """Standardisation (POOLED,) and weights (POOLED + 1, 7), the last row constant."""

    middle: Floats
    spread: Floats
    weights: Floats

    def logits(self, pooled: Singles) -> Floats:
        """Return the layer's answer, (n, 7)."""
        return _standard(pooled, self.middle, self.spread) @ self.weights


def pooled(fine: Tensor, coarse: Tensor, cells: Tensor) -> Tensor:
    """Return features (n, POOLED) of what `network.Reader` takes."""
    room = cells[:, 1:2] > ROOM
    share = nn.functional.avg_pool2d(room.float(), 2)
    parts = [
        *_over(_both(fine[:, 0], fine[:, 1]), room.float()),
        *_over(_both(coarse[:, 0], coarse[:, 1]), (share > COARSE_ROOM).float()),
        *_over(_both(cells, cells), room.float()),
        room.float().mean((2, 3)),
    ]
    return torch.cat(parts, 1)


def stored(store: Store, batch: int = 64) -> Singles:
    """Return the features of every entry, (e, POOLED)."""
    made = np.empty((len(store.row), POOLED), np.float32)
    with torch.no_grad():
        for at in range(0, len(made), batch):
            part = slice(at, at + batch)
            given = [
                torch.from_numpy(np.asarray(kept[part], np.float32))
                for kept in (store.fine, store.coarse, store.measured)
            ]
            made[part] = pooled(*given).numpy()
    return made


def weights(store: Store, slices: Slices, rows: Ints) -> tuple[Ints, Floats]:
    """Return every entry of these slices, and how much it counts."""
    held = np.flatnonzero(np.isin(store.row, rows))
    row = store.row[held]
    weight = np.where(slices.labels[row, 0] == 1, REAL_WEIGHT, 1.0)
    weight *= np.where(held < len(slices.images), 1.0, VARIED_WEIGHT)
    weight /= np.sqrt(np.bincount(slices.patient[row])[slices.patient[row]])
    return held, np.asarray(weight / weight.mean())


def fit(store: Store, slices: Slices, found: Singles, rows: Ints) -> Linear:
    """Return the layer with the least weighted squares on every entry of these slices."""
    held, weight = weights(store, slices, rows)
    middle = found[held].mean(axis=0, dtype=np.float64)
    spread = found[held].std(axis=0, dtype=np.float64) + 1e-3
    seen = _standard(found[held], middle, spread)
    shrunk = np.full(seen.shape[1], SHRINKAGE)
    shrunk[-1] = 1e-3
    weighted = seen * weight[:, None]
    wanted = np.asarray(store.labels[held], np.float64)
    solved = np.linalg.solve(weighted.T @ seen + np.diag(shrunk), weighted.T @ wanted)
    return Linear(middle, spread, solved)


def _both(maps: Tensor, mirrored: Tensor) -> Tensor:
    return torch.cat([maps, (maps - mirrored.flip(3)).abs()], 1)


def _over(maps: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
    """Return means of the maps where there is room, and means of the highest cells there."""
    mean = (maps * room).sum((2, 3)) / (room.sum((2, 3)) + 1.0)
    flat = (maps * room + (room - 1.0) * 1e3).flatten(2)
    highest = flat.topk(max(flat.shape[2] // HIGHEST, 1), dim=2).values
    return mean, torch.where(highest > -100.0, highest, torch.zeros_like(highest)).mean(2)


def _standard(found: Singles, middle: Floats, spread: Floats) -> Floats:
    scaled = ((found - middle) / spread).clip(-LIMIT, LIMIT)
    return np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)
