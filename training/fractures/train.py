"""Trains the fracture network.

    python -m training.fractures.train --data FOLDER [--work FOLDER]

FOLDER holds `fracatlas_448`; the weights go to `--work` as `weights.pt`. Half of each batch is
fractured. Steps at a smaller canvas come first, then steps at the full one. The seed is fixed.
`evaluate` calibrates, exports, measures and writes the card.
"""

from __future__ import annotations

import argparse
import copy
import math
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from training.fractures import augment, losses
from training.fractures.data import Floats, Ints, Radiographs, read
from training.fractures.groups import split
from training.fractures.network import build

SEED = 20261126
BATCH = 8
STAGES = ((0.72, 500), (0.86, 260), (0.86, 1240), (0.86, 1500))
"""Scale of the canvas and steps at it."""

DEEP = 2000
"""From this step on the blocks from 1/4 to 1/8 of the side are trained too."""

CHANGED = 897
"""Until this step of the shipped run boxes grew when training turned them."""

PLANNED = 250
"""Steps of the third stage as it was planned until `CHANGED`."""

HIGHEST = (None, 1.0, 0.7, 0.6)
LOWEST = 0.02
"""Learning rate at the beginning of each stage, as a share; None: it stays level."""

ZOOMS = {0.72: (0.95, 1.9), 0.86: (0.9, 1.4)}
"""On the small canvas parts of radiographs are shown, so that fractures keep their size."""
RATE, RATE_PRETRAINED = 1e-3, 3e-4
AVERAGED = 0.997
WORK = Path(tempfile.gettempdir()) / "fractures-work"


class Early:
    """The early blocks in ONNX Runtime, twice as fast there as in PyTorch on a CPU."""

    def __init__(self, early: nn.Module, work: Path) -> None:
        path = work / "early.onnx"
        torch.onnx.export(
            early,
            (torch.rand(2, 1, 64, 64),),
            str(path),
            input_names=["grey"],
            output_names=["features"],
            dynamic_axes={"grey": {0: "n", 2: "h", 3: "w"}, "features": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, canvases: list[augment.Canvas]) -> torch.Tensor:
        """Return features of 1/4 of the side, (n, 24, h, w)."""
        grey = np.stack(canvases)[:, None]
        features = torch.from_numpy(self._session.run(None, {"grey": grey})[0])
        return features.contiguous(memory_format=torch.channels_last)


class Draw:
    """Draws batches: one orientation each, half of it fractured."""

    def __init__(self, radiographs: Radiographs, rows: Ints, generator: np.random.Generator):
        self._all, self._generator = radiographs, generator
        fractured = radiographs.column("fractured")
        upright = np.array([image.shape[0] >= image.shape[1] for image in radiographs.images])
        self._pools = {
            (up, broken): rows[(upright[rows] == up) & (fractured[rows] == broken)]
            for up in (True, False)
            for broken in (1, 0)
        }
        self._upright = float(upright[rows].mean())
        self.queues: dict[tuple[bool, int], list[int]] = {key: [] for key in self._pools}

    def __call__(
        self, scale: float, *, loose: bool
    ) -> tuple[list[augment.Canvas], list[Floats], torch.Tensor]:
        """Return canvases, their boxes, and flags; `loose`: boxes as before `CHANGED`."""
        up = bool(self._generator.random() < self._upright)
        chosen = [self._next((up, broken)) for broken in (1, 0) for _ in range(BATCH // 2)]
        views = [
            augment.varied(
                self._all.images[k],
                self._all.boxes[k],
                self._generator,
                scale,
                ZOOMS[scale],
                loose=loose,
            )
            for k in chosen
        ]
        flags = torch.from_numpy(self._all.flags[chosen])
        flags[:, 0] = torch.tensor([float(len(view.boxes) > 0) for view in views])
        return [view.canvas for view in views], [view.boxes for view in views], flags

    def _next(self, key: tuple[bool, int]) -> int:
        """Return the next image of a pool; each is seen once before any is seen again."""
        if not self.queues[key]:
            self.queues[key] = self._generator.permutation(self._pools[key]).tolist()
        return self.queues[key].pop()


class Run:
    """One training run, which can stop after any step and go on from its checkpoint."""

    def __init__(self, radiographs: Radiographs, rows: Ints, work: Path) -> None:
        torch.manual_seed(SEED)
        early, later = build()
        self.work, self.front, self.step = work, Early(early, work), 0
        self.later = later.to(memory_format=torch.channels_last).train()
        self.averaged = copy.deepcopy(self.later).eval()
        self.prepare()
        self.generator = np.random.default_rng(SEED)
        self.draw = Draw(radiographs, rows, self.generator)
        self.before_s, self.stopped = 0.0, False

    def prepare(self) -> None:
        """Make the optimizer of what is trained from this step on."""
        later, deep = self.later, self.step >= DEEP
        later.fine.requires_grad_(deep)
        pretrained = [*later.middle.parameters(), *later.late.parameters()]
        pretrained += later.fine.parameters() if deep else []
        known = {id(weight) for weight in pretrained} | {id(w) for w in later.fine.parameters()}
        new = [weight for weight in later.parameters() if id(weight) not in known]
        rates = ((RATE_PRETRAINED, pretrained), (RATE, new))
        groups = [{"params": p, "lr": rate, "initial_lr": rate} for rate, p in rates]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.03)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, rate_at, last_epoch=self.step - 1
        )

    def learn(self, scale: float) -> list[float]:
        """Take one step; return the parts of its loss."""
        if self.step == DEEP:
            self.prepare()
        canvases, boxes, flags = self.draw(scale, loose=self.step < CHANGED)
        loss, parts = losses.total(self.later(self.front(canvases)), boxes, flags)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.later.parameters(), 5.0)
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        _average(self.averaged, self.later, min(AVERAGED, self.step / (self.step + 20)))
        return parts

    def save(self) -> None:
        """Write the averaged weights, and all that a later run needs to go on."""
        torch.save(self.averaged.state_dict(), self.work / "weights.pt")
        torch.save(
            {
                "step": self.step,
                "cpu_s": self.before_s + time.process_time(),
                "later": self.later.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "generator": self.generator.bit_generator.state,
                "queues": self.draw.queues,
                "torch": torch.get_rng_state(),
            },
            self.work / "checkpoint.pt",
        )

    def stop(self, *_: object) -> None:
        """Stop after this step: the job's time is over, the checkpoint goes on."""
        self.stopped = True

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        path = self.work / "checkpoint.pt"
        if not path.is_file():
            return
        kept = torch.load(path, weights_only=False)
        self.step, self.before_s = kept["step"], kept["cpu_s"]
        if self.step > DEEP:
            self.prepare()
        self.later.load_state_dict(kept["later"])
        self.averaged.load_state_dict(kept["averaged"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.schedule.load_state_dict(kept["schedule"])
        self.generator.bit_generator.state = kept["generator"]
        self.draw.queues = kept["queues"]
        torch.set_rng_state(kept["torch"])


def rate_at(step: int) -> float:
    """Return the learning rate as a share of its highest.

    A short rise, level through the first stage, half a cosine down through each later one;
    a short rise again where the optimizer begins anew.
    """
    ends = np.cumsum([count for _, count in STAGES])
    stage = int(np.searchsorted(ends, step, side="right"))
    if stage == len(STAGES):
        return LOWEST
    highest, count = HIGHEST[stage], STAGES[stage][1]
    if highest is None:
        return min(1.0, (step + 1) / 100)
    first = int(ends[stage]) - count
    done = (step - first) / (PLANNED if stage == 2 and step <= CHANGED else count)
    rise = min(1.0, (step - DEEP + 1) / 50) if step >= DEEP else 1.0
    return rise * (LOWEST + (highest - LOWEST) / 2 * (1 + math.cos(math.pi * done)))


def fit(run: Run, until: int) -> None:
    """Take the steps that are left, at most to `until`."""
    ends = np.cumsum([count for _, count in STAGES])
    seen, began = np.zeros(3), time.perf_counter()
    while run.step < min(until, int(ends[-1])) and not run.stopped:
        scale = STAGES[int(np.searchsorted(ends, run.step, side="right"))][0]
        seen += run.learn(scale)
        if run.step % 50 == 0:
            heat, reach, whole = seen / 50
            took, began = time.perf_counter() - began, time.perf_counter()
            figures = f"heat {heat:.3f} box {reach:.3f} whole {whole:.3f}"
            print(f"{run.step} {figures} {took:.0f} s", flush=True)
            seen[:] = 0
        if run.step % 100 == 0 or run.stopped:
            run.save()
    run.save()


@torch.no_grad()
def _average(averaged: nn.Module, later: nn.Module, kept: float) -> None:
    for mean, weight in zip(averaged.parameters(), later.parameters(), strict=True):
        mean.lerp_(weight, 1 - kept)


def main() -> None:
    """Train and leave the weights in the work folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--until", type=int, default=sum(count for _, count in STAGES))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    radiographs = read(arguments.data)
    parts = split(radiographs)
    fractured = radiographs.column("fractured")
    for name in ("development", "validation", "test"):
        rows = getattr(parts, name)
        print(name, len(rows), int(fractured[rows].sum()), flush=True)
    run = Run(radiographs, parts.development, arguments.work)
    run.resume()
    signal.signal(signal.SIGTERM, run.stop)
    fit(run, arguments.until)
    print(f"{time.process_time():.0f} s of CPU")


if __name__ == "__main__":
    main()
