"""The network as it is shipped: calibrated, with its boxes, in one graph."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.fractures.network import WHOLE, Later, corners

BOXES = 32
"""Boxes per radiograph, best first."""

FAINTEST = 1e-4
PARTS = slice(WHOLE.index("hand"), WHOLE.index("shoulder") + 1)


@dataclass
class Calibration:
    """Numbers fitted on the validation part."""

    fractured: Tensor = field(default_factory=lambda: torch.tensor([1.0, 0.0]))
    """Scale and shift of the logit of the whole image."""

    box: Tensor = field(default_factory=lambda: torch.tensor([1.0, 0.0, 0.0]))
    """Weight of a peak's logit, of the image's logit, and shift."""

    hardware: Tensor = field(default_factory=lambda: torch.tensor([1.0, 0.0]))
    usual: Tensor = field(default_factory=lambda: torch.zeros(192))
    """Mean of what the late features average to over development images."""

    spread: Tensor = field(default_factory=lambda: torch.eye(192))
    """Whitens their distance from the mean; length 1 at the validation part's 99th percentile."""


class Shipped(nn.Module):
    """From grey values to calibrated answers; looks at the mirrored image too, if asked."""

    def __init__(
        self, early: nn.Module, later: Later, calibration: Calibration, mirrored: bool
    ) -> None:
        super().__init__()
        self.early, self.later, self.mirrored = early, later, mirrored
        for name, value in vars(calibration).items():
            self.register_buffer(name, value)

    def raw(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return peaks' chance, boxes, logits of the whole image, mean late features."""
        heat, reach, whole, late = self._once(image)
        if self.mirrored:
            other = self._once(image.flip(3))
            heat = (heat + other[0].flip(3)) / 2
            back = other[1].flip(3)[:, [2, 1, 0, 3]]
            reach = (reach + back) / 2
            whole = (whole + other[2]) / 2
        box = corners(reach)
        weight = functional.avg_pool2d(heat, 3, 1, 1)
        box = functional.avg_pool2d(heat * box, 3, 1, 1) / weight.clamp_min(1e-9)
        peaks = heat * (heat == functional.max_pool2d(heat, 3, 1, 1))
        best, cell = peaks.flatten(1).topk(BOXES, dim=1)
        boxes = box.flatten(2).gather(2, cell[:, None].expand(-1, 4, -1)).transpose(1, 2)
        return best, boxes, whole, late

    def _once(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        early = self.early(image)
        middle = self.later.middle(early)
        late = self.later.late(middle)
        outcome = self.later.decide(early, middle, late)
        return torch.sigmoid(outcome.heat), outcome.reach, outcome.whole, late.mean((2, 3))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return probability (n, 1), boxes (n, 32, 5), hardware (n, 1), part (n, 4), unlike."""
        best, boxes, whole, late = self.raw(image)
        fractured = whole[:, :1]
        peak = torch.logit(best.clamp(FAINTEST, 1 - FAINTEST))
        score = torch.sigmoid(peak * self.box[0] + fractured * self.box[1] + self.box[2])
        clear = (best > FAINTEST).float()[:, :, None]
        hardware = whole[:, WHOLE.index("hardware")][:, None]
        odd = ((late - self.usual) @ self.spread).square().sum(1, keepdim=True).sqrt()
        return (
            torch.sigmoid(fractured * self.fractured[0] + self.fractured[1]),
            torch.cat([boxes, score[:, :, None]], 2) * clear,
            torch.sigmoid(hardware * self.hardware[0] + self.hardware[1]),
            torch.sigmoid(whole[:, PARTS]),
            odd,
        )
