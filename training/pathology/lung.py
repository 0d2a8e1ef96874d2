"""Chooses nothing any more: fits the head of lung tissue, cross-validates it, exports it.

    python -m training.pathology.lung --data FOLDER --work FOLDER [--models FOLDER]

What was tried before this choice of blocks is in RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.pathology import evaluate, export, figures, lung_features, lung_fit, sets, vary
from training.pathology.lung_fit import Head
from training.pathology.network import Encoder, pretrained

Array = np.ndarray
HEADS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("4 mean", "7 mean", "7 spread", "10 mean", "10 spread"), 3e-3),
)
"""Features and ridge of each head; the mean of their logits is one linear head."""

TRAIN_ON = ("as it is", "as it is", "as it is", "variant 0", "variant 1")
"""A tile counts three times, each of its restained copies once."""

COLOUR_GROUPS = 12
KINDS = ("benign", "adenocarcinoma", "squamous cell carcinoma")
THRESHOLDS = np.round(np.arange(0.1, 0.95, 0.05), 2)


def joined(kept: dict[str, Array], rows: Array, labels: Array) -> Head:
    """Return the mean of all heads fitted on some tiles, as one head."""
    names = np.array(lung_features.names())
    weight = np.zeros((len(names), len(KINDS)))
    bias = np.zeros(len(KINDS))
    for wanted, ridge in HEADS:
        columns = np.flatnonzero(np.isin(names, wanted))
        seen = np.concatenate([kept[name][rows][:, columns] for name in TRAIN_ON])
        head = lung_fit.fit(seen, np.tile(labels[rows], len(TRAIN_ON)), ridge)
        weight[columns] += head.weight / len(HEADS)
        bias += head.bias / len(HEADS)
    return Head(weight, bias)


def crossed(kept: dict[str, Array], labels: Array, fold: Array) -> dict[str, Array]:
    """Return the probabilities of every tile under every condition from heads without it."""
    tested = [name for name in kept if not name.startswith("variant")]
    found = {name: np.zeros((len(labels), len(KINDS))) for name in tested}
    for which in np.unique(fold):
        out = fold == which
        head = joined(kept, np.flatnonzero(~out), labels)
        for name in tested:
            found[name][out] = head.probabilities(kept[name][out])
    return found


def temperature(probability: Array, labels: Array) -> float:
    """Return what logits are multiplied by for the least cross-entropy."""
    logits = np.log(np.clip(probability, 1e-12, 1))
    best, least = 1.0, np.inf
    for scale in np.geomspace(0.2, 3.0, 80):
        moved = logits * scale
        moved = moved - np.log(np.exp(moved).sum(1, keepdims=True))
        loss = -moved[np.arange(len(labels)), labels].mean()
        if loss < least:
            best, least = float(scale), float(loss)
    return best


def heated(probability: Array, scale: float) -> Array:
    """Return probabilities whose logits were multiplied by `scale`."""
    moved = np.clip(probability, 1e-12, 1) ** scale
    return moved / moved.sum(1, keepdims=True)


def subtype(probability: Array, labels: Array) -> tuple[Array, Array]:
    """Return truth and score of adeno against squamous carcinoma, of the carcinomas alone."""
    rows = labels > 0
    score = probability[rows, 1] / (probability[rows, 1] + probability[rows, 2])
    return (labels[rows] == 1).astype(int), score


def measure(found: dict[str, Array], labels: Array, name: str = "as it is") -> dict[str, Any]:
    """Return the figures of cross-validated probabilities; every cluster is one tile."""
    probability = found[name]
    truth, score = subtype(probability, labels)
    tumour = (labels > 0).astype(int)
    return {
        "adeno_against_squamous_auc": figures.auc_of(truth, score, np.arange(len(truth))),
        "tumour_against_benign_auc": figures.auc_of(
            tumour, 1 - probability[:, 0], np.arange(len(labels))
        ),
        "three_classes_right": figures.mean_of(
            (probability.argmax(1) == labels).astype(float), np.arange(len(labels))
        ),
    }


def report(kept: dict[str, Array], labels: Array, pixels: Array) -> dict[str, Any]:
    """Return everything the card says in figures."""
    bank = vary.stains(pixels)
    colours = np.concatenate([bank.mean.numpy(), bank.spread.numpy()], 1)
    fold = lung_fit.folds(labels)
    raw = crossed(kept, labels, fold)
    scale = temperature(raw["as it is"], labels)
    found = {name: heated(one, scale) for name, one in raw.items()}
    group = lung_fit.colour_groups(colours, COLOUR_GROUPS)
    by_group = crossed(kept, labels, group)
    alone = lung_fit.crossed(
        {"as it is": colours}, ["as it is"], labels, fold, np.arange(colours.shape[1]), 1e-3
    )
    truth, score = subtype(found["as it is"], labels)
    tumour = 1 - found["as it is"][:, 0]
    return {
        "temperature": round(scale, 4),
        "operating_point": _point(tumour, labels),
        "figures": {
            "cross_validation_by_cluster": measure(found, labels),
            "left_out_by_colour": measure(by_group, labels),
            "baseline_mean_colour_alone": measure(alone, labels),
            "calibration_tumour": figures.calibration((labels > 0).astype(float), tumour, 6),
            "calibration_adeno": figures.calibration(truth.astype(float), score, 8),
            "stress": {
                name: {
                    "adeno_against_squamous_auc": round(figures.auc(*subtype(one, labels)), 4),
                    "tumour_against_benign_auc": round(
                        figures.auc((labels > 0).astype(int), 1 - one[:, 0]), 4
                    ),
                    "three_classes_right": round(float((one.argmax(1) == labels).mean()), 4),
                }
                for name, one in found.items()
            },
        },
    }


def _point(tumour: Array, labels: Array) -> dict[str, Any]:
    """Return the largest threshold that keeps 98% of the carcinomas, cross-validated."""
    for threshold in THRESHOLDS[::-1]:
        kept = float((tumour[labels > 0] >= threshold).mean())
        if kept >= 0.98:
            break
    return {
        "probability": float(threshold),
        "chosen": "largest threshold, in steps of 0.05, that keeps 98% of the carcinomas in "
        "cross-validation",
        "sensitivity": round(kept, 4),
        "false_positives_per_benign_tile": round(
            float((tumour[labels == 0] >= threshold).mean()), 4
        ),
    }


def main() -> None:
    """Fit, cross-validate, export, write the card."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=evaluate.MODELS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    with np.load(arguments.work / "lung_features.npz") as file:
        kept = {name: file[name] for name in file.files}
    lung = sets.lc25000(arguments.data)
    labels = lung_fit.labels_of(lung.kind)
    measured = report(kept, labels, lung.pixels)
    head = joined(kept, np.arange(len(labels)), labels)
    scale = measured["temperature"]
    encoder = Encoder(max(lung_features.POOLED) + 1)
    encoder.fold(pretrained())
    export.write_lung(encoder, Head(head.weight * scale, head.bias * scale), arguments.models)
    counts = {kind: int((labels == number).sum()) for number, kind in enumerate(KINDS)}
    measured["split"] = {"clusters": len(labels), **counts, "folds": lung_fit.FOLDS}
    measured["cpu_s"] = {"fitting_and_cross_validation": round(time.process_time() - began)}
    evaluate.write(arguments.models, export.LUNG, measured)
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
