"""Trains the network that finds nuclei.

    python -m training.pathology.nuclei --data FOLDER --work FOLDER [--until EPOCH]

The seed is fixed. After each epoch the state is kept in `--work`, so a run that was stopped goes
on where it was; `--until` lets one command train a part of the whole.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.pathology import groups, sets, targets, vary
from training.pathology.network import NucleusNet, pretrained

SEED = 20261126
FIRST, REST = 2, 10
"""Epochs in which the encoder is trained from stride 2 on, and those from stride 4 on."""

EPOCHS = 10
"""The shipped model was taken two epochs before the learning rate's end: time was up."""

FROZEN_BLOCKS = 2
"""Of the encoder, after the first block, in the later epochs."""

BATCH = 8
RATES = {"encoder": 4e-4, "decoder": 3e-3}
WARM_STEPS = 60
DECAY = 0.98
"""Of the mean of the weights that is kept beside them, and used."""


@dataclass
class State:
    """What training goes on with."""

    network: NucleusNet
    mean: NucleusNet
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    epoch: int = 0


def begin() -> State:
    """Return a network with the ImageNet encoder, before training."""
    torch.manual_seed(SEED)
    network = NucleusNet()
    network.encoder.fold(pretrained())
    network = network.to(memory_format=torch.channels_last)
    encoder = [p for n, p in network.named_parameters() if n.startswith("encoder")]
    decoder = [p for n, p in network.named_parameters() if not n.startswith("encoder")]
    optimizer = torch.optim.AdamW(
        [
            {"params": encoder, "lr": RATES["encoder"], "most": RATES["encoder"]},
            {"params": decoder, "lr": RATES["decoder"], "most": RATES["decoder"]},
        ],
        weight_decay=0.01,
    )
    mean = copy.deepcopy(network).requires_grad_(False)
    return State(network, mean, optimizer, torch.Generator().manual_seed(SEED))


def loss_of(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy, Dice of each crop, and the error of the depth."""
    mask, depth = wanted[:, 0], wanted[:, 1]
    entropy = functional.binary_cross_entropy_with_logits(logits[:, 0], mask)
    probability = torch.sigmoid(logits[:, 0])
    shared = (probability * mask).sum((1, 2))
    total = probability.sum((1, 2)) + mask.sum((1, 2))
    dice = 1 - ((2 * shared + 20) / (total + 20)).mean()
    deep = functional.binary_cross_entropy_with_logits(logits[:, 1], depth)
    return entropy + dice + 0.7 * deep


def rate(epoch: int, share: float, step: int) -> float:
    """Return the learning rate as a share of the most, at a share of an epoch."""
    warm = min(1.0, (epoch * 1e9 + step + 1) / WARM_STEPS)
    start, length = (0, REST) if epoch < FIRST else (FIRST, REST)
    along = (epoch - start + share) / length
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * along)))


def train_epoch(state: State, tiles: vary.Source, stain: vary.Stains) -> float:
    """Train on every tile once; return the mean loss."""
    state.network.train()
    state.network.frozen = FROZEN_BLOCKS if state.epoch >= FIRST else 0
    order = torch.randperm(len(tiles.whole), generator=state.generator)
    steps, total = len(order) // BATCH, 0.0
    for step in range(steps):
        rows = order[step * BATCH : (step + 1) * BATCH]
        pixels, wanted = vary.crops(tiles, rows, stain, state.generator)
        pixels = pixels.to(memory_format=torch.channels_last)
        for group in state.optimizer.param_groups:
            group["lr"] = group["most"] * rate(state.epoch, step / steps, step)
        loss = loss_of(state.network(pixels), wanted)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(state.network.parameters(), 5.0)
        state.optimizer.step()
        _follow(state, state.epoch * steps + step)
        total += float(loss.detach())
    state.epoch += 1
    return total / steps


def _follow(state: State, step: int) -> None:
    decay = min(DECAY, (1 + step) / (10 + step))
    with torch.no_grad():
        for kept, now in zip(
            state.mean.state_dict().values(), state.network.state_dict().values(), strict=True
        ):
            if kept.dtype.is_floating_point:
                kept.lerp_(now, 1 - decay)
            else:
                kept.copy_(now)


def validate(network: NucleusNet, pixels: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean Dice per tile at half size, with the threshold 0.5."""
    network.eval()
    found = []
    with torch.no_grad():
        for tile, mask in zip(pixels, truth, strict=True):
            light = torch.from_numpy(tile).permute(2, 0, 1).float()[None] / 255.0
            small = functional.avg_pool2d(light, 2).to(memory_format=torch.channels_last)
            logits = functional.interpolate(
                network(small)[:, :1], scale_factor=2.0, mode="bilinear", align_corners=False
            )
            guess = logits[0, 0].numpy() > 0
            total = int(guess.sum()) + int((mask > 0).sum())
            found.append(2 * int((guess & (mask > 0)).sum()) / max(total, 1))
    return float(np.mean(found))


def save(state: State, path: Path) -> None:
    """Keep everything training goes on with."""
    torch.save(
        {
            "network": state.network.state_dict(),
            "mean": state.mean.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "generator": state.generator.get_state(),
            "epoch": state.epoch,
        },
        path,
    )


def load(path: Path) -> State:
    """Return the kept state, or a new one."""
    state = begin()
    if path.is_file():
        kept = torch.load(path, weights_only=True)
        state.network.load_state_dict(kept["network"])
        state.mean.load_state_dict(kept["mean"])
        state.optimizer.load_state_dict(kept["optimizer"])
        state.generator.set_state(kept["generator"])
        state.epoch = int(kept["epoch"])
    return state


def depths(work: Path, masks: np.ndarray) -> np.ndarray:
    """Return the depth targets, uint8; made once."""
    path = work / "depth.npy"
    if not path.is_file():
        made = [targets.depth(targets.parted(mask > 0)) for mask in masks]
        np.save(path, np.stack([(one * 255).round().astype(np.uint8) for one in made]))
    return np.asarray(np.load(path))


def run(data: Path, work: Path, until: int) -> State:
    """Train up to an epoch; return the state."""
    work.mkdir(parents=True, exist_ok=True)
    nuclei = sets.nuinsseg(data)
    parts = groups.split(nuclei.pixels, nuclei.number)
    depth = depths(work, nuclei.instances)
    rows = parts.development
    tiles = vary.source(nuclei.pixels[rows], nuclei.instances[rows], depth[rows])
    stain = vary.stains(
        np.concatenate([nuclei.pixels[rows][:, :224, :224], sets.lc25000(data).pixels])
    )
    check = parts.validation
    path = work / "nuclei.pt"
    state = load(path)
    while state.epoch < until:
        began = time.perf_counter()
        loss = train_epoch(state, tiles, stain)
        took = time.perf_counter() - began
        save(state, path)
        dice = validate(state.mean, nuclei.pixels[check], nuclei.instances[check])
        print(f"epoch {state.epoch:2d} loss {loss:.4f} dice {dice:.4f} {took:.0f} s", flush=True)
    return state


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--until", type=int, default=EPOCHS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run(arguments.data, arguments.work, arguments.until)


if __name__ == "__main__":
    main()
