"""The network that outlines the nodule in the middle of a patch: a small U-Net."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 64
PIXEL_MM = 0.7
LOW_HU, HIGH_HU = -1000.0, 300.0
WIDTHS = (16, 24, 48, 64)


class OutlineNet(nn.Module):
    """Takes patches, float32 (n, 1, 64, 64), HU, pixels of 0.7 mm; gives logits of each pixel."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = WIDTHS
        self.one = _convolved(1, a)
        self.two = nn.Sequential(_convolved(a, b), _convolved(b, b))
        self.three = nn.Sequential(_convolved(b, c), _convolved(c, c))
        self.four = nn.Sequential(_convolved(c, d), _convolved(d, d))
        self.narrow_three, self.up_three = nn.Conv2d(d, c, 1), _convolved(2 * c, c)
        self.narrow_two, self.up_two = nn.Conv2d(c, b, 1), _convolved(2 * b, b)
        self.narrow_one, self.up_one = nn.Conv2d(b, 8, 1), _convolved(8 + a, 8)
        self.last = nn.Conv2d(8, 1, 1)

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits, (n, 1, 64, 64)."""
        one = self.one((patches.clamp(LOW_HU, HIGH_HU) - LOW_HU) / (HIGH_HU - LOW_HU))
        two = self.two(functional.max_pool2d(one, 2))
        three = self.three(functional.max_pool2d(two, 2))
        four = self.four(functional.max_pool2d(three, 2))
        up = self.up_three(torch.cat([_doubled(self.narrow_three(four)), three], 1))
        up = self.up_two(torch.cat([_doubled(self.narrow_two(up)), two], 1))
        up = self.up_one(torch.cat([_doubled(self.narrow_one(up)), one], 1))
        return self.last(up)


def _doubled(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest")


def _convolved(before: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


def cut(
    fields: Tensor,
    pixel_mm: Tensor,
    centre: Tensor,
    generator: torch.Generator | None = None,
    side: int = SIDE,
    pixel_out_mm: float = PIXEL_MM,
) -> Tensor:
    """Return patches around places of larger fields; varied in attitude with a generator.

    Parameters
    ----------
    fields : (n, channels, s, s); the channels move together
    pixel_mm : (n,), of the fields
    centre : (n, 2), row and column
    """
    count, size = len(fields), fields.shape[-1]
    angle, mirror, zoom = torch.zeros(count), torch.ones(count), torch.ones(count)
    if generator is not None:
        angle = (torch.rand(count, generator=generator) * 2 - 1) * math.pi
        mirror = torch.sign(torch.rand(count, generator=generator) - 0.5)
        zoom = torch.exp((torch.rand(count, generator=generator) * 2 - 1) * 0.08)
    reach = zoom * pixel_out_mm / pixel_mm * side / size
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = torch.cos(angle) * reach * mirror
    matrix[:, 0, 1] = -torch.sin(angle) * reach
    matrix[:, 1, 0] = torch.sin(angle) * reach * mirror
    matrix[:, 1, 1] = torch.cos(angle) * reach
    # Pixel side // 2 of the patch, not its geometric middle, lies on the place.
    half = torch.full((count, 2, 1), 1.0 / side)
    offset = torch.bmm(matrix[:, :, :2], half).squeeze(2)
    matrix[:, 0, 2] = (centre[:, 1] + 0.5) * 2 / size - 1 - offset[:, 0]
    matrix[:, 1, 2] = (centre[:, 0] + 0.5) * 2 / size - 1 - offset[:, 1]
    grid = functional.affine_grid(matrix, [count, 1, side, side], align_corners=False)
    return functional.grid_sample(fields, grid, padding_mode="border", align_corners=False)


def vary_density(patches: Tensor, generator: torch.Generator) -> Tensor:
    """Return patches with other calibration, noise and sharpness."""
    count = len(patches)

    def draw(low: float, high: float) -> Tensor:
        return (torch.rand(count, generator=generator) * (high - low) + low).view(-1, 1, 1, 1)

    noise = torch.randn(patches.shape, generator=generator) * draw(0.0, 40.0)
    soft = functional.avg_pool2d(functional.pad(patches, (1, 1, 1, 1), "replicate"), 3, 1)
    sharpness = draw(-0.4, 0.5)
    mixed = patches + (patches - soft) * sharpness
    return (mixed + 1000) * draw(0.96, 1.04) - 1000 + draw(-25.0, 25.0) + noise
