"""The network of the readers' impression: malignancy and seven further ratings of a nodule.

Few nodules are rated and their ratings are noisy, so nothing deep is trained. The first eleven
blocks of EfficientNet-Lite0 (ImageNet weights, Apache-2.0) look at the nodule through three
windows, wide and near; rings around its middle are measured in HU; linear layers with strong
shrinkage read rings and each view, and their mean is one layer again.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nodules.backbone import Backbone

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

SIDE, PIXEL_MM = 64, 0.7
MARGIN, ENLARGED = 8, 112
"""The backbone sees the middle 48x48 pixels (34 mm), enlarged."""

NEAR_MARGIN, NEAR_ENLARGED = 18, 96
"""And again the middle 28x28 pixels (20 mm)."""

RINGS, RAYS = 22, 32
"""Rings 0 to 21 mm from the middle, by the nearest pixel."""

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
EDGES_HU = (-700.0, -500.0, -300.0, -100.0)

ATTITUDES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda patches: patches,
    lambda patches: patches.flip(2, 3),
)


def _places() -> Tensor:
    """Return for each ring and ray the pixel's number in the patch, (22 * 32,)."""
    turns = torch.arange(RAYS, dtype=torch.float64) * 2 * math.pi / RAYS
    reach = torch.arange(RINGS, dtype=torch.float64)[:, None] / PIXEL_MM
    rows, columns = (
        (SIDE // 2 + reach * wave).round().long().clamp(0, SIDE - 1)
        for wave in (turns.sin(), turns.cos())
    )
    return (rows * SIDE + columns).flatten()


class Rings(nn.Module):
    """HU on rings around the middle, and how far rays go until they leave the nodule.

    Shares over the rays are robust where a wall or a vessel touches the nodule.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("places", _places())

    def forward(self, patches: Tensor) -> Tensor:
        """Return shares of each ring's HU, and of the rays' lengths at four edges, (n, 142)."""
        hu = functional.pad(patches.clamp(-1000.0, 600.0), (1, 1, 1, 1), "replicate")
        smooth = functional.avg_pool2d(hu, 3, 1)
        rings = smooth.flatten(1)[:, self.places].view(-1, RINGS, RAYS)
        ordered = torch.sort(rings, dim=2).values
        at = [int(RAYS * share) for share in SHARES]
        found = [torch.stack([ordered[:, :, k] for k in at], dim=2).flatten(1) / 300.0]
        for edge in EDGES_HU:
            found.append(self._lengths((rings > edge).to(rings.dtype), at))
        return torch.cat(found, dim=1)

    @staticmethod
    def _lengths(inside: Tensor, at: list[int]) -> Tensor:
        so_far, length = inside[:, 1], inside[:, 1]
        for ring in range(2, RINGS):
            so_far = so_far * inside[:, ring]
            length = length + so_far
        ordered = torch.sort(length, dim=1).values
        mean = length.mean(dim=1) + 1.0
        spread = torch.sqrt(((length - length.mean(dim=1, keepdim=True)) ** 2).mean(dim=1))
        rough = (length[:, 1:] - length[:, :-1]).abs().mean(dim=1)
        shorter = torch.sqrt((ordered[:, : RAYS // 2] ** 2).mean(dim=1))
        shares = [torch.log1p(ordered[:, k]) for k in at]
        return torch.stack([*shares, spread / mean, rough / mean, torch.log1p(shorter)], dim=1)


class Features(nn.Module):
    """Takes patches (n, 1, 64, 64), HU; gives what the linear layer reads, (n, 1534)."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.rings = Backbone(MARGIN, ENLARGED), Rings()

    def forward(self, patches: Tensor) -> Tensor:
        """Return features, (n, 1534): rings, the wide view, the near view."""
        near = self.backbone.seen(patches, NEAR_MARGIN, NEAR_ENLARGED)
        return torch.cat([self.rings(patches), self.backbone(patches), near], dim=1)


class Impression(nn.Module):
    """As exported: `ratings` (n, 8) in their own scales, `malignancy` (n, 1), a probability."""

    def __init__(
        self,
        middle: Tensor,
        spread: Tensor,
        weights: Tensor,
        calibration: tuple[float, float],
    ) -> None:
        super().__init__()
        self.features = Features()
        self.register_buffer("middle", middle)
        self.register_buffer("spread", spread)
        self.register_buffer("weights", weights[:-1])
        self.register_buffer("shift", weights[-1])
        self.register_buffer("highest", torch.tensor(HIGHEST, dtype=torch.float32))
        self.calibration = calibration

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return ratings and the probability of malignancy."""
        seen = []
        for turned in ATTITUDES:
            features = (self.features(turned(patches)) - self.middle) / self.spread
            seen.append(features.clamp(-4.0, 4.0) @ self.weights + self.shift)
        logits = torch.stack(seen).mean(dim=0)
        scale, shift = self.calibration
        malignancy = torch.sigmoid(logits[:, :1] * scale + shift)
        return 1.0 + torch.sigmoid(logits) * (self.highest - 1.0), malignancy
