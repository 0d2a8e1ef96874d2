"""Writes the model's card, and the figures into the page for radiologists.

    python -m training.fractures.card [--models FOLDER]

puts changed words (`card_words.json`) into the card and figures into the page again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.fractures import baselines, export, page
from training.fractures.data import Radiographs
from training.fractures.groups import Split

VERSION = "1.2.0"
WORDS = Path(__file__).with_name("card_words.json")
ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "deploy" / "triton" / "models"


def write(
    folder: Path,
    radiographs: Radiographs,
    parts: Split,
    points: Mapping[str, float],
    figures: Mapping[str, object],
    foreign: Mapping[str, object],
    cpu_s: Mapping[str, float],
) -> None:
    """Write card.json beside the model, and the page."""
    fractured = radiographs.column("fractured")
    path = folder / "card.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    card: dict[str, Any] = {"name": export.MODEL, "version": VERSION}
    card |= json.loads(WORDS.read_text())
    card["sha256"] = hashlib.sha256((folder / "1" / "model.onnx").read_bytes()).hexdigest()
    card["operating_point"] = {
        "probability": points["image"],
        "box_probability": points["box"],
        "chosen": "on the validation part alone: image, the largest threshold in steps of 0.01 "
        "that keeps 85% of its fractured images; boxes, the smallest with at most 0.3 false "
        "boxes per image",
    }
    card["split"] = {
        "groups": int(parts.group.max()) + 1,
        "left_out": len(parts.left_out),
        **{
            name: {"images": len(rows), "fractured": int(fractured[rows].sum())}
            for name, rows in (
                ("development", parts.development),
                ("validation", parts.validation),
                ("test", parts.test),
            )
        },
    }
    card["figures"] = dict(figures)
    card["baselines_test_auc"] = baselines.measure(radiographs, parts, parts.test)
    card["out_of_distribution"] = dict(foreign)
    spent = {name: round(value) for name, value in cpu_s.items()}
    card["cpu_s"] = before.get("cpu_s", {}) | spent
    write_json(path, card)
    page.write(card)


def write_json(path: Path, card: Mapping[str, object]) -> None:
    """Write a card."""
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def main() -> None:
    """Put the words and the page's figures in again."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, default=MODELS)
    path = parser.parse_args().models / export.MODEL / "card.json"
    card = json.loads(path.read_text())
    first = {key: card[key] for key in ("name", "version")}
    words = json.loads(WORDS.read_text())
    measured = {key: value for key, value in card.items() if key not in first | words}
    card = first | words | measured
    write_json(path, card)
    page.write(card)


if __name__ == "__main__":
    main()
