"""Trains the fracture network on a GPU: all of it, on the canvas that it is used on.

    python -m training.fractures.gpu --archive FOLDER --work FOLDER [--minutes 5] [--run NAME]

The archive (`training.fractures.archive`) holds the development and validation parts and weights
to begin with. The learning rate falls with the time that is over where `--minutes` is given, so
that a run always ends whole; else with the steps of run `a`. Weights, averaged over the
last steps, go to `--work` every half minute: `gpu.last.pt`, and `gpu.best.pt`, the best on the
validation part. Nothing of it is shipped: on the test part it was no better (RESULTS.md).
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.fractures import archive, checked
from training.fractures.losses import INSIDE, WEIGHTS, heat_loss, overlap
from training.fractures.network import STRIDE, Outcome, build, corners
from training.fractures.views import Deck, Views

BATCH = 16
RATE, RATE_PRETRAINED, LOWEST = 1e-3, 3e-4, 0.01
WARM = 200
AVERAGED = 0.999
DECAY = 0.03
STEPS = 1868
"""Of run `a`: five minutes of an H200 that three other runs shared."""

EVERY_S = 30.0


@dataclass(frozen=True)
class Plan:
    """One run."""

    backbone: str
    canvas: tuple[int, int]
    seed: int
    start: str | None = None
    """Weights to go on from; None: ImageNet's."""
    rate: float = 1.0
    zooms: tuple[float, float] = (0.8, 1.4)


class Whole(nn.Module):
    """Early blocks and the later part, for training both."""

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.early, self.later = build(backbone, imagenet=False)
        self.early.requires_grad_(True)

    def forward(self, grey: Tensor) -> Outcome:
        """Return raw outputs for grey values of 0 to 1, (n, 1, h, w)."""
        contrast = self.early[0](grey)  # type: ignore[index]
        with torch.autocast(grey.device.type, torch.bfloat16, enabled=grey.is_cuda):
            found = self.later(self.early[1:](contrast))  # type: ignore[index]
        return Outcome(*(one.float() for one in found))


def targets(views: Views, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Return bumps and boxes at each cell, as `losses.targets`, for a whole batch at once."""
    device = views.boxes.device
    y = torch.arange(rows, device=device, dtype=torch.float32)[:, None]
    x = torch.arange(columns, device=device, dtype=torch.float32)[None]
    middle = (views.boxes[..., :2] + views.boxes[..., 2:]) / 2 / STRIDE
    wide = ((views.boxes[..., 2:] - views.boxes[..., :2]) / STRIDE * 0.2).clamp_min(0.6)
    last = torch.tensor([columns - 1.0, rows - 1.0], device=device)
    cell = torch.minimum(middle.floor().clamp_min(0), last)[..., None, None]
    wide = wide[..., None, None]
    far = ((x - cell[:, :, 0]) / wide[:, :, 0]) ** 2 + ((y - cell[:, :, 1]) / wide[:, :, 1]) ** 2
    bumps, which = (torch.exp(-far / 2) * views.there[..., None, None]).max(1)
    boxes = views.boxes.gather(1, which.flatten(1)[:, :, None].expand(-1, -1, 4))
    return bumps[:, None], boxes.transpose(1, 2).unflatten(2, (rows, columns))


def loss_of(outcome: Outcome, views: Views) -> Tensor:
    """Return the losses of heat, boxes and whole picture, (3,)."""
    bumps, wanted = targets(views, *outcome.heat.shape[2:])
    found = corners(outcome.reach).permute(0, 2, 3, 1)
    weight = bumps[:, 0] * (bumps[:, 0] >= INSIDE)
    apart = 1 - overlap(found, wanted.permute(0, 2, 3, 1))
    reach = (apart * weight).sum() / weight.sum().clamp_min(1e-6)
    each = functional.binary_cross_entropy_with_logits(outcome.whole, views.flags, reduction="none")
    whole = (each.mean(0) * WEIGHTS.to(each.device)).sum()
    return torch.stack([heat_loss(outcome.heat, bumps), reach, whole])


class Run:
    """Training of one network within a time."""

    def __init__(self, plan: Plan, deck: Deck, weights: archive.Weights, device: str) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.deck, self.step = plan, deck, 0
        network = Whole(plan.backbone)
        network.load_state_dict(archive.start(weights, plan.backbone, plan.start, network))
        self.network = network.to(device).train()
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        known = [*network.early.parameters(), *network.later.fine.parameters()]
        known += [*network.later.middle.parameters(), *network.later.late.parameters()]
        ids = {id(weight) for weight in known}
        new = [weight for weight in network.parameters() if id(weight) not in ids]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": known, "most": plan.rate * RATE_PRETRAINED},
                {"params": new, "most": plan.rate * RATE},
            ],
            weight_decay=DECAY,
            fused=device != "cpu",
        )
        self.parts = torch.zeros(3, device=device)

    def learn(self, share: float) -> None:
        """Take one step at this share of the time."""
        fall = LOWEST + (1 - LOWEST) / 2 * (1 + math.cos(math.pi * min(share, 1.0)))
        for group in self.optimizer.param_groups:
            group["lr"] = group["most"] * fall * min(1.0, (self.step + 1) / WARM)
        views = self.deck.batch(BATCH, self.plan.canvas, self.plan.zooms)
        parts = loss_of(self.network(views.canvas), views)
        loss = parts[0] + 1.5 * parts[1] + parts[2]
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0, foreach=True)
        self.optimizer.step()
        self.step += 1
        self.parts += parts.detach()
        kept = min(AVERAGED, self.step / (self.step + 20))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.averaged.parameters()), list(self.network.parameters()), 1 - kept
            )


def fit(
    run: Run, validation: checked.Validation, seconds: float | None, work: Path, name: str
) -> None:
    """Train to the end of the time or of `STEPS`; keep the last weights, and those best."""
    began = said = time.perf_counter()
    best, steps_said = -1.0, 0
    while True:
        now = time.perf_counter()
        share = (now - began) / seconds if seconds else run.step / STEPS
        over = share >= 1
        if not over:
            run.learn(share)
        if not over and now - said < EVERY_S:
            continue
        parts = (run.parts / max(run.step - steps_said, 1)).tolist()
        figures = validation.figures(run.averaged)
        line = {"run": name, "s": round(now - began), "step": run.step}
        line |= {"loss": [round(part, 3) for part in parts]} | figures
        with (work / "gpu.log").open("a") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
        archive.keep(run.averaged, work / "gpu.last.pt")
        if figures["all"] > best and share > 0.4:
            best = figures["all"]
            archive.keep(run.averaged, work / "gpu.best.pt")
        run.parts.zero_()
        steps_said, said = run.step, time.perf_counter()
        if over:
            return


LITE0, LITE2 = "efficientnet-lite0", "efficientnet-lite2"
LARGE = (672, 576)
PLANS = {
    "a": Plan(LITE0, LARGE, 11, "shipped", 0.6),
    "b": Plan(LITE2, LARGE, 12),
    "c": Plan(LITE2, LARGE, 13),
    "d": Plan(LITE0, LARGE, 14, "shipped", 0.6),
}
"""What was tried at once; `a` was the best on the validation part."""


def main() -> None:
    """Train one of the plans."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--run", choices=sorted(PLANS), default="a")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and arguments.minutes is None:
        raise SystemExit("no GPU here: without --minutes this would take hours")
    plan = PLANS[arguments.run]
    arguments.work.mkdir(parents=True, exist_ok=True)
    held = archive.load(arguments.archive)
    deck = Deck(held.radiographs, held.development, device, plan.seed)
    validation = checked.Validation(held.radiographs, held.validation, plan.canvas, device)
    run = Run(plan, deck, held.weights, device)
    print(arguments.run, "ready", len(held.development), len(held.validation), flush=True)
    seconds = 60 * arguments.minutes if arguments.minutes else None
    fit(run, validation, seconds, arguments.work, arguments.run)


if __name__ == "__main__":
    main()
