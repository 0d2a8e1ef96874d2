"""Crops of tiles as the network is trained on: turned, scaled, and stained otherwise.

Colours are varied where stains act: on optical density, -log10 of the transmitted light.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

SIDE = 256
SCALES = (1.15, 3.2)
"""Pixels of a 512x512 tile for one of a crop; 2 is what the network is used at."""

HED = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
"""Optical density of haematoxylin, eosin and DAB (Ruifrok and Johnston 2001)."""

OPPONENT = torch.tensor(
    [
        [3**-0.5, 3**-0.5, 3**-0.5],
        [6**-0.5, 6**-0.5, -2 * 6**-0.5],
        [2**-0.5, -(2**-0.5), 0.0],
    ]
)
DARKEST = 1.0 / 255.0


@dataclass(frozen=True)
class Source:
    """Tiles at full and half size: pixels and targets, uint8, channels first."""

    whole: torch.Tensor
    half: torch.Tensor
    """(n, 5, rows, columns): red, green, blue, mask, depth."""


@dataclass(frozen=True)
class Stains:
    """Mean and spread of optical density, in opponent colours, of many tiles."""

    mean: torch.Tensor
    spread: torch.Tensor


def source(pixels: np.ndarray, mask: np.ndarray, depth: np.ndarray) -> Source:
    """Return tiles as crops are cut from them; depth is uint8."""
    layers = np.concatenate(
        [pixels.transpose(0, 3, 1, 2), (mask > 0)[:, None] * np.uint8(255), depth[:, None]], 1
    )
    whole = torch.from_numpy(np.ascontiguousarray(layers))
    half = [functional.avg_pool2d(tile.float(), 2).round().to(torch.uint8) for tile in whole]
    return Source(whole, torch.stack(half))


def stains(pixels: np.ndarray) -> Stains:
    """Return the stain statistics of tiles, (n, rows, columns, 3)."""
    means, spreads = [], []
    for tile in pixels:
        light = torch.from_numpy(tile[::4, ::4].copy()).float().reshape(-1, 3) / 255.0
        opponent = density(light) @ OPPONENT.T
        means.append(opponent.mean(0))
        spreads.append(opponent.std(0))
    return Stains(torch.stack(means), torch.stack(spreads))


def density(light: torch.Tensor) -> torch.Tensor:
    """Return optical density of transmitted light of 0 to 1."""
    return -torch.log10(light.clamp(min=DARKEST))


def crops(
    tiles: Source, rows: torch.Tensor, stain: Stains, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pixels (n, 3, 256, 256) of 0 to 1 and targets (n, 2, 256, 256)."""
    cut = torch.stack([_crop(tiles, int(row), generator) for row in rows])
    light = [_coloured(one, stain, generator) for one in cut[:, :3]]
    return torch.stack(light), cut[:, 3:]


def _crop(tiles: Source, row: int, generator: torch.Generator) -> torch.Tensor:
    low, high = (math.log(scale) for scale in SCALES)
    scale = math.exp(low + (high - low) * _uniform(generator))
    stretch = math.exp(0.15 * (2 * _uniform(generator) - 1))
    turn = 2 * math.pi * _uniform(generator)
    flip = -1.0 if _uniform(generator) < 0.5 else 1.0
    level = tiles.whole if scale < 1.7 else tiles.half
    share = scale * SIDE / tiles.whole.shape[-1]
    room = max(0.0, 1.0 - share)
    x, y = (room * (2 * _uniform(generator) - 1) for _ in range(2))
    a, b = share * stretch * math.cos(turn), share / stretch * math.sin(turn)
    c, d = share * stretch * math.sin(turn), share / stretch * math.cos(turn)
    matrix = torch.tensor([[[a * flip, -b, x], [c * flip, d, y]]])
    grid = functional.affine_grid(matrix, [1, 5, SIDE, SIDE], align_corners=False)
    tile = level[row : row + 1].float() / 255.0
    return functional.grid_sample(tile, grid, padding_mode="reflection", align_corners=False)[0]


def _coloured(light: torch.Tensor, stain: Stains, generator: torch.Generator) -> torch.Tensor:
    """Return the picture (3, h, w) as another laboratory and scanner might show it."""
    shape = light.shape
    optical = density(light.reshape(3, -1).T)
    if _uniform(generator) < 0.6:
        optical = _restained(optical, stain, generator)
    if _uniform(generator) < 0.7:
        amounts = optical @ torch.linalg.inv(HED)
        gain = 1 + 0.25 * _spread(3, generator)
        optical = (amounts * gain + 0.03 * _spread(3, generator)) @ HED
    if _uniform(generator) < 0.5:
        mixing = torch.eye(3) + 0.08 * _spread(9, generator).reshape(3, 3)
        optical = optical @ mixing
    if _uniform(generator) < 0.25:
        optical = optical + 0.2 * torch.rand(3, generator=generator)
    light = torch.pow(10.0, -optical.clamp(-0.1, 3.0)).clamp(0, 1).T.reshape(shape)
    return _scanned(light, generator)


def _restained(optical: torch.Tensor, stain: Stains, generator: torch.Generator) -> torch.Tensor:
    """Return densities with the mean and spread of another tile (Reinhard et al. 2001)."""
    other = int(torch.randint(len(stain.mean), (1,), generator=generator))
    opponent = optical @ OPPONENT.T
    mean, spread = opponent.mean(0), opponent.std(0).clamp(min=0.01)
    gain = (stain.spread[other] / spread).clamp(0.4, 2.5)
    moved = (opponent - mean) * gain + stain.mean[other]
    share = 0.4 + 0.6 * _uniform(generator)
    return (share * moved + (1 - share) * opponent) @ OPPONENT


def _scanned(light: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return the picture with another contrast, focus, noise and compression."""
    if _uniform(generator) < 0.5:
        gamma = math.exp(0.35 * (2 * _uniform(generator) - 1))
        light = light.clamp(min=1e-4) ** gamma
    if _uniform(generator) < 0.05:
        light = light.mean(0, keepdim=True).expand(3, -1, -1)
    if _uniform(generator) < 0.2:
        light = blurred(light, 0.4 + 1.0 * _uniform(generator))
    if _uniform(generator) < 0.3:
        noise = torch.randn(light.shape, generator=generator)
        light = light + 0.03 * _uniform(generator) * noise
    if _uniform(generator) < 0.2:
        light = compressed(light.clamp(0, 1), 30 + int(60 * _uniform(generator)))
    return light.clamp(0, 1)


def blurred(light: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return the picture (3, h, w) out of focus by a Gaussian of `sigma` pixels."""
    at = torch.arange(-4, 5, dtype=torch.float32)
    kernel = torch.exp(-(at**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    wide = functional.pad(light[:, None], (4, 4, 4, 4), mode="reflect")
    wide = functional.conv2d(wide, kernel.view(1, 1, 1, 9))
    return functional.conv2d(wide, kernel.view(1, 1, 9, 1))[:, 0]


def compressed(light: torch.Tensor, quality: int) -> torch.Tensor:
    """Return the picture (3, h, w) after JPEG."""
    grey = (light.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=quality)
    back = np.array(Image.open(buffer))
    return torch.from_numpy(back).float().permute(2, 0, 1) / 255.0


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand(1, generator=generator))


def _spread(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(count, generator=generator).clamp(-2, 2)
