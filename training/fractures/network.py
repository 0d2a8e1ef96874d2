"""The network: one look at a radiograph gives boxes, the chance of a fracture, and what it shows.

Anchor-free and single-stage: features of 1/32, 1/16 and 1/8 of the side are added up at 1/8;
each cell says whether a fracture's middle lies there (heat) and how far its box reaches.
The chance for the whole radiograph comes from the hottest cells and from the whole picture.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.fractures.backbone import pretrained, width

STRIDE = 8
WIDTH = 64
HOTTEST = 8
WHOLE = ("fractured", "hardware", "hand", "leg", "hip", "shoulder", "frontal", "lateral")
WHOLE += ("oblique", "multiscan")


class Outcome(NamedTuple):
    """Raw outputs of the network."""

    heat: Tensor
    """(n, 1, h, w), logit of a fracture's middle."""
    reach: Tensor
    """(n, 4, h, w), pixels from the cell's middle to the left, top, right and bottom edge."""
    whole: Tensor
    """(n, 10), logits, in the order of `WHOLE`."""


class Later(nn.Module):
    """What is trained: everything after the early blocks."""

    def __init__(self, fine: nn.Sequential, middle: nn.Sequential, late: nn.Sequential) -> None:
        super().__init__()
        self.fine, self.middle, self.late = fine, middle, late
        self.from_early = nn.Conv2d(width(fine), WIDTH, 3, padding=1)
        self.from_middle = nn.Conv2d(width(middle), WIDTH, 1)
        self.from_late = nn.Conv2d(width(late), WIDTH, 1)
        self.tower = nn.Sequential(*_layer(), *_layer())
        self.heat = nn.Sequential(*_layer(), nn.Conv2d(WIDTH, 1, 1))
        self.reach = nn.Sequential(*_layer(), nn.Conv2d(WIDTH, 4, 1))
        self.hidden = nn.Linear(2 * width(late) + WIDTH, 128)
        self.whole = nn.Linear(128, len(WHOLE))
        self.drop = nn.Dropout(0.3)
        self.from_heat = nn.Parameter(torch.tensor([0.4, 0.4]))
        nn.init.constant_(self.heat[-1].bias, -4.0)
        nn.init.constant_(self.reach[-1].bias, 0.6)

    def forward(self, early: Tensor) -> Outcome:
        """Return raw outputs for features of 1/4 of the side, (n, 24, h, w)."""
        return self.decide(*self.features(early))

    def features(self, early: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features of 1/8, 1/16 and 1/32 of the side."""
        fine = self.fine(early)
        middle = self.middle(fine)
        return fine, middle, self.late(middle)

    def decide(self, fine: Tensor, middle: Tensor, late: Tensor) -> Outcome:
        """Return raw outputs for features of 1/8, 1/16 and 1/32 of the side."""
        up = self.from_middle(middle) + _double(self.from_late(late))
        cells = self.tower(self.from_early(fine) + _double(up))
        heat, reach = self.heat(cells), self.reach(cells)
        pooled = [late.mean((2, 3)), late.amax((2, 3)), cells.amax((2, 3))]
        whole = self.whole(self.drop(functional.relu(self.hidden(torch.cat(pooled, 1)))))
        hottest = heat.flatten(1).topk(HOTTEST, dim=1).values
        warmth = torch.stack([hottest[:, 0], hottest.mean(1)], 1)
        fractured = whole[:, :1] + (self.from_heat * (warmth + 2.0)).sum(1, keepdim=True)
        return Outcome(
            heat, STRIDE * torch.exp(reach.clamp(-3, 3)), torch.cat([fractured, whole[:, 1:]], 1)
        )


def _layer() -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU()


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def build(name: str = "efficientnet-lite0", *, imagenet: bool = True) -> tuple[nn.Module, Later]:
    """Return the early part, which stays as it is on a CPU, and the part to train."""
    early, fine, middle, late = pretrained(name, imagenet=imagenet)
    for weight in early.parameters():
        weight.requires_grad_(False)
    return early.eval(), Later(fine, middle, late)


def middles(reach: Tensor) -> Tensor:
    """Return x and y of each cell's middle in pixels, (1, 2, h, w)."""
    rows, columns = reach.shape[2], reach.shape[3]
    y = (torch.arange(rows, dtype=reach.dtype, device=reach.device) + 0.5) * STRIDE
    x = (torch.arange(columns, dtype=reach.dtype, device=reach.device) + 0.5) * STRIDE
    return torch.stack([x[None].expand(rows, -1), y[:, None].expand(-1, columns)])[None]


def corners(reach: Tensor) -> Tensor:
    """Return each cell's box, (n, 4, h, w): x0, y0, x1, y1 in pixels of the canvas."""
    at = middles(reach)
    return torch.cat([at - reach[:, :2], at + reach[:, 2:]], 1)
