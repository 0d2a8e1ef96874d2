"""Batches of views of radiographs, drawn and varied where the network is trained (a GPU).

As `augment.varied` does one by one: turned, mirrored, scaled, moved, with other contrast. A
radiograph lies in the upper left corner of a square of `SIDE`; a box turns as its ellipse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.fractures.augment import KEPT
from training.fractures.data import Ints, Radiographs

SIDE = 448
TRIES = 4
"""Views drawn of each radiograph; the first that keeps a fracture is taken."""


@dataclass(frozen=True)
class Views:
    """A batch on its canvas."""

    canvas: Tensor
    """(n, 1, rows, columns), 0 to 1."""
    boxes: Tensor
    """(n, k, 4) on the canvas."""
    there: Tensor
    """(n, k): a box that is one."""
    flags: Tensor
    """(n, 10)."""


class Deck:
    """Radiographs on a device, and batches of one orientation, half of them fractured."""

    def __init__(self, radiographs: Radiographs, rows: Ints, device: str, seed: int) -> None:
        self._device, self._generator = device, torch.Generator(device).manual_seed(seed)
        self._draw = np.random.default_rng(seed)
        most = max(len(radiographs.boxes[row]) for row in rows)
        pictures = np.zeros((len(rows), 1, SIDE, SIDE), np.uint8)
        boxes, sizes = np.zeros((len(rows), most, 4), np.float32), []
        there = np.zeros((len(rows), most), bool)
        for at, row in enumerate(rows):
            image, several = radiographs.images[row], radiographs.boxes[row]
            pictures[at, 0, : image.shape[0], : image.shape[1]] = image
            boxes[at, : len(several)], there[at, : len(several)] = several, True
            sizes.append(image.shape)
        self._pictures, self._boxes, self._there, self._flags, self._sizes = (
            torch.from_numpy(np.asarray(one)).to(device)
            for one in (pictures, boxes, there, radiographs.flags[rows], np.float32(sizes))
        )
        upright = np.array([size[0] >= size[1] for size in sizes])
        fractured = radiographs.column("fractured")[rows] == 1
        self._pools = {
            (up, broken): np.flatnonzero((upright == up) & (fractured == broken))
            for up in (True, False)
            for broken in (True, False)
        }
        self._upright = float(upright.mean())
        self._queues: dict[tuple[bool, bool], list[int]] = {key: [] for key in self._pools}

    def batch(self, count: int, canvas: tuple[int, int], zooms: tuple[float, float]) -> Views:
        """Return views on an upright canvas of these rows and columns, or on a lying one."""
        up = bool(self._draw.random() < self._upright)
        chosen = [self._next((up, broken)) for broken in (True, False) for _ in range(count // 2)]
        rows = torch.tensor(chosen, device=self._device)
        return self._varied(rows, canvas if up else canvas[::-1], zooms)

    def _next(self, key: tuple[bool, bool]) -> int:
        """Return the next of a pool; each is seen once before any is seen again."""
        if not self._queues[key]:
            self._queues[key] = self._draw.permutation(self._pools[key]).tolist()
        return self._queues[key].pop()

    def _varied(self, rows: Tensor, canvas: tuple[int, int], zooms: tuple[float, float]) -> Views:
        linear, shift = self._maps(self._sizes[rows], canvas, zooms)
        boxes, there = self._boxes[rows][:, None], self._there[rows]
        moved = _moved(boxes, linear, shift)
        edge = torch.tensor([canvas[1], canvas[0]] * 2, device=self._device)
        inside = torch.minimum(moved.clamp_min(0), edge.float())
        kept = (_areas(inside) >= KEPT * _areas(moved)) & there[:, None]
        first = (kept.any(2) | ~there.any(1, keepdim=True)).float().argmax(1)
        at = torch.arange(len(rows), device=self._device)
        linear, shift, inside, kept = (one[at, first] for one in (linear, shift, inside, kept))
        pictures = self._pictures[rows].float() / 255
        seen = self._contrast(_shown(pictures, linear, shift, canvas))
        flags = self._flags[rows].clone()
        flags[:, 0] = kept.any(1).float()
        return Views(seen, inside, kept, flags)

    def _maps(
        self, sizes: Tensor, canvas: tuple[int, int], zooms: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        """Return maps from image to canvas, (n, tries, 2, 2) and (n, tries, 2); x before y."""
        shape = (len(sizes), TRIES)
        target = torch.tensor(canvas, device=self._device).float()
        low, high = (math.log(zoom) for zoom in zooms)
        fit = (target / sizes).amin(1)[:, None]
        zoom = fit * torch.exp(low + (high - low) * self._uniform(*shape))
        turn = torch.randn(shape, generator=self._generator, device=self._device) * 12
        turn = torch.deg2rad(turn + 180 * (self._uniform(*shape) < 0.1))
        spare = (zoom[:, :, None] * sizes[:, None] - target).abs() / 2 + 12
        shift = spare * (2 * self._uniform(*shape, 2, 2) - 1).mean(3)
        mirror = 1 - 2 * (self._uniform(*shape) < 0.5).float()
        cos, sin = torch.cos(turn) * zoom, torch.sin(turn) * zoom
        linear = torch.stack([cos * mirror, -sin, sin * mirror, cos], 2).view(*shape, 2, 2)
        middle = sizes.flip(1)[:, None, :, None] / 2
        return linear, target.flip(0) / 2 + shift.flip(2) - (linear @ middle)[..., 0]

    def _contrast(self, canvas: Tensor) -> Tensor:
        one = (len(canvas), 1, 1, 1)
        soft = functional.avg_pool2d(canvas, 3, 1, 1)
        sharp = (self._uniform(*one) < 0.3) * (1.6 * self._uniform(*one) - 0.6)
        canvas = canvas + sharp * (soft - canvas)
        canvas = canvas.clamp(0, 1) ** torch.exp(self._uniform(*one) - 0.5)
        canvas = canvas * (0.7 + 0.5 * self._uniform(*one)) - 0.05 + 0.15 * self._uniform(*one)
        rough = (self._uniform(*one) < 0.5) * 0.03 * self._uniform(*one)
        noise = torch.randn(canvas.shape, generator=self._generator, device=self._device)
        return (canvas + rough * noise).clamp(0, 1)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self._generator, device=self._device)


def _moved(boxes: Tensor, linear: Tensor, shift: Tensor) -> Tensor:
    """Return the upright boxes around the turned ellipses that the boxes hold, (n, t, k, 4)."""
    turned = linear.transpose(2, 3)
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2 @ turned + shift[:, :, None]
    half = (((boxes[..., 2:] - boxes[..., :2]) / 2) ** 2 @ turned**2).sqrt()
    return torch.cat([middle - half, middle + half], 3)


def _shown(pictures: Tensor, linear: Tensor, shift: Tensor, canvas: tuple[int, int]) -> Tensor:
    """Return pictures on canvases; 0 outside."""
    rows, columns = canvas
    device = pictures.device
    y = torch.arange(rows, device=device) + 0.5
    x = torch.arange(columns, device=device) + 0.5
    at = torch.stack([x[None].expand(rows, -1), y[:, None].expand(-1, columns)], 2)
    # Inverse of a turn, a mirroring and a scale: no matrix solver, which would wait for the device.
    a, b, c, d = (linear[:, k // 2, k % 2] for k in range(4))
    back = torch.stack([d, -b, -c, a], 1).view(-1, 2, 2) / (a * d - b * c)[:, None, None]
    grid = (at[None] - shift[:, None, None]) @ back.transpose(1, 2)[:, None]
    return functional.grid_sample(pictures, grid * (2 / SIDE) - 1, align_corners=False)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(-1)
