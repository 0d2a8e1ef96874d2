"""The network: one crop in, the probability of a nodule out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (16, 32, 64, 128)
PLACES = 4
"""Learned maps over the last 6x6 cells: what lies in the middle counts for more."""


class CandidateNet(nn.Module):
    """A plain residual network; mean, maximum and four learned places of its last maps; one logit.

    Takes grey values / 255, (n, 1, 50, 50), as `crops.to_grey` makes them.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolved(1, WIDTHS[0]), nn.MaxPool2d(2)]
        for before, width in itertools.pairwise(WIDTHS):
            layers += [_convolved(before, width), _Residual(width), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers[:-1])
        self.places = nn.Parameter(0.02 * torch.randn(PLACES, 6 * 6))
        self.drop = nn.Dropout(0.4)
        self.head = nn.Linear((2 + PLACES) * WIDTHS[-1], 1)

    def forward(self, crops: Tensor) -> Tensor:
        """Return logits, (n,)."""
        maps = self.features(crops)
        placed = torch.matmul(maps.flatten(2), self.places.t()).flatten(1)
        pooled = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3)), placed], dim=1)
        return self.head(self.drop(pooled)).squeeze(1)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(_convolved(width, width), _convolved(width, width))

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.inner(maps)


def _convolved(before: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


class Calibrated(nn.Module):
    """Networks as they are exported: each looks at the crop in several attitudes; the mean of
    their logits is scaled and shifted, then a probability, (n, 1).
    """

    def __init__(
        self, networks: Sequence[nn.Module], scale: float, shift: float, attitudes: int = 4
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.scale, self.shift, self.attitudes = scale, shift, attitudes

    def logits(self, crops: Tensor) -> Tensor:
        """Return the mean logit, (n,)."""
        turned = [view(crops) for view in ATTITUDES[: self.attitudes]]
        seen = [network(each) for network in self.networks for each in turned]
        return torch.stack(seen).mean(dim=0)

    def forward(self, crops: Tensor) -> Tensor:
        """Return probabilities, (n, 1)."""
        return torch.sigmoid(self.logits(crops) * self.scale + self.shift).unsqueeze(1)


ATTITUDES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda crops: crops,
    lambda crops: crops.flip(2, 3).transpose(2, 3),
    lambda crops: crops.flip(2),
    lambda crops: crops.transpose(2, 3).flip(2),
    lambda crops: crops.flip(2, 3),
    lambda crops: crops.transpose(2, 3),
    lambda crops: crops.flip(3),
    lambda crops: crops.transpose(2, 3).flip(3),
)
"""The eight attitudes of a square, the most unlike ones first."""


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
