"""Writes the model's card from what was measured.

    python -m training.nodules.card [--models FOLDER]

puts changed words (`card_words.json`) into the card of a trained model; figures stay.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from training.nodules import figures

if TYPE_CHECKING:
    from training.nodules.train import Split

MODEL = "lung_nodule_candidates"
VERSION = "1.0.0"
WORDS = Path(__file__).with_name("card_words.json")
MODELS = Path(__file__).resolve().parents[2] / "deploy" / "triton" / "models"
SEED = 7
SENSITIVITY = 0.9
"""The operating point keeps this share of the validation part's nodules."""

Ints = npt.NDArray[np.int64]
Scores = Mapping[str, npt.NDArray[np.float64]]


def write(
    folder: Path,
    labels: Ints,
    groups: npt.NDArray[np.int32],
    parts: Split,
    scores: Scores,
    cpu_s: Mapping[str, float] | None,
) -> None:
    """Write card.json beside the model; without `cpu_s`, what the card has of it stays."""
    path = folder / "card.json"
    before = json.loads(path.read_text()) if path.is_file() and cpu_s is None else {}
    rows = {"validation": parts.validation, "test": parts.test}
    threshold = operating_point(labels[parts.validation], scores["validation"])
    card: dict[str, Any] = {"name": MODEL, "version": VERSION}
    card |= json.loads(WORDS.read_text())
    card["sha256"] = hashlib.sha256((folder / "1" / "model.onnx").read_bytes()).hexdigest()
    card["operating_point"] = {
        "probability": threshold,
        "chosen": f"largest threshold, in steps of 0.01, that keeps {SENSITIVITY:.0%} of the "
        "validation part's nodules; the test part was not looked at",
    }
    card["split"] = {
        "groups_of_near_copies": int(groups.max()) + 1,
        "left_out_as_shown_in_lidc_idri_0001": len(parts.left_out),
        **{
            name: {"crops": len(part), "nodules": int(labels[part].sum())}
            for name, part in (("development", parts.development), *rows.items())
        },
    }
    card["figures"] = {
        name: measure(labels[part], scores[name], groups[part].astype(np.int64), threshold)
        for name, part in rows.items()
    }
    card["cpu_s"] = {name: round(value) for name, value in (cpu_s or {}).items()}
    card |= {key: before[key] for key in ("cpu_s", "lidc_idri_0001") if key in before}
    write_json(path, card)
    print(json.dumps({"operating_point": threshold, **card["figures"]}, indent=1))


def operating_point(labels: Ints, scores: npt.NDArray[np.float64]) -> float:
    """Return the largest threshold in steps of 0.01 that keeps `SENSITIVITY` of the nodules."""
    for step in range(99, 0, -1):
        if (scores[labels == 1] >= step / 100).mean() >= SENSITIVITY:
            return step / 100
    return 0.01


def measure(
    labels: Ints, scores: npt.NDArray[np.float64], groups: Ints, threshold: float
) -> dict[str, dict[str, float]]:
    """Return each figure with its bootstrap interval."""
    wanted = {
        "auc": figures.auc,
        "average_precision": figures.average_precision,
        "sensitivity_at_1_percent_false_positives": lambda y, s: figures.sensitivity_at(y, s, 0.01),
        "sensitivity_at_operating_point": lambda y, s: float((s[y == 1] >= threshold).mean()),
        "false_positive_rate_at_operating_point": lambda y, s: float(
            (s[y == 0] >= threshold).mean()
        ),
        "brier": figures.brier,
    }
    return {
        name: figures.interval(figure, labels, scores, groups, SEED)
        for name, figure in wanted.items()
    }


def main() -> None:
    """Put the words into the card again."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, default=MODELS)
    path = parser.parse_args().models / MODEL / "card.json"
    card = json.loads(path.read_text())
    first = {key: card[key] for key in ("name", "version")}
    words = json.loads(WORDS.read_text())
    measured = {key: value for key, value in card.items() if key not in first | words}
    write_json(path, first | words | measured)


def write_json(path: Path, card: dict[str, Any]) -> None:
    """Write a card."""
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
