"""Trains the nuclei network on a GPU: all of it, on many more crops than a CPU has time for.

    python -m training.pathology.gpu --pack --data FOLDER --work FOLDER --archive FILE
    python -m training.pathology.gpu --archive FILE --work FOLDER [--minutes 4] [--run NAME]
    python -m training.pathology.gpu --export --data FOLDER --work FOLDER [--models FOLDER]

The archive holds the development and validation tiles and weights to begin with. The learning
rate falls with the time that is over where `--minutes` is given, else with the steps of the
shipped run. `--export` calibrates `gpu.pt` on the validation part and writes the model.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.pathology import network as networks
from training.pathology.archive import load, pack
from training.pathology.crops import Crops
from training.pathology.nuclei import loss_of

RATES, LOWEST, WARM, AVERAGED, DECAY = (4e-4, 2e-3), 0.01, 100, 0.998, 0.02
STEPS = 1679
"""Of the shipped run: 3.6 minutes of an H200 that three other runs shared."""

EVERY_S = 20.0
MODELS = Path(__file__).resolve().parents[2] / "deploy" / "triton" / "models"
THRESHOLDS = (0.35, 0.4, 0.45, 0.5)


@dataclass(frozen=True)
class Plan:
    """One run; `n3` is shipped."""

    wide: bool
    """EfficientNet-Lite2 instead of Lite0."""
    seed: int
    begun: bool = False
    """Goes on from the shipped weights."""
    rate: float = 1.0
    drop: float = 0.0
    """Share of channels left out at the deepest map."""


PLANS = {
    "n1": Plan(False, 21, True, 0.5),
    "n2": Plan(False, 22, True, drop=0.1),
    "n3": Plan(True, 23, drop=0.1),
    "n4": Plan(True, 24, drop=0.2),
}


def build(plan: Plan, weights: dict[str, Tensor]) -> networks.NucleusNet:
    """Return the network of a plan with the weights it begins with."""
    network = networks.NucleusNet(networks.LITE2 if plan.wide else networks.LITE0, plan.drop)
    prefix = "begun:" if plan.begun else "lite2:" if plan.wide else "lite0:"
    state = {name[6:]: one for name, one in weights.items() if name.startswith(prefix)}
    missing = network.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and (plan.begun <= (not missing.missing_keys))
    network.trained_from = 0
    return network


@torch.no_grad()
def dices(network: nn.Module, pixels: Tensor, truth: Tensor) -> dict[float, float]:
    """Return the mean Dice per tile at each threshold."""
    found = []
    for tiles, masks in zip(pixels.split(16), truth.split(16), strict=True):
        light = functional.avg_pool2d(tiles.permute(0, 3, 1, 2).float() / 255, 2)
        logits = functional.interpolate(
            network(light)[:, :1].float(), scale_factor=2.0, mode="bilinear", align_corners=False
        )[:, 0]
        wanted, row = masks > 0, []
        for threshold in THRESHOLDS:
            guess = torch.sigmoid(logits) > threshold
            total = guess.sum((1, 2)) + wanted.sum((1, 2))
            row.append(2 * (guess & wanted).sum((1, 2)) / total.clamp_min(1))
        found.append(torch.stack(row))
    mean = torch.cat(found, 1).mean(1).tolist()
    return {one: round(value, 4) for one, value in zip(THRESHOLDS, mean, strict=True)}


def fit(plan: Plan, held: dict[str, Any], seconds: float | None, path: Path, device: str) -> None:
    """Train to the end of the time or of `STEPS`; keep the averaged weights, log validation."""
    torch.manual_seed(plan.seed)
    network = build(plan, held["weights"]).to(device).train()
    mean = copy.deepcopy(network).eval().requires_grad_(False)
    encoder = [p for n, p in network.named_parameters() if n.startswith("encoder")]
    decoder = [p for n, p in network.named_parameters() if not n.startswith("encoder")]
    groups = [
        {"params": p, "most": plan.rate * most}
        for p, most in zip((encoder, decoder), RATES, strict=True)
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=DECAY, fused=device != "cpu")
    crops = Crops(held["development"], device, plan.seed)
    pixels, truth = (torch.from_numpy(held["validation"][n]).to(device) for n in ("pixels", "mask"))
    step, said_step, best = 0, 0, -1.0
    losses, kept = torch.zeros((), device=device), {}
    began = said = time.perf_counter()
    while True:
        share = (time.perf_counter() - began) / seconds if seconds else step / STEPS
        fall = LOWEST + (1 - LOWEST) / 2 * (1 + math.cos(math.pi * min(share, 1)))
        for group in optimizer.param_groups:
            group["lr"] = group["most"] * fall * min(1.0, (step + 1) / WARM)
        light, wanted = crops.batch()
        with torch.autocast(device, torch.bfloat16, enabled=device != "cpu"):
            logits = network(light)
        loss = loss_of(logits.float(), wanted)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0, foreach=True)
        optimizer.step()
        step += 1
        losses += loss.detach()
        follow(mean, network, min(AVERAGED, step / (step + 20)))
        now = time.perf_counter()
        over = now - began >= seconds if seconds else step >= STEPS
        if not over and now - said < EVERY_S:
            continue
        figures = dices(mean, pixels, truth)
        line = {"run": path.stem, "s": round(now - began), "step": step, "dice": figures}
        line["loss"] = round(float(losses) / (step - said_step), 4)
        print(json.dumps(line), flush=True)
        state = {name: one.half().cpu() for name, one in mean.state_dict().items()}
        kept["last"] = state
        if max(figures.values()) > best and share > 0.3:
            best, kept["best"] = max(figures.values()), state
        torch.save(kept | {"plan": vars(plan)}, path)
        losses.zero_()
        said_step, said = step, time.perf_counter()
        if over:
            return


@torch.no_grad()
def follow(mean: nn.Module, network: nn.Module, kept: float) -> None:
    """Move the averaged weights toward the network's."""
    torch._foreach_lerp_(list(mean.parameters()), list(network.parameters()), 1 - kept)
    for averaged, now in zip(mean.buffers(), network.buffers(), strict=True):
        averaged.copy_(now)


def ship(data: Path, path: Path, models: Path) -> None:
    """Calibrate the weights on the validation part and write the model."""
    from training.pathology import export, groups, sets
    from training.pathology.train import calibrate

    kept = torch.load(path, weights_only=True)
    network = networks.NucleusNet(networks.LITE2 if kept["plan"]["wide"] else networks.LITE0)
    network.load_state_dict(kept["last"])
    tiles = sets.nuinsseg(data)
    rows = groups.split(tiles.pixels, tiles.number).validation
    scale, shift = calibrate(network.eval(), tiles.pixels[rows], tiles.instances[rows])
    print(f"calibration: scale {scale:.3f}, shift {shift:.3f}", flush=True)
    export.write_nuclei(network, scale, shift, models)


def main() -> None:
    """Pack, train one of the plans, or export."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pack", action="store_true")
    parser.add_argument("--export", action="store_true")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--archive", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--run", choices=sorted(PLANS), default="n3")
    arguments = parser.parse_args()
    path = arguments.work / "gpu.pt"
    if arguments.pack:
        pack(arguments.data, arguments.work, arguments.archive)
    elif arguments.export:
        ship(arguments.data, path, arguments.models)
    else:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu" and arguments.minutes is None:
            raise SystemExit("no GPU here: without --minutes this would take hours")
        seconds = 60 * arguments.minutes if arguments.minutes else None
        fit(PLANS[arguments.run], load(arguments.archive), seconds, path, device)


if __name__ == "__main__":
    main()
