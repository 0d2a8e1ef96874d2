"""Exports the networks, measures them, and writes their cards.

    python -m training.nodules.evaluate --data FOLDER --work FOLDER [--models FOLDER] [--only NAME]

Calibration and operating points come from validation data and from the folds; the test parts are
scored with what is exported, after everything is settled.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.nodules import candidates, card, export, figures, impressions, measured, outlines
from training.nodules.export import Shape
from training.nodules.impression_network import RATINGS, Impression
from training.nodules.network import Candidate, Features
from training.nodules.work import Work

CANDIDATES = Shape(
    title="Scores crops around lung nodule candidates",
    about="Grey values / 255: floor((HU + 1000) / 1400 * 255), one pixel per CT pixel.",
    inputs={"crops": (1, 50, 50)},
    outputs={"probability": (1,)},
)
OUTLINE = Shape(
    title="Outlines the nodule in the middle of a patch",
    about="HU, pixels of 0.7 mm, the nodule's middle at row 32, column 32.",
    inputs={"patches": (1, 64, 64)},
    outputs={"outline": (1, 64, 64)},
)
IMPRESSION = Shape(
    title="Rates a nodule as readers would",
    about="HU, pixels of 0.7 mm, the nodule's middle at row 32, column 32.",
    inputs={"patches": (1, 64, 64)},
    outputs={"ratings": (len(RATINGS),), "malignancy": (1,)},
)
VERSION = "2.0.0"


def candidate(work: Work, models: Path) -> None:
    """Export and measure the candidate network."""
    grey, label, group, parts = work.candidates()
    folder = models / "lung_nodule_candidates"
    extra, first, found = work.extra(), work.first(), work.candidate_features()
    labels = np.concatenate([label, extra.label])
    linear = candidates.train(found, labels, parts.development, len(label))
    rows = parts.validation
    mixed = candidates.mix(linear, found[rows], candidates.own_logits(first, grey[rows]))
    calibration = figures.platt(mixed.logits, label[rows])
    tensors = tuple(
        torch.from_numpy(part).float() for part in (linear.middle, linear.spread, linear.weights)
    )
    model = Candidate(Features(first), tensors, mixed.spreads, calibration).eval()
    example = torch.rand(3, 1, 50, 50, generator=torch.Generator().manual_seed(1))
    export.write(model, CANDIDATES, folder, example)
    scores = {}
    for name, rows in (("validation", parts.validation), ("test", parts.test)):
        crops = grey[rows][:, None].astype(np.float32) / np.float32(255)
        scores[name] = export.ask(folder, crops, ["probability"])[0][:, 0].astype(np.float64)
    figured: dict[str, Any] = measured.candidates(label, group, parts, scores)
    figured["split"]["extra"] = {
        "nodules": int(extra.label.sum()),
        "spots": int((extra.label == 0).sum()),
        "patients_left_out": extra.patients_left_out,
    }
    card.write(folder, VERSION, figured)


def outline(work: Work, models: Path) -> None:
    """Export and measure the outline network."""
    folder = models / "lung_nodule_outline"
    network = work.outline()
    example = torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(1)) * 400 - 500
    export.write(torch.nn.Sequential(network, torch.nn.Sigmoid()).eval(), OUTLINE, folder, example)
    known, shown, window = work.lidc()
    slices = outlines.drawn(known, shown, window)
    fold = dict(zip(known.patient, impressions.folds(known.patient), strict=True))
    part = np.array([fold[name] for name in slices.patient])
    held = slices.part(part == impressions.TEST)
    dice, chosen, wanted = outlines.compare(network, held)
    card.write(
        folder, "1.0.0", measured.outline(slices, held, (part >= 0).sum(), dice, chosen, wanted)
    )


def impression(work: Work, models: Path) -> None:
    """Fit, export and measure the impression."""
    folder = models / "lung_nodule_impression"
    known = work.patches()
    nodules = impressions.gather(known, work.features())
    logits = impressions.across_folds(nodules)
    points = measured.impression_points(nodules, logits)
    linear = impressions.train(nodules, np.flatnonzero(nodules.fold >= 0))
    middle, spread, weights = (
        torch.from_numpy(part).float() for part in (linear.middle, linear.spread, linear.weights)
    )
    model = Impression(middle, spread, weights, (points.scale, points.shift)).eval()
    shown = impressions.patches(known)
    export.write(model, IMPRESSION, folder, shown[:3])
    test = np.flatnonzero(nodules.fold == impressions.TEST)
    ratings, malignancy = export.ask(folder, shown[test].numpy(), ["ratings", "malignancy"])
    found = measured.impression(nodules, logits, points, test, ratings, malignancy)
    card.write(folder, VERSION, found)


def main() -> None:
    """Do all models, or one."""
    makers: dict[str, Callable[[Work, Path], None]] = {
        "candidates": candidate,
        "outline": outline,
        "impression": impression,
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=card.MODELS)
    parser.add_argument("--only", choices=tuple(makers), action="append")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    work = Work(arguments.data, arguments.work)
    for name in arguments.only or makers:
        began = time.process_time()
        makers[name](work, arguments.models)
        print(f"{name}: {time.process_time() - began:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
