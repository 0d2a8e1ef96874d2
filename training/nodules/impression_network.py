"""The network of the readers' impression: malignancy and seven further ratings of a nodule.

It looks at the nodule at two scales, fine (22 mm) and coarse (45 mm), through a lung and a soft
tissue window, with the outline beside; what is measured on the outline goes into its last layer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nodules.network import ATTITUDES
from training.nodules.outline_network import PIXEL_MM, SIDE, OutlineNet

WINDOWS = ((-1000.0, 400.0), (-160.0, 240.0))
WIDTHS = (16, 32, 64)
RATINGS = (
    "Malignancy",
    "Spiculation",
    "Texture",
    "Calcification",
    "Lobulation",
    "Margin",
    "Sphericity",
    "Subtlety",
)
HIGHEST = (5, 5, 5, 6, 5, 5, 5, 5)
"""Of each rating's scale, which begins at 1."""

MEASURES = 11


class ImpressionNet(nn.Module):
    """Takes patches (n, 1, 64, 64), HU, and outlines (n, 1, 64, 64), 0 to 1; gives logits of the
    eight ratings as shares of their scales, (n, 8).
    """

    def __init__(self, middle: Tensor | None = None, spread: Tensor | None = None) -> None:
        super().__init__()
        a, b, c = WIDTHS
        self.features = nn.Sequential(
            _convolved(6, a),
            nn.MaxPool2d(2),
            _convolved(a, b),
            _Residual(b),
            nn.MaxPool2d(2),
            _convolved(b, c),
            _Residual(c),
        )
        self.drop = nn.Dropout(0.4)
        self.head = nn.Linear(2 * c + 2 * MEASURES, len(RATINGS))
        self.register_buffer("middle", torch.zeros(MEASURES) if middle is None else middle)
        self.register_buffer("spread", torch.ones(MEASURES) if spread is None else spread)

    def forward(self, patches: Tensor, outlines: Tensor) -> Tensor:
        """Return logits, (n, 8)."""
        maps = self.features(views(patches, outlines))
        pooled = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        measured = (measures(patches, outlines) - self.middle) / self.spread
        measured = measured.clamp(-4.0, 4.0)
        beside = torch.cat([measured, measured * measured], dim=1)
        return self.head(torch.cat([self.drop(pooled), beside], dim=1))


class Impression(nn.Module):
    """As it is exported: outline, several networks, calibration.

    Gives `ratings` (n, 8) in their own scales and `malignancy` (n, 1), a probability.
    """

    def __init__(
        self, outline: OutlineNet, networks: list[ImpressionNet], scale: float, shift: float
    ) -> None:
        super().__init__()
        self.outline, self.networks = outline, nn.ModuleList(networks)
        self.scale, self.shift = scale, shift
        self.register_buffer("highest", torch.tensor(HIGHEST, dtype=torch.float32))

    def logits(self, patches: Tensor) -> Tensor:
        """Return mean logits over networks and attitudes, (n, 8)."""
        outlines = torch.sigmoid(self.outline(patches))
        seen = [
            network(turned(patches), turned(outlines))
            for network in self.networks
            for turned in ATTITUDES[:3]
        ]
        return torch.stack(seen).mean(dim=0)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return ratings and the probability of malignancy."""
        logits = self.logits(patches)
        malignancy = torch.sigmoid(logits[:, :1] * self.scale + self.shift)
        return 1.0 + torch.sigmoid(logits) * (self.highest - 1.0), malignancy


def views(patches: Tensor, outlines: Tensor) -> Tensor:
    """Return both scales through both windows, with the outline: (n, 6, 32, 32)."""
    shown = [((patches - low) / (high - low)).clamp(0.0, 1.0) for low, high in WINDOWS]
    whole = torch.cat([*shown, outlines], dim=1)
    quarter = SIDE // 4
    fine = whole[:, :, quarter : SIDE - quarter, quarter : SIDE - quarter]
    return torch.cat([fine, functional.avg_pool2d(whole, 2)], dim=1)


def measures(patches: Tensor, outlines: Tensor) -> Tensor:
    """Return what is measured on the outline, (n, 11): sizes, shape, densities."""
    inside = outlines.clamp(1e-4, 1.0)
    pixels = inside.sum(dim=(1, 2, 3))
    diameter = 2.0 * PIXEL_MM * torch.sqrt(pixels / math.pi)
    at = (torch.arange(SIDE, dtype=patches.dtype) - SIDE // 2) * PIXEL_MM
    rows, columns = at.view(1, 1, -1, 1), at.view(1, 1, 1, -1)

    def mean(values: Tensor, weight: Tensor = inside) -> Tensor:
        return (values * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3)).clamp(min=1e-3)

    def share(weighted: Tensor) -> Tensor:
        return (weighted * inside).sum(dim=(1, 2, 3)) / pixels

    middle_row, middle_column = share(rows), share(columns)
    rr = share((rows - middle_row.view(-1, 1, 1, 1)) ** 2)
    cc = share((columns - middle_column.view(-1, 1, 1, 1)) ** 2)
    rc = share((rows - middle_row.view(-1, 1, 1, 1)) * (columns - middle_column.view(-1, 1, 1, 1)))
    root = torch.sqrt(((rr - cc) / 2) ** 2 + rc**2 + 1e-6)
    longest = 4.0 * torch.sqrt((rr + cc) / 2 + root)
    shortest = 4.0 * torch.sqrt(((rr + cc) / 2 - root).clamp(min=1e-2))
    outline_mm = PIXEL_MM * (
        (inside[:, :, 1:] - inside[:, :, :-1]).abs().sum(dim=(1, 2, 3))
        + (inside[:, :, :, 1:] - inside[:, :, :, :-1]).abs().sum(dim=(1, 2, 3))
    )
    hu = patches.clamp(-1000.0, 1000.0)
    hu_mean = mean(hu)
    hu_spread = torch.sqrt(mean((hu - hu_mean.view(-1, 1, 1, 1)) ** 2) + 1.0)
    near = functional.max_pool2d(outlines, 7, 1, 3)
    rim = (near - functional.max_pool2d(outlines, 3, 1, 1)).clamp(min=0.0) + 1e-4
    rim_mean = mean(hu, rim)
    rim_spread = torch.sqrt(mean((hu - rim_mean.view(-1, 1, 1, 1)) ** 2, rim) + 1.0)
    brightest = (functional.avg_pool2d(hu + 1000.0, 3, 1, 1) * outlines).amax(dim=(1, 2, 3))
    return torch.stack(
        [
            torch.log(diameter),
            torch.log(longest),
            torch.log(shortest),
            shortest / longest,
            outline_mm / diameter,
            hu_mean / 100.0,
            hu_spread / 100.0,
            torch.sigmoid((brightest - 1200.0) / 50.0),
            share((hu > -300.0).to(hu.dtype)),
            rim_mean / 100.0,
            rim_spread / 100.0,
        ],
        dim=1,
    )


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
