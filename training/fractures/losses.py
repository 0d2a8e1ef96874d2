"""What the network is asked to learn, as losses."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.fractures.data import Floats
from training.fractures.network import STRIDE, Outcome, corners

INSIDE = 0.35
"""Cells with at least this much of the bump learn the box."""
WEIGHTS = torch.tensor([1.5, 0.4, 0.25, 0.25, 0.25, 0.25, 0.1, 0.1, 0.1, 0.1])
"""Of fractured, hardware, four parts, three views, several exposures on one image."""


def targets(boxes: list[Floats], rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Return bumps, (n, 1, h, w), 1 at a fracture's cell, and its box at each cell, (n, 4, h, w).

    The bump is as wide as the box is; where bumps meet, the higher one's box counts.
    """
    bumps = torch.zeros(len(boxes), 1, rows, columns)
    wanted = torch.zeros(len(boxes), 4, rows, columns)
    y = torch.arange(rows, dtype=torch.float32)[:, None]
    x = torch.arange(columns, dtype=torch.float32)[None]
    for row, several in enumerate(boxes):
        for box in torch.from_numpy(several):
            middle, size = (box[:2] + box[2:]) / 2 / STRIDE, (box[2:] - box[:2]) / STRIDE
            cell = middle.floor()
            cell = torch.minimum(cell.clamp_min(0), torch.tensor([columns - 1.0, rows - 1.0]))
            wide = (size * 0.2).clamp_min(0.6)
            far = ((x - cell[0]) / wide[0]) ** 2 + ((y - cell[1]) / wide[1]) ** 2
            bump = torch.exp(-far / 2)
            higher = bump > bumps[row, 0]
            bumps[row, 0][higher] = bump[higher]
            wanted[row][:, higher] = box[:, None]
    return bumps, wanted


def heat_loss(heat: Tensor, bumps: Tensor) -> Tensor:
    """Return the focal loss of the middles, per fracture. Source: Law and Deng 2018."""
    chance = torch.sigmoid(heat)
    hit = bumps == 1
    positive = functional.logsigmoid(heat) * (1 - chance) ** 2 * hit
    negative = functional.logsigmoid(-heat) * chance**2 * (1 - bumps) ** 4 * ~hit
    return -(positive.sum() + negative.sum()) / hit.sum().clamp_min(1)


def overlap(box: Tensor, other: Tensor) -> Tensor:
    """Return the generalised intersection over union of boxes, (..., 4), -1 to 1."""
    low, high = (
        torch.maximum(box[..., :2], other[..., :2]),
        torch.minimum(box[..., 2:], other[..., 2:]),
    )
    common = (high - low).clamp_min(0).prod(-1)
    union = _area(box) + _area(other) - common
    hull = torch.maximum(box[..., 2:], other[..., 2:]) - torch.minimum(box[..., :2], other[..., :2])
    around = hull.prod(-1).clamp_min(1e-6)
    return common / union.clamp_min(1e-6) - (around - union) / around


def _area(box: Tensor) -> Tensor:
    return (box[..., 2:] - box[..., :2]).clamp_min(0).prod(-1)


def reach_loss(reach: Tensor, bumps: Tensor, wanted: Tensor) -> Tensor:
    """Return 1 - overlap of the boxes, weighted by the bump, over the cells inside."""
    inside = bumps[:, 0] >= INSIDE
    if not bool(inside.any()):
        return reach.sum() * 0.0
    found = corners(reach).permute(0, 2, 3, 1)[inside]
    weight = bumps[:, 0][inside]
    return ((1 - overlap(found, wanted.permute(0, 2, 3, 1)[inside])) * weight).sum() / weight.sum()


def total(outcome: Outcome, boxes: list[Floats], flags: Tensor) -> tuple[Tensor, list[float]]:
    """Return the loss and its parts: heat, boxes, whole picture."""
    bumps, wanted = targets(boxes, outcome.heat.shape[2], outcome.heat.shape[3])
    heat = heat_loss(outcome.heat, bumps)
    reach = reach_loss(outcome.reach, bumps, wanted)
    each = functional.binary_cross_entropy_with_logits(outcome.whole, flags, reduction="none")
    whole = (each.mean(0) * WEIGHTS).sum()
    parts = [float(part.detach()) for part in (heat, reach, whole)]
    return heat + 1.5 * reach + whole, parts
