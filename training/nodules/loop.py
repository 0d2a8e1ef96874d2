"""The loop that trains each network: AdamW, one cycle of the rate, weights averaged as they go."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Network = nn.Module


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how hard."""

    epochs: int
    steps: int
    """Batches of an epoch, at most; an epoch may give fewer."""

    rate: float
    decay: float
    averaged: float = 0.996
    """Each step keeps this share of the averaged weights."""


def fit(
    network: Network,
    losses: Callable[[Network, int], Iterable[Tensor]],
    plan: Plan,
    kept: Path,
) -> Network:
    """Return the network with averaged weights.

    `losses(network, epoch)` gives the loss of one batch after the other. After each epoch all is
    saved at `kept`, so that a run that was cut off goes on (with other random draws than one
    that was not).
    """
    network = network.to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=plan.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.rate, total_steps=plan.epochs * plan.steps + 1, pct_start=0.2
    )
    step = done = 0
    parts: dict[str, Any] = {
        "network": network,
        "averaged": averaged,
        "rate": schedule,
        "steps": optimizer,
    }
    if kept.is_file():
        saved = torch.load(kept)
        step, done = saved["step"], saved["epoch"]
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    for epoch in range(done, plan.epochs):
        network.train()
        total, before = 0.0, step
        began, cpu = time.perf_counter(), time.process_time()
        for loss in losses(network, epoch):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step, total = step + 1, total + float(loss.detach())
            _average(averaged, network, min(plan.averaged, (1 + step) / (10 + step)))
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save(state | {"step": step, "epoch": epoch + 1}, kept)
        took, spent = time.perf_counter() - began, time.process_time() - cpu
        mean = total / max(step - before, 1)
        print(f"epoch {epoch + 1:2d} loss {mean:.4f} {took:.0f} s, CPU {spent:.0f} s", flush=True)
    return averaged


@torch.no_grad()
def _average(averaged: Network, network: Network, keep: float) -> None:
    for old, new in zip(averaged.parameters(), network.parameters(), strict=True):
        old.lerp_(new, 1 - keep)
    for old, new in zip(averaged.buffers(), network.buffers(), strict=True):
        if old.dtype.is_floating_point:
            old.lerp_(new, 1 - keep)
        else:
            old.copy_(new)
