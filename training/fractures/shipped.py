"""The network as it is shipped: calibrated, with its boxes, in one graph."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.onnx.operators import shape_as_tensor

from training.fractures.network import WHOLE, Later, corners

BOXES = 32
"""Boxes per radiograph, best first."""

FAINTEST = 1e-4
PARTS = slice(WHOLE.index("hand"), WHOLE.index("shoulder") + 1)


@dataclass
class Calibration:
    """Numbers fitted on the validation part."""

    fractured: Tensor = field(default_factory=lambda: torch.tensor([1.0, 0.0, 0.0]))
    """Weight of the image's logit and of its highest peak's, and shift."""

    box: Tensor = field(default_factory=lambda: torch.tensor([1.0, 0.0]))
    """Scale and shift of a peak's logit. The image's is no help: it mixes the order of boxes."""

    hardware: Tensor = field(default_factory=lambda: torch.tensor([1.0, 0.0]))
    usual: Tensor = field(default_factory=lambda: torch.zeros(192))
    """Mean of what the late features average to over development images."""

    spread: Tensor = field(default_factory=lambda: torch.eye(192))
    """Whitens their distance from the mean; length 1 at the validation part's 99th percentile."""


class Shipped(nn.Module):
    """From grey values to calibrated answers.

    Looks twice, if asked: at the image, and at its mirror image a seventh larger, whose finer
    cells place the boxes better.
    """

    def __init__(
        self, early: nn.Module, later: Later, calibration: Calibration, twice: bool
    ) -> None:
        super().__init__()
        self.early, self.later, self.twice = early, later, twice
        for name, value in vars(calibration).items():
            self.register_buffer(name, value)

    def raw(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return peaks' chance, boxes, logits of the whole image, mean late features."""
        heat, reach, whole, late = self._once(image)
        factor = torch.ones(4)
        if self.twice:
            larger = functional.interpolate(image, _larger(image), mode="bilinear")
            sides = [shape_as_tensor(one)[2:].float().flip(0) for one in (larger, image)]
            factor = (sides[0] / sides[1]).repeat(2)
            other = self._once(larger.flip(3))
            fine = other[0].shape[2:]
            heat = (_spread_out(heat, fine) + other[0].flip(3)) / 2
            back = other[1].flip(3)[:, [2, 1, 0, 3]]
            reach = (_spread_out(reach, fine) * factor[None, :, None, None] + back) / 2
            whole = (whole + other[2]) / 2
        box = corners(reach)
        weight = functional.avg_pool2d(heat, 3, 1, 1)
        box = functional.avg_pool2d(heat * box, 3, 1, 1) / weight.clamp_min(1e-9)
        peaks = heat * (heat == functional.max_pool2d(heat, 3, 1, 1))
        best, cell = peaks.flatten(1).topk(BOXES, dim=1)
        boxes = box.flatten(2).gather(2, cell[:, None].expand(-1, 4, -1)).transpose(1, 2)
        return best, boxes / factor, whole, late

    def _once(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        fine, middle, late = self.later.features(self.early(image))
        outcome = self.later.decide(fine, middle, late)
        return torch.sigmoid(outcome.heat), outcome.reach, outcome.whole, late.mean((2, 3))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return probability (n, 1), boxes (n, 32, 5), hardware (n, 1), part (n, 4), unlike."""
        best, boxes, whole, late = self.raw(image)
        peak = torch.logit(best.clamp(FAINTEST, 1 - FAINTEST))
        score = torch.sigmoid(peak * self.box[0] + self.box[1])
        fractured = torch.stack([whole[:, 0], peak[:, 0]], 1) @ self.fractured[:2, None]
        clear = (best > FAINTEST).float()[:, :, None]
        hardware = whole[:, WHOLE.index("hardware")][:, None]
        odd = ((late - self.usual) @ self.spread).square().sum(1, keepdim=True).sqrt()
        return (
            torch.sigmoid(fractured + self.fractured[2]),
            torch.cat([boxes, score[:, :, None]], 2) * clear,
            torch.sigmoid(hardware * self.hardware[0] + self.hardware[1]),
            torch.sigmoid(whole[:, PARTS]),
            odd,
        )


def _larger(image: Tensor) -> tuple[int, int]:
    """Return rows and columns of an image a seventh larger, in multiples of 32."""
    rows, columns = ((side * 8 // 7 + 16) // 32 * 32 for side in image.shape[2:])
    return rows, columns


def _spread_out(cells: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(cells, size, mode="bilinear")
