"""Calibrates, exports and measures the trained network; writes its card and page.

    python -m training.fractures.evaluate --data FOLDER [--work FOLDER] [--models FOLDER]

`--validation` stops before the test part is looked at and writes no card. `--measure` measures
the model that is in the repository, without the weights.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from services.imaging.fractures import detect
from training.fractures import calibrate, card, export, measure, strangers
from training.fractures.data import Ints, Radiographs, read
from training.fractures.groups import Split, split
from training.fractures.network import build
from training.fractures.shipped import Calibration, Shipped
from training.fractures.train import WORK

TWICE = True
USUAL = 160
"""Development images that say what is usual."""

SENSITIVITY = 0.85
"""Of fractured validation images at the image's operating point."""

FALSE_BOXES = 0.3
"""False boxes per validation image at the boxes' operating point."""


def make(radiographs: Radiographs, parts: Split, work: Path, folder: Path) -> None:
    """Calibrate the trained network on the validation part and export it."""
    early, later = build()
    later.load_state_dict(torch.load(work / "weights.pt"))
    network = Shipped(early, later.eval(), Calibration(), TWICE).eval()
    said = calibrate.raw(network, radiographs, parts.validation)
    chosen = np.random.default_rng(measure.SEED).permutation(parts.development)[:USUAL]
    usual = calibrate.raw(
        Shipped(early, later, Calibration(), False).eval(), radiographs, np.sort(chosen)
    )
    fitted = calibrate.fit(said, usual, radiographs, parts.validation)
    print("calibration", fitted.fractured, fitted.box, fitted.hardware, flush=True)
    export.write(Shipped(early, later, fitted, TWICE), folder)


def score(folder: Path, radiographs: Radiographs, parts: Split, rows: Ints) -> measure.Scored:
    """Return what the exported model says of rows, through the service's own steps."""
    session = export.session(folder / export.VERSION / "model.onnx")
    names = list(export.OUTPUTS)
    seen = []
    for row in rows:
        canvas = calibrate.canvas(radiographs, int(row))
        answer = session.run(names, {export.INPUT: canvas.tensor})
        seen.append(detect.seen(dict(zip(names, answer, strict=True)), canvas))
    return measure.Scored(radiographs, rows, parts.group[rows], seen)


def operating_points(validation: measure.Scored) -> dict[str, float]:
    """Return the image's and the boxes' threshold, from the validation part alone."""
    labels, chances = validation.fractured, validation.probability
    steps = np.arange(0.99, 0, -0.01)
    image = next(s for s in steps if (chances[labels == 1] >= s).mean() >= SENSITIVITY)
    false = np.concatenate([scores[~hit] for scores, hit in validation.matched()])
    box = next(s for s in steps[::-1] if (false >= s).sum() / len(labels) <= FALSE_BOXES)
    return {"image": round(float(image), 2), "box": round(float(box), 2)}


def main() -> None:
    """Calibrate, export, measure, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--models", type=Path, default=card.MODELS)
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--measure", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    radiographs = read(arguments.data)
    parts = split(radiographs)
    folder = arguments.models / export.MODEL
    if not arguments.measure:
        make(radiographs, parts, arguments.work, folder)
    validation = score(folder, radiographs, parts, parts.validation)
    points = operating_points(validation)
    figures = {"validation": measure.all_of(validation, points)}
    print(json.dumps({"points": points} | figures, indent=1), flush=True)
    if arguments.validation:
        return
    test = score(folder, radiographs, parts, parts.test)
    figures["test"] = measure.all_of(test, points)
    print(json.dumps(figures["test"], indent=1), flush=True)
    session = export.session(folder / export.VERSION / "model.onnx")
    foreign = strangers.measure(arguments.data, session, {"validation": validation, "test": test})
    print(json.dumps(foreign, indent=1), flush=True)
    cpu_s = {"evaluation": time.process_time() - began}
    if not arguments.measure:
        kept = torch.load(arguments.work / "checkpoint.pt", weights_only=False)
        cpu_s["training"] = kept["cpu_s"]
    card.write(folder, radiographs, parts, points, figures, foreign, cpu_s)


if __name__ == "__main__":
    main()
