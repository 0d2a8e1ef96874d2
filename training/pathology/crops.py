"""Batches of varied crops, drawn where the network is trained (a GPU): as `vary`, all at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.pathology.vary import DARKEST, HED, OPPONENT, SCALES, SIDE

BATCH = 24


class Crops:
    """Draws batches of varied crops on the device."""

    def __init__(self, held: dict[str, Any], device: str, seed: int) -> None:
        self._device, self._draw = device, np.random.default_rng(seed)
        self._noise = torch.Generator(device).manual_seed(seed)
        layers = [
            held["pixels"].transpose(0, 3, 1, 2),
            held["mask"][:, None],
            held["depth"][:, None],
        ]
        self._whole = torch.from_numpy(np.concatenate(layers, 1)).to(device)
        half = [functional.avg_pool2d(one[None].float(), 2) for one in self._whole]
        self._half = torch.cat([one.round().to(torch.uint8) for one in half])
        self._mean, self._spread = (
            torch.from_numpy(held[name]).to(device) for name in ("stain_mean", "stain_spread")
        )
        self._hed, self._opponent = HED.to(device), OPPONENT.to(device)
        self._back = torch.linalg.inv(HED).to(device)
        self._queue: list[int] = []

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return pixels (n, 3, 256, 256) and mask and depth (n, 2, 256, 256)."""
        if len(self._queue) < BATCH:
            self._queue = self._draw.permutation(len(self._whole)).tolist()
        rows, self._queue = self._queue[:BATCH], self._queue[BATCH:]
        low, high = np.log(SCALES)
        scale = np.exp(self._draw.uniform(low, high, BATCH))
        matrix = self._matrices(scale)
        cut = torch.empty(BATCH, 5, SIDE, SIDE, device=self._device)
        for level, chosen in ((self._whole, scale < 1.7), (self._half, scale >= 1.7)):
            which = np.flatnonzero(chosen)
            if len(which):
                tiles = level[torch.tensor([rows[k] for k in which], device=self._device)].float()
                grid = functional.affine_grid(
                    matrix[which], [len(which), 5, SIDE, SIDE], align_corners=False
                )
                cut[which] = functional.grid_sample(
                    tiles / 255, grid, padding_mode="reflection", align_corners=False
                )
        return self._coloured(cut[:, :3]), cut[:, 3:]

    def _matrices(self, scale: np.ndarray) -> Tensor:
        draw, n = self._draw, BATCH
        stretch = np.exp(0.15 * draw.uniform(-1, 1, n))
        turn, flip = draw.uniform(0, 2 * np.pi, n), draw.choice([-1.0, 1.0], n)
        share = scale * SIDE / 512
        x, y = np.maximum(0, 1 - share) * draw.uniform(-1, 1, (2, n))
        cos, sin = share * np.cos(turn), share * np.sin(turn)
        rows = [cos * stretch * flip, -sin / stretch, x, sin * stretch * flip, cos / stretch, y]
        return torch.from_numpy(np.float32(rows).T.reshape(n, 2, 3)).to(self._device)

    def _coloured(self, light: Tensor) -> Tensor:
        n, shape = len(light), light.shape
        optical = -torch.log10(light.clamp(min=DARKEST)).flatten(2).transpose(1, 2)
        optical = self._some(0.6, self._restained(optical), optical)
        gain, offset = 1 + 0.25 * self._bell(n, 1, 3), 0.03 * self._bell(n, 1, 3)
        optical = self._some(0.7, (optical @ self._back * gain + offset) @ self._hed, optical)
        mixing = torch.eye(3, device=self._device) + 0.08 * self._bell(n, 3, 3)
        optical = self._some(0.5, optical @ mixing, optical)
        optical = self._some(0.25, optical + 0.2 * self._uniform(n, 1, 3), optical)
        light = torch.pow(10.0, -optical.clamp(-0.1, 3.0)).clamp(0, 1)
        light = light.transpose(1, 2).reshape(shape)
        gamma = torch.exp(0.35 * (2 * self._uniform(n, 1, 1, 1) - 1))
        light = self._some(0.5, light.clamp(min=1e-4) ** gamma, light)
        light = self._some(0.05, light.mean(1, keepdim=True).expand_as(light), light)
        soft = functional.avg_pool2d(functional.pad(light, (1, 1, 1, 1), mode="reflect"), 3, 1)
        softer = functional.avg_pool2d(functional.pad(soft, (1, 1, 1, 1), mode="reflect"), 3, 1)
        light = self._some(0.2, self._some(0.5, softer, soft), light)
        rough = 0.03 * self._uniform(n, 1, 1, 1)
        noise = torch.randn(shape, generator=self._noise, device=self._device)
        light = self._some(0.3, light + rough * noise, light).clamp(0, 1)
        step = 0.01 + 0.07 * self._uniform(n, 1, 1, 1)
        return self._some(0.2, compressed(light, step), light).clamp(0, 1)

    def _restained(self, optical: Tensor) -> Tensor:
        """Return densities with the mean and spread of another tile (Reinhard et al. 2001)."""
        opponent = optical @ self._opponent.T
        mean, spread = opponent.mean(1, keepdim=True), opponent.std(1, keepdim=True)
        other = self._draw.integers(0, len(self._mean), len(optical))
        gain = (self._spread[other][:, None] / spread.clamp(min=0.01)).clamp(0.4, 2.5)
        moved = (opponent - mean) * gain + self._mean[other][:, None]
        share = 0.4 + 0.6 * self._uniform(len(optical), 1, 1)
        return (share * moved + (1 - share) * opponent) @ self._opponent

    def _some(self, share: float, changed: Tensor, plain: Tensor) -> Tensor:
        shape = [len(plain)] + [1] * (plain.dim() - 1)
        return torch.where(self._uniform(*shape) < share, changed, plain)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self._noise, device=self._device)

    def _bell(self, *shape: int) -> Tensor:
        drawn = torch.randn(shape, generator=self._noise, device=self._device)
        return drawn.clamp(-2, 2)


def compressed(light: Tensor, step: Tensor) -> Tensor:
    """Return pictures with the cosines of each 8x8 block rounded, coarser where finer: as JPEG."""
    k = torch.arange(8, device=light.device, dtype=torch.float32)
    cosines = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) / 2
    cosines[0] /= 2**0.5
    blocks = light.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4)
    found = cosines @ blocks @ cosines.T
    coarse = step[..., None, None] * (1 + k[:, None] + k[None])
    back = cosines.T @ ((found / coarse).round() * coarse) @ cosines
    return back.transpose(3, 4).flatten(4, 5).flatten(2, 3)
