"""Writes a model's card: its words, its file's hash, and what was measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MODEL = "lung_nodule_candidates"
MODELS = Path(__file__).resolve().parents[2] / "deploy" / "triton" / "models"
WORDS = Path(__file__).with_name("words")
SENSITIVITY = 0.9
"""The operating point keeps this share of the validation part's nodules."""

Ints = npt.NDArray[np.int64]


def write(folder: Path, version: str, measured: Mapping[str, Any]) -> None:
    """Write card.json beside the model; what the CT measurement added before stays."""
    path = folder / "card.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    card: dict[str, Any] = {"name": folder.name, "version": version}
    card |= json.loads((WORDS / f"{folder.name}.json").read_text())
    card["sha256"] = hashlib.sha256((folder / "1" / "model.onnx").read_bytes()).hexdigest()
    card |= measured
    card |= {key: before[key] for key in ("lidc_idri_0001", "implanted") if key in before}
    write_json(path, card)


def operating_point(labels: Ints, scores: npt.NDArray[np.float64]) -> float:
    """Return the largest threshold in steps of 0.01 that keeps `SENSITIVITY` of the nodules."""
    for step in range(99, 0, -1):
        if (scores[labels == 1] >= step / 100).mean() >= SENSITIVITY:
            return step / 100
    raise SystemExit("no threshold keeps enough nodules")


def write_json(path: Path, card: Mapping[str, Any]) -> None:
    """Write a card."""
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
