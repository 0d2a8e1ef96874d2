"""What the frozen ImageNet encoder says of the lung tiles, as they are and under other stains.

    python -m training.pathology.lung_features --data FOLDER --work FOLDER

Kept in `--work/lung_features.npz`: one row per tile and condition.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from training.pathology import sets, vary
from training.pathology.network import BLOCKS, Encoder, pretrained

SEED = 20261126
VARIANTS = 2
"""Restained copies of each tile to train on."""

POOLED = (2, 4, 7, 10)
"""Blocks whose outputs are averaged over the tile; of those at stride 16, the spread too."""

Light = torch.Tensor


def shifts() -> dict[str, Callable[[Light, torch.Generator], Light]]:
    """Return the stain and scanner shifts of the stress table, by name."""
    return {
        "as it is": lambda light, generator: light,
        "haematoxylin and eosin +-25%": lambda light, generator: stained(light, generator, 0.25),
        "haematoxylin and eosin +-40%": lambda light, generator: stained(light, generator, 0.40),
        "another tile's colours (Reinhard)": restained,
        "gamma 0.7": lambda light, generator: light**0.7,
        "gamma 1.4": lambda light, generator: light**1.4,
        "JPEG quality 30": lambda light, generator: vary.compressed(light, 30),
        "blur, sigma 1 pixel": lambda light, generator: vary.blurred(light, 1.0),
        "blur, sigma 2 pixels": lambda light, generator: vary.blurred(light, 2.0),
        "grey": lambda light, generator: light.mean(0, keepdim=True).expand(3, -1, -1),
    }


def stained(light: Light, generator: torch.Generator, amount: float) -> Light:
    """Return the tile with each stain stronger or weaker by up to `amount`."""
    optical = vary.density(light.reshape(3, -1).T) @ torch.linalg.inv(vary.HED)
    gain = 1 + amount * (2 * torch.rand(3, generator=generator) - 1)
    moved = torch.pow(10.0, -((optical * gain) @ vary.HED)).clamp(0, 1)
    return moved.T.reshape(light.shape)


def restained(light: Light, generator: torch.Generator) -> Light:
    """Return the tile with the colours of another."""
    optical = vary.density(light.reshape(3, -1).T) @ vary.OPPONENT.T
    other = int(torch.randint(len(_bank.mean), (1,), generator=generator))
    mean, spread = optical.mean(0), optical.std(0).clamp(min=0.01)
    gain = (_bank.spread[other] / spread).clamp(0.4, 2.5)
    moved = ((optical - mean) * gain + _bank.mean[other]) @ vary.OPPONENT
    return torch.pow(10.0, -moved).clamp(0, 1).T.reshape(light.shape)


_bank: vary.Stains


def use_bank(stains: vary.Stains) -> None:
    """Say whose colours `restained` and `varied` take."""
    global _bank
    _bank = stains


def varied(light: Light, generator: torch.Generator) -> Light:
    """Return a copy to train on: turned, zoomed, restained, rescanned."""
    light = torch.rot90(light, int(torch.randint(4, (1,), generator=generator)), (1, 2))
    if torch.rand(1, generator=generator) < 0.5:
        light = light.flip(2)
    zoom = 0.85 + 0.3 * float(torch.rand(1, generator=generator))
    grid = functional.affine_grid(
        torch.tensor([[[zoom, 0, 0], [0, zoom, 0.0]]]), [1, 3, 224, 224], align_corners=False
    )
    light = functional.grid_sample(
        light[None], grid, padding_mode="reflection", align_corners=False
    )[0]
    return vary._coloured(light, _bank, generator)


def pooled(encoder: Encoder, light: Light) -> torch.Tensor:
    """Return averages (and spreads) of the outputs of `POOLED` blocks, (n, features)."""
    x = encoder.low(light)
    parts = []
    for number in range(1, len(encoder.blocks)):
        x = encoder.blocks[number](x)
        if number in POOLED:
            parts.append(x.mean((2, 3)))
            if number in (7, 10):
                parts.append(x.std((2, 3)))
    return torch.cat(parts, 1)


def names() -> list[str]:
    """Return the block and kind of every feature."""
    found = []
    for number in POOLED:
        width = BLOCKS[number][3]
        found += [f"{number} mean"] * width
        if number in (7, 10):
            found += [f"{number} spread"] * width
    return found


def main() -> None:
    """Compute and keep the features."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lung = sets.lc25000(arguments.data)
    use_bank(vary.stains(lung.pixels))
    encoder = Encoder(max(POOLED) + 1)
    encoder.fold(pretrained())
    encoder = encoder.eval().to(memory_format=torch.channels_last)
    light = torch.from_numpy(lung.pixels).permute(0, 3, 1, 2)
    generator = torch.Generator().manual_seed(SEED)
    kept = {}
    makers = {**shifts(), **{f"variant {k}": varied for k in range(VARIANTS)}}
    for name, make in makers.items():
        began, rows = time.perf_counter(), []
        for at in range(0, len(light), 16):
            batch = [make(one.float() / 255.0, generator) for one in light[at : at + 16]]
            with torch.no_grad():
                rows.append(pooled(encoder, torch.stack(batch)).numpy())
        kept[name] = np.concatenate(rows).astype(np.float32)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
        np.savez(arguments.work / "lung_features.npz", **kept)


if __name__ == "__main__":
    main()
