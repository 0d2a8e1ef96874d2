"""Trains the candidate network, exports it, and writes its card.

    python -m training.nodules.train --data FOLDER [--models FOLDER]

FOLDER is the folder with `luna16_candidates50`. The seed is fixed; the test part is scored
once, after the network, its calibration and its operating point are settled.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from training.nodules import card, crops, export, groups
from training.nodules.network import CandidateNet, vary

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "deploy" / "triton" / "models"
OVERLAP = Path(__file__).with_name("lidc_idri_0001_crops.tsv")
SEED = 20261125
EPOCHS = 24
BATCH = 64
RATE = 3e-3
SHARES = (0.7, 0.15)
"""Development and validation; the rest is test."""

LARGE_GROUP = 20
"""Groups this large are chains of look-alikes (round masses); they go to development."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers of each part, and what was left out because it shows the test CT."""

    development: Ints
    validation: Ints
    test: Ints
    left_out: Ints


def split(labels: Ints, group: npt.NDArray[np.int32]) -> Split:
    """Return parts that share no group, with the same share of nodules in each."""
    lines = OVERLAP.read_text().splitlines()[1:]
    left_out = np.array([int(line.split("\t")[0]) for line in lines])
    sizes = np.bincount(group)
    has_nodule = np.bincount(group, weights=labels) > 0
    large = sizes >= LARGE_GROUP
    parts: list[list[int]] = [np.flatnonzero(large).tolist(), [], []]
    generator = np.random.default_rng(SEED)
    for with_nodules in (True, False):
        order = generator.permutation(np.flatnonzero((has_nodule == with_nodules) & ~large))
        ends = [round(len(order) * SHARES[0]), round(len(order) * sum(SHARES))]
        for part, members in zip(parts, np.split(order, ends), strict=True):
            part.extend(members.tolist())
    rows = [np.flatnonzero(np.isin(group, np.array(part))) for part in parts]
    rows = [np.setdiff1d(part, left_out) for part in rows]
    return Split(rows[0], rows[1], rows[2], left_out)


def fit(images: torch.Tensor, labels: torch.Tensor) -> CandidateNet:
    """Return a network trained on these crops, (n, 1, 50, 50), and labels, (n,)."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    network = CandidateNet()
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=steps, pct_start=0.2
    )
    for epoch in range(EPOCHS):
        network.train()
        total, began = 0.0, time.perf_counter()
        order = torch.randperm(len(images), generator=generator)
        for at in range(0, len(images) - BATCH + 1, BATCH):
            rows = order[at : at + BATCH]
            logits = network(vary(images[rows], generator))
            loss = functional.binary_cross_entropy_with_logits(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        took = time.perf_counter() - began
        print(f"epoch {epoch + 1:2d}  loss {total / len(images):.4f}  {took:.1f} s", flush=True)
    return network.eval()


def logits_of(network: CandidateNet, images: torch.Tensor) -> npt.NDArray[np.float64]:
    """Return the network's logits, (n,)."""
    with torch.no_grad():
        parts = [network(images[at : at + 256]) for at in range(0, len(images), 256)]
    return torch.cat(parts).double().numpy()


def calibrate(logits: npt.NDArray[np.float64], labels: Ints) -> tuple[float, float]:
    """Return scale and shift of the logits with the least cross-entropy (Platt)."""
    x = torch.from_numpy(logits)
    y = torch.from_numpy(labels).double()
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=200)

    def loss() -> torch.Tensor:
        solver.zero_grad()
        value = functional.binary_cross_entropy_with_logits(x * weights[0] + weights[1], y)
        value.backward()
        return value

    solver.step(loss)
    return float(weights[0].detach()), float(weights[1].detach())


def main() -> None:
    """Train, calibrate, choose the operating point, export, score the test part, write the card."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--card-only", action="store_true", help="score the model that is there, write its card"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    began = time.process_time()
    grey, labels = crops.read(arguments.data / "luna16_candidates50")
    group = groups.find(grey, labels)
    parts = split(labels, group)
    grouped = time.process_time()
    print(f"{group.max() + 1} groups in {grouped - began:.0f} s of CPU", flush=True)
    folder = arguments.models / card.MODEL
    if not arguments.card_only:
        make(folder, parts, grey, labels)
    trained = time.process_time()
    scores = {
        name: export.scores(folder, grey[rows])
        for name, rows in (("validation", parts.validation), ("test", parts.test))
    }
    cpu_s = {"grouping": grouped - began, "training": trained - grouped}
    card.write(folder, labels, group, parts, scores, None if arguments.card_only else cpu_s)


def make(folder: Path, parts: Split, grey: crops.Grey, labels: Ints) -> None:
    """Train, calibrate and export."""
    images = torch.from_numpy(grey).float().unsqueeze(1) / 255.0
    network = fit(images[parts.development], torch.from_numpy(labels[parts.development]).float())
    validation = logits_of(network, images[parts.validation])
    scale, shift = calibrate(validation, labels[parts.validation])
    export.write(network, scale, shift, folder)


if __name__ == "__main__":
    main()
