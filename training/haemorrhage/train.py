"""Trains the haemorrhage network, cross-validates it, and exports it.

    python -m training.haemorrhage.train --data FOLDER [--models FOLDER] [--work FOLDER]

FOLDER holds `ct_ich_slices` and `ich_boxes`. The work folder takes the features (3 GB) and what
`training.haemorrhage.evaluate` reads. Every patient is scored once by readers that never saw
them or a copy of their slices; the shipped readers are trained on all patients. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from services.imaging.haemorrhage import brain
from services.imaging.haemorrhage.names import MODEL
from training.haemorrhage import data, export, features, figures, fit
from training.haemorrhage.network import MEASURED, Reader, measured

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "deploy" / "triton" / "models"
SEED = 20261126
FOLDS = 5
READERS = 2
"""Readers whose mean is shipped; the cross-validation uses as many."""


def main() -> None:
    """Store features, cross-validate, train on all, calibrate, export."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--work", type=Path, default=ROOT / ".venv-training" / "haemorrhage")
    parser.add_argument("--keep", action="store_true", help="use the features that are there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    began = time.process_time()
    slices = data.read(arguments.data)
    print(
        f"{len(slices.images)} slices, {slices.boxed.sum()} of them in ich_boxes, "
        f"{slices.left_out} pictures of ich_boxes left out",
        flush=True,
    )
    store = _stored(arguments.work, slices, arguments.keep)
    stored = time.process_time()
    fold = data.folds(slices, FOLDS, SEED)
    logits, maps = cross_validate(store, slices, fold, arguments.work)
    validated = time.process_time()
    readers = [
        _kept(
            arguments.work / f"all_{number}.pt", store, slices, np.arange(len(fold)), 100 + number
        )
        for number in range(READERS)
    ]
    scales = [figures.platt(logits[:, at], slices.labels[:, at]) for at in range(7)]
    export.write(
        readers,
        [scale for scale, _ in scales],
        [shift for _, shift in scales],
        arguments.models / MODEL,
    )
    trained = time.process_time()
    cpu_s = [stored - began, validated - stored, trained - validated]
    np.savez(
        arguments.work / "out_of_fold.npz",
        logits=logits, maps=maps, fold=fold, scales=np.array(scales), cpu_s=np.array(cpu_s),
    )  # fmt: skip
    print(f"CPU: features {cpu_s[0]:.0f} s, folds {cpu_s[1]:.0f} s, final {cpu_s[2]:.0f} s")


def cross_validate(
    store: features.Store, slices: data.Slices, fold: npt.NDArray[np.int64], work: Path
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float16]]:
    """Return logits (n, 7) and map logits (n, 6, 32, 28) by readers new to the patient."""
    logits = np.zeros((len(fold), 7))
    maps = np.zeros((len(fold), 6, *features.GRID), np.float16)
    for again in range(READERS):
        for number in range(FOLDS):
            rows, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            path = work / f"fold_{number}_{again}.pt"
            reader = _kept(path, store, slices, rows, 10 * number + again)
            one, heat = fit.score(reader, store, held)
            logits[held] += one / READERS
            maps[held] += (heat / READERS).astype(np.float16)
            value = figures.auc(slices.labels[held, 0], one[:, 0].astype(np.float64))
            print(f"fold {number}, reader {again}: AUC per slice {value:.3f}", flush=True)
    return logits, maps


def _kept(
    path: Path, store: features.Store, slices: data.Slices, rows: npt.NDArray[np.int64], seed: int
) -> Reader:
    """Return the reader in a file, or train and keep it: a run that was cut off goes on."""
    if path.is_file():
        reader = Reader()
        reader.load_state_dict(torch.load(path, weights_only=True))
        return reader.eval()
    reader = fit.fit(store, slices, rows, SEED + seed)
    torch.save(reader.state_dict(), path)
    return reader


def _stored(work: Path, slices: data.Slices, keep: bool) -> features.Store:
    """Return the stored features, made first unless they are to be kept."""
    if not keep:
        for old in work.glob("*.pt"):
            old.unlink()
        export.write_backbone(work / "backbone.onnx")
        store = features.open_store(work, slices, MEASURED, "w+")
        features.fill(store, slices, data.frames_of(slices), work / "backbone.onnx", _cells, SEED)
    return features.open_store(work, slices, MEASURED, "r")


def _cells(own: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what is measured of one slice, (MEASURED, 32, 28)."""
    inside = brain.inside(own[None]).astype(np.float32)
    with torch.no_grad():
        made = measured(torch.from_numpy(own)[None, None], torch.from_numpy(inside)[:, None])
    return np.asarray(made[0].numpy())


if __name__ == "__main__":
    main()
