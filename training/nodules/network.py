"""The candidate model: a small network of its own beside a linear reading of ImageNet features."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nodules.backbone import Backbone

MARGIN, ENLARGED = 1, 96
LOW_HU, WIDTH_HU = -1000.0, 1400.0

ATTITUDES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda crops: crops,
    lambda crops: crops.flip(2, 3).transpose(2, 3),
    lambda crops: crops.flip(2),
    lambda crops: crops.transpose(2, 3).flip(2),
)
"""Four of the eight attitudes of a square, unlike ones."""


class Features(nn.Module):
    """Takes grey values / 255, (n, 1, 50, 50); gives what the linear part reads, (n, 888)."""

    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self.backbone, self.first = Backbone(MARGIN, ENLARGED), first

    def forward(self, crops: Tensor) -> Tensor:
        """Return ImageNet features of the crop in HU, and the first network's own."""
        return torch.cat(
            [self.backbone(crops * WIDTH_HU + LOW_HU), self.first.pooled(crops)], dim=1
        )


class Candidate(nn.Module):
    """As it is exported: both parts, each divided by its spread; then a probability, (n, 1)."""

    def __init__(
        self,
        features: Features,
        linear: tuple[Tensor, Tensor, Tensor],
        spreads: tuple[float, float],
        calibration: tuple[float, float],
    ) -> None:
        super().__init__()
        self.features = features
        middle, spread, weights = linear
        self.register_buffer("middle", middle)
        self.register_buffer("spread", spread)
        self.register_buffer("weights", weights[:-1])
        self.register_buffer("shift", weights[-1])
        self.spreads, self.calibration = spreads, calibration

    def forward(self, crops: Tensor) -> Tensor:
        """Return probabilities, (n, 1)."""
        standard = ((self.features(crops) - self.middle) / self.spread).clamp(-4.0, 4.0)
        read = standard @ self.weights + self.shift
        seen = [self.features.first(turned(crops)) for turned in ATTITUDES]
        own = torch.stack(seen).mean(dim=0).unsqueeze(1)
        both = read / self.spreads[0] + own / self.spreads[1]
        scale, shift = self.calibration
        return torch.sigmoid(both * scale + shift)


def vary(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Return the crops turned, mirrored, scaled, shifted, with other contrast and noise."""
    count = len(crops)

    def draw(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    angle, zoom = draw(-math.pi, math.pi), torch.exp(draw(-0.2, 0.2))
    mirror = torch.sign(draw(-1.0, 1.0))
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = torch.cos(angle) * zoom * mirror
    matrix[:, 0, 1] = -torch.sin(angle) * zoom
    matrix[:, 1, 0] = torch.sin(angle) * zoom * mirror
    matrix[:, 1, 1] = torch.cos(angle) * zoom
    matrix[:, 0, 2], matrix[:, 1, 2] = draw(-0.1, 0.1), draw(-0.1, 0.1)
    grid = functional.affine_grid(matrix, list(crops.shape), align_corners=False)
    moved = functional.grid_sample(crops, grid, padding_mode="reflection", align_corners=False)
    contrast, offset = draw(0.9, 1.1).view(-1, 1, 1, 1), draw(-0.03, 0.03).view(-1, 1, 1, 1)
    noise = torch.randn(crops.shape, generator=generator) * draw(0.0, 0.04).view(-1, 1, 1, 1)
    return (moved * contrast + offset + noise).clamp(0.0, 1.0)
