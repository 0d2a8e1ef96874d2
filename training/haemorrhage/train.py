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
from services.imaging.haemorrhage.frame import Frame
from services.imaging.haemorrhage.names import MODEL
from training.haemorrhage import data, dense, export, features, figures, fit, pooled
from training.haemorrhage.network import MEASURED, ROOM, Reader, measured

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "deploy" / "triton" / "models"
SEED = 20261126
FOLDS = 5
FOLD_SEED = 1


def main() -> None:
    """Store features, cross-validate, calibrate, export."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--work", type=Path, default=ROOT / ".venv-training" / "haemorrhage")
    parser.add_argument("--keep", action="store_true", help="use the features that are there")
    parser.add_argument(
        "--folds", type=int, default=FOLDS, help="stop after this many of the folds"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    began = time.process_time()
    slices, frame_list = data.kept(arguments.data, arguments.work, arguments.keep)
    print(
        f"{len(slices.images)} slices, {slices.boxed.sum()} of them in ich_boxes, "
        f"{slices.left_out} pictures of ich_boxes left out",
        flush=True,
    )
    store = _stored(arguments.work, slices, frame_list, arguments.keep)
    stored = time.process_time()
    fold = data.folds(slices, FOLDS, FOLD_SEED)
    readers, read, maps = cross_validate(store, slices, fold, arguments.work, arguments.folds)
    found = _pooled(arguments.work, store, arguments.keep)
    layer, networks = whole_across_folds(store, slices, found, fold, arguments.folds)
    fold = np.where(fold < arguments.folds, fold, -1)
    done = fold >= 0
    spreads = [part[done].std(axis=0) for part in (read, layer, networks)]
    logits = read / spreads[0] + layer / spreads[1] + networks / spreads[2]
    scales = [figures.platt(logits[done, at], slices.labels[done, at]) for at in range(7)]
    np.savez(
        arguments.work / "out_of_fold.npz",
        logits=logits,
        parts=np.stack([read, layer, networks]),
        maps=maps,
        fold=fold,
        scales=np.array(scales),
        cpu_s=np.array([stored - began, time.process_time() - stored]),
    )
    mix = export.Mix(
        [part.tolist() for part in spreads],
        [scale for scale, _ in scales],
        [shift for _, shift in scales],
    )
    every = np.arange(len(fold))
    export.write(
        readers,
        pooled.fit(store, slices, found, every),
        _dense(store, slices, found, every),
        mix,
        arguments.models / MODEL,
    )
    print(f"CPU: {time.process_time() - began:.0f} s, of it features {stored - began:.0f} s")


def cross_validate(
    store: features.Store, slices: data.Slices, fold: npt.NDArray[np.int64], work: Path, count: int
) -> tuple[list[Reader], npt.NDArray[np.float64], npt.NDArray[np.float16]]:
    """Return readers, and logits (n, 7) and maps (n, 6, 32, 28) of patients new to each."""
    readers = []
    logits = np.zeros((len(fold), 7))
    maps = np.zeros((len(fold), 6, *features.GRID), np.float16)
    for number in range(count):
        rows, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        reader = _kept(work / f"fold_{number}.pt", store, slices, rows, number)
        logits[held], maps[held] = fit.score(reader, store, held)
        readers.append(reader)
        value = figures.auc(slices.labels[held, 0], logits[held, 0])
        print(f"fold {number}: AUC per slice {value:.3f}", flush=True)
    room = np.asarray(store.measured[: len(fold), 1:2]) > ROOM
    return readers, logits, np.where(room, maps, np.float16(-12.0))


def whole_across_folds(
    store: features.Store,
    slices: data.Slices,
    found: pooled.Singles,
    fold: npt.NDArray[np.int64],
    count: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return logits (n, 7) of patients new to the linear layer and to the dense networks."""
    layer, networks = np.zeros((len(fold), 7)), np.zeros((len(fold), 7))
    for number in range(count):
        others, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        layer[held] = pooled.fit(store, slices, found, others).logits(found[held])
        trained = _dense(store, slices, found, others)
        with torch.no_grad():
            networks[held] = trained(torch.from_numpy(found[held])).numpy()
    for name, part in (("layer", layer), ("dense", networks)):
        value = figures.auc(slices.labels[fold < count, 0], part[fold < count, 0])
        print(f"{name}: AUC per slice {value:.3f}", flush=True)
    return layer, networks


def _dense(
    store: features.Store,
    slices: data.Slices,
    found: pooled.Singles,
    rows: npt.NDArray[np.int64],
) -> dense.Dense:
    """Return the dense networks trained on these slices' entries."""
    held, weight = pooled.weights(store, slices, rows)
    return dense.train(found[held], np.asarray(store.labels[held], np.float64), weight)


def _pooled(work: Path, store: features.Store, keep: bool) -> pooled.Singles:
    """Return the features of whole slices; with `keep` as the work folder has them."""
    path = work / "pooled.npy"
    if not (keep and path.is_file()):
        np.save(path, pooled.stored(store))
    return np.asarray(np.load(path))


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


def _stored(work: Path, slices: data.Slices, frame_list: list[Frame], keep: bool) -> features.Store:
    """Return the stored features, made first unless they are to be kept."""
    if not keep:
        for old in work.glob("*.pt"):
            old.unlink()
        export.write_backbone(work / "backbone.onnx")
        store = features.open_store(work, slices, MEASURED, "w+")
        features.fill(store, slices, frame_list, work / "backbone.onnx", _cells, SEED)
    return features.open_store(work, slices, MEASURED, "r")


def _cells(own: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what is measured of one slice, (MEASURED, 32, 28)."""
    inside = brain.inside(own[None]).astype(np.float32)
    with torch.no_grad():
        made = measured(torch.from_numpy(own)[None, None], torch.from_numpy(inside)[:, None])
    return np.asarray(made[0].numpy())


if __name__ == "__main__":
    main()
