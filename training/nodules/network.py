"""The network: one crop in, the probability of a nodule out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (16, 32, 32, 64, 64, 96)
POOL_AFTER = (0, 2, 4)


class CandidateNet(nn.Module):
    """Six convolutions; mean and maximum over what is left; one logit.

    Takes grey values / 255, (n, 1, 50, 50), as `crops.to_grey` makes them.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for number, width in enumerate(WIDTHS):
            layers += [
                nn.Conv2d(before, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            if number in POOL_AFTER:
                layers.append(nn.MaxPool2d(2))
            before = width
        self.features = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(2 * before, 1)

    def forward(self, crops: Tensor) -> Tensor:
        """Return logits, (n,)."""
        maps = self.features(crops)
        pooled = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        return self.head(self.drop(pooled)).squeeze(1)


class Calibrated(nn.Module):
    """The network as it is exported: its logit scaled and shifted, then a probability, (n, 1)."""

    def __init__(self, network: CandidateNet, scale: float, shift: float) -> None:
        super().__init__()
        self.network = network
        self.scale, self.shift = scale, shift

    def forward(self, crops: Tensor) -> Tensor:
        """Return probabilities, (n, 1)."""
        return torch.sigmoid(self.network(crops) * self.scale + self.shift).unsqueeze(1)


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
