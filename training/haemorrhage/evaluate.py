"""Measures the haemorrhage network and writes its card and the figures of its page.

    python -m training.haemorrhage.evaluate --data FOLDER --work FOLDER [--models FOLDER]

Reads what `training.haemorrhage.train` left in the work folder. Runs in the services'
environment: what is measured on the clinical series goes through the service's own code.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from services.imaging.haemorrhage.frame import Frame
from services.imaging.haemorrhage.names import ANY, MODEL
from training.haemorrhage import aggregate, clinical, data, figures, measures, page

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "deploy" / "triton" / "models"
PAGE = ROOT / "docs" / "imaging" / "haemorrhage.md"
WORDS = Path(__file__).with_name("card_words.json")
VERSION = "2.1.0"
ECE_BINS = 10


def main() -> None:
    """Measure, write the card, put its figures into the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=ROOT / ".venv-training" / "haemorrhage")
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    folder = arguments.models / MODEL
    card = made(arguments.data, arguments.work, folder)
    (folder / "card.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    if arguments.page.is_file():
        arguments.page.write_text(page.filled(arguments.page.read_text(), card))
    print(json.dumps({name: card[name] for name in ("figures", "operating_point")}, indent=1))


def made(folder: Path, work: Path, model: Path) -> dict[str, Any]:
    """Return the card."""
    whole, every_frame = data.kept(folder, work, True)
    kept = np.load(work / "out_of_fold.npz")
    held = kept["fold"] >= 0
    slices, fold, maps = data.part(whole, held), kept["fold"][held], kept["maps"][held]
    patients = np.unique(whole.patient)
    frame_list = [every_frame[at] for at in np.flatnonzero(np.isin(patients, slices.patient))]
    position = figures.position_baseline(
        measures.positions(whole), whole.labels[:, ANY], kept["fold"]
    )[held]
    dense, levels = unlearned(whole, every_frame, work)
    logits = kept["logits"][held] * kept["scales"][:, 0] + kept["scales"][:, 1]
    scored, rules = aggregate.across_folds(logits, slices, fold)
    one = len(rules) == 1
    rule = rules[0] if one else aggregate.choose(logits, slices, np.arange(len(fold)))
    study = aggregate.study_labels(slices)
    card: dict[str, Any] = {"name": MODEL, "version": VERSION}
    card |= json.loads(WORDS.read_text())
    card["sha256"] = hashlib.sha256((model / "1" / "model.onnx").read_bytes()).hexdigest()
    card["operating_point"] = measures.operation(slices, scored, fold)
    card["aggregation"] = {
        "neighbour": rule.neighbour,
        "slice": [round(value, 5) for value in rule.slice],
        "top": rule.top,
        "study": [round(value, 5) for value in rule.study],
        "map_seed": measures.map_seed(slices, maps),
        "chosen_in_each_fold": [[each.neighbour, each.top] for each in rules],
    }
    point = measures.fracture_point(slices, scored)
    if point is not None:
        card["fracture_point"] = point
    card["split"] = {
        "patients_of_the_set": len(patients),
        "complete": bool(held.all()),
        "patients": len(study),
        "patients_with_haemorrhage": int(study[:, ANY].sum()),
        "slices": len(fold),
        "slices_with_haemorrhage": int(slices.labels[:, ANY].sum()),
        "slices_with_boxes": int(sum(bool(boxes) for boxes in slices.boxes)),
        "pictures_of_ich_boxes_that_are_these_slices": int(slices.boxed.sum()),
        "pictures_of_ich_boxes_left_out": slices.left_out,
        "folds": len(np.unique(fold)),
    }
    card["figures"] = measures.ranking(slices, scored, logits, position, dense[held])
    card["calibration"] = {
        "slices": figures.calibration(slices.labels[:, ANY], scored.slices[:, ANY], ECE_BINS),
        "studies": figures.calibration(study[:, ANY], scored.studies, 6),
    }
    card["subgroups"] = measures.subgroups(slices, scored)
    card["places"] = measures.places(slices, maps, frame_list)
    card["window"] = {
        "training_slices": levels,
        "meaning": "brain and fluid read as CT numbers if the window is -20 to 100 HU; with 0 to "
        "80 HU the same grey values would make fluid 16 HU, which it is not",
    }
    card |= _clinical(folder, model, card)
    names = ("features", "cross_validation")
    card["cpu_s"] = dict(zip(names, (round(float(v)) for v in kept["cpu_s"]), strict=True))
    return card


def unlearned(
    slices: data.Slices, frame_list: list[Frame], work: Path
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], dict[str, Any]]:
    """Return the dense share of each slice and the window's levels, kept in the work folder."""
    path = work / "unlearned.json"
    if not path.is_file():
        dense = measures.dense_share(slices, frame_list).tolist()
        levels = measures.levels(slices, frame_list)
        path.write_text(json.dumps({"dense": dense, "levels": levels}))
    found = json.loads(path.read_text())
    return np.array(found["dense"]), found["levels"]


def _clinical(folder: Path, model: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Return what was measured on the clinical series, where it is."""
    path = folder / "head_ct_ge_dicom" / "series.tar.xz"
    if not path.is_file():
        return {}
    volume = clinical.read(path)
    head = clinical.prepare.head(volume)
    level = measures.level(head.planes)
    return {
        "clinical_series": {
            "name": "head_ct_ge_dicom: one head CT, GE, 28 slices of 4 and 7 mm, gantry tilt "
            "18.5 degrees, no label (neurolabusc/dcm_qa_ct, BSD-2)",
            "brain_and_fluid_hu": [round(value, 1) for value in level] if level else None,
            "same_input_from_hu_and_from_8_bit_jpeg": clinical.same_input(volume, model),
            "planted_blood": clinical.planted(volume, model, card),
        }
    }


if __name__ == "__main__":
    main()
