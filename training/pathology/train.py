"""Reproduces both pathology models from the data folder.

    python -m training.pathology.train --data FOLDER --work FOLDER [--models FOLDER]

Nuclei: training goes on where it was stopped. Lung tissue: features, head, cross-validation.
Then `python -m training.pathology.evaluate` measures and writes the cards.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from training.pathology import evaluate, export, groups, nuclei, sets
from training.pathology.network import NucleusNet

EVERY = 211
"""Of the validation part's pixels, that calibration is fitted on."""


def calibrate(network: NucleusNet, pixels: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return scale and shift of the logits with the least cross-entropy (Platt)."""
    logits, wanted = [], []
    network.eval()
    with torch.no_grad():
        for tile, mask in zip(pixels, truth, strict=True):
            light = torch.from_numpy(tile).permute(2, 0, 1).float()[None] / 255.0
            logits.append(network(functional.avg_pool2d(light, 2))[0, 0].ravel()[::EVERY])
            small = functional.avg_pool2d(torch.from_numpy(mask > 0).float()[None], 2)
            wanted.append(small.ravel()[::EVERY])
    x, y = torch.cat(logits).double(), torch.cat(wanted).double()
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=100)

    def loss() -> torch.Tensor:
        solver.zero_grad()
        value = functional.binary_cross_entropy_with_logits(x * weights[0] + weights[1], y)
        value.backward()
        return value

    solver.step(loss)
    return float(weights[0].detach()), float(weights[1].detach())


def export_nuclei(state: nuclei.State, data: Path, models: Path) -> None:
    """Calibrate on the validation part and write the model."""
    tiles = sets.nuinsseg(data)
    rows = groups.split(tiles.pixels, tiles.number).validation
    scale, shift = calibrate(state.mean, tiles.pixels[rows], tiles.instances[rows])
    print(f"calibration: scale {scale:.3f}, shift {shift:.3f}", flush=True)
    export.write_nuclei(state.mean, scale, shift, models)


def main() -> None:
    """Train, fit and export."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=evaluate.MODELS)
    parser.add_argument("--nuclei-only", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    state = nuclei.run(arguments.data, arguments.work, nuclei.EPOCHS)
    export_nuclei(state, arguments.data, arguments.models)
    print(f"nuclei: {time.process_time() - began:.0f} s of CPU", flush=True)
    if arguments.nuclei_only:
        return
    shared = ["--data", str(arguments.data), "--work", str(arguments.work)]
    for module, more in (
        ("lung_features", []),
        ("lung", ["--models", str(arguments.models)]),
    ):
        command = [sys.executable, "-m", f"training.pathology.{module}", *shared, *more]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
