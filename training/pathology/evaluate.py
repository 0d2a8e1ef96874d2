"""Measures the shipped nuclei model and writes its card and the table of the radiologists' page.

    python -m training.pathology.evaluate --data FOLDER [--models FOLDER]

The threshold comes from the validation part alone. The test part is scored with it once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from training.pathology import export, figures, groups, sets, shipped, vary
from training.pathology.sets import Nuclei
from training.pathology.shipped import Asked, Maps

Array = np.ndarray
ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "deploy" / "triton" / "models"
WORDS = Path(__file__).with_name("card_words.json")
THRESHOLDS = np.round(np.arange(0.25, 0.71, 0.05), 2)
SEED_DEPTHS = (0.4, 0.5, 0.6, 0.7)
VERSIONS = {export.NUCLEI: "1.1.0", export.LUNG: "1.1.0"}
FEW = 0.01
"""Share of nuclei below which a tile counts as one with few."""

STRESSED = 30
SEED = 20261126


def nuclei_figures(data: Path, models: Path) -> dict[str, Any]:
    """Return everything the card of the nuclei model says in figures."""
    asked = Asked(models)
    nuclei, dsb = sets.nuinsseg(data), sets.dsb2018(data)
    parts = groups.split(nuclei.pixels, nuclei.number)
    validation = shipped.maps(nuclei.pixels[parts.validation], 2, asked)
    point = operating_point(validation, nuclei, parts.validation)
    threshold = point["probability"]
    began = time.process_time()
    test = shipped.maps(nuclei.pixels[parts.test], 2, asked)
    took = (time.process_time() - began) / len(parts.test)
    other = shipped.maps(dsb.pixels, 1, asked)
    rows = parts.test
    share = (nuclei.instances[rows] > 0).mean((1, 2))
    dice = shipped.dices(test, nuclei.instances[rows], threshold)
    there = shipped.dices(other, dsb.instances, threshold)
    found = {
        "nuinsseg_test": {
            "tiles": len(rows),
            "dice": figures.mean_of(dice, parts.group[rows]),
            "dice_of_all_pixels": pooled_dice(test, nuclei.instances[rows], threshold),
            "by_share_of_nuclei": by_share(dice, share, parts.group[rows]),
            **instance_figures(test, shipped.as_instances(nuclei, rows), point, parts.group[rows]),
            "calibration": pixel_calibration(test, nuclei.instances[rows]),
        },
        "dsb2018_coloured": {
            "tiles": len(there),
            "dice": figures.mean_of(there, np.arange(len(there))),
            "dice_of_all_pixels": pooled_dice(other, dsb.instances, threshold),
            **instance_figures(other, dsb.instances, point, np.arange(len(there))),
        },
        "stains_normalised_first": normalised(nuclei, parts.validation, dsb, asked, threshold),
        "baseline_otsu_on_haematoxylin": baseline(nuclei, rows, dsb, parts.group[rows]),
        "stress": stress(nuclei, rows, dsb, asked, threshold),
        "cpu_s_per_tile": round(took, 3),
    }
    return {"operating_point": point, "figures": found, "split": split_of(parts, nuclei)}


def operating_point(found: Maps, nuclei: Nuclei, rows: Array) -> dict[str, Any]:
    """Return the threshold with the best mean Dice, then the seed depth with the best PQ."""
    truth = nuclei.instances[rows]
    by_threshold = {
        float(one): float(shipped.dices(found, truth, float(one)).mean()) for one in THRESHOLDS
    }
    threshold = max(by_threshold, key=lambda one: by_threshold[one])
    wanted = shipped.as_instances(nuclei, rows)
    by_depth = {
        one: float(shipped.instance_scores(found, wanted, threshold, one)["pq"].mean())
        for one in SEED_DEPTHS
    }
    depth = max(by_depth, key=lambda one: by_depth[one])
    return {
        "probability": threshold,
        "seed_depth": depth,
        "chosen": "largest mean Dice per tile, then largest mean PQ, of the validation part",
        "validation_dice": {str(one): round(value, 4) for one, value in by_threshold.items()},
        "validation_pq": {str(one): round(value, 4) for one, value in by_depth.items()},
    }


def instance_figures(
    found: Maps, truth: Array, point: dict[str, Any], group: Array
) -> dict[str, Any]:
    """Return AJI, PQ and the error of the count."""
    scores = shipped.instance_scores(found, truth, point["probability"], point["seed_depth"])
    wanted = scores["wanted"]
    off = np.abs(scores["found"] - wanted) / np.maximum(wanted, 1)
    return {
        "aji": figures.mean_of(scores["aji"], group),
        "pq": figures.mean_of(scores["pq"], group),
        "count_error_median": round(float(np.median(off)), 4),
        "count_found_over_wanted": round(float(scores["found"].sum() / wanted.sum()), 4),
    }


def by_share(dice: Array, share: Array, group: Array) -> dict[str, Any]:
    """Return Dice by how much of a tile is nuclei."""
    bands = {
        "under 1%": (0, FEW),
        "1-5%": (FEW, 0.05),
        "5-15%": (0.05, 0.15),
        "over 15%": (0.15, 2),
    }
    found: dict[str, Any] = {}
    for name, (low, high) in bands.items():
        rows = (share >= low) & (share < high)
        if rows.any():
            found[name] = {"tiles": int(rows.sum()), **figures.mean_of(dice[rows], group[rows])}
    return found


def pooled_dice(found: Maps, truth: Array, threshold: float) -> float:
    """Return the Dice of all pixels together, where tiles with few nuclei weigh little."""
    shared = total = 0
    for probability, wanted in zip(found.probability, truth, strict=True):
        mask = shipped.enlarged(probability, found.factor) >= threshold
        shared += 2 * int((mask & (wanted > 0)).sum())
        total += int(mask.sum()) + int((wanted > 0).sum())
    return round(shared / total, 4)


def pixel_calibration(found: Maps, truth: Array) -> dict[str, Any]:
    """Return the calibration of pixels, every 97th."""
    said = np.concatenate([shipped.enlarged(p, found.factor).ravel()[::97]
                           for p in found.probability])  # fmt: skip
    was = np.concatenate([(mask > 0).ravel()[::97] for mask in truth])
    return figures.calibration(was.astype(float), said.astype(float))


def normalised(
    nuclei: Nuclei, rows: Array, dsb: Nuclei, asked: Asked, threshold: float
) -> dict[str, float]:
    """Return the mean Dice where each tile's stains are first brought to the reference's."""
    here = shipped.maps(nuclei.pixels[rows], 2, asked, normalise=True)
    there = shipped.maps(dsb.pixels, 1, asked, normalise=True)
    return {
        "nuinsseg_validation": round(
            float(shipped.dices(here, nuclei.instances[rows], threshold).mean()), 4
        ),
        "dsb2018_coloured": round(float(shipped.dices(there, dsb.instances, threshold).mean()), 4),
    }


def baseline(nuclei: Nuclei, rows: Array, dsb: Nuclei, group: Array) -> dict[str, Any]:
    """Return the Dice of Otsu's threshold on haematoxylin."""
    here = Maps(shipped.otsu_baseline(nuclei.pixels[rows], 2), [], 2)
    there = Maps(shipped.otsu_baseline(dsb.pixels, 1), [], 1)
    return {
        "nuinsseg_test": figures.mean_of(shipped.dices(here, nuclei.instances[rows], 0.5), group),
        "dsb2018_coloured": figures.mean_of(
            shipped.dices(there, dsb.instances, 0.5), np.arange(len(dsb.pixels))
        ),
    }


def stress(
    nuclei: Nuclei, rows: Array, dsb: Nuclei, asked: Asked, threshold: float
) -> dict[str, Any]:
    """Return the mean Dice of some tiles under shifts of stain and scanner."""
    from training.pathology.lung_features import shifts, use_bank

    some = rows[:: max(1, len(rows) // STRESSED)][:STRESSED]
    use_bank(vary.stains(dsb.pixels))
    small = [Image.fromarray(tile).reduce(2) for tile in nuclei.pixels[some]]
    light = torch.from_numpy(np.stack([np.asarray(one) for one in small])).permute(0, 3, 1, 2)
    found: dict[str, Any] = {}
    for name, make in shifts().items():
        generator = torch.Generator().manual_seed(SEED)
        moved = [make(one.float() / 255.0, generator) for one in light]
        tiles = np.stack([(one.permute(1, 2, 0) * 255).round().byte().numpy() for one in moved])
        maps = shipped.maps(tiles, 1, asked)
        maps.factor = 2
        dice = shipped.dices(maps, nuclei.instances[some], threshold)
        found[name] = round(float(dice.mean()), 4)
    return {"tiles": len(some), "dice": found}


def split_of(parts: groups.Parts, nuclei: Nuclei) -> dict[str, Any]:
    """Return the sizes of the parts."""
    share = (nuclei.instances > 0).mean((1, 2))
    return {
        name: {
            "tiles": len(rows),
            "groups": len(np.unique(parts.group[rows])),
            "under_1_percent_nuclei": int((share[rows] < FEW).sum()),
        }
        for name, rows in (
            ("development", parts.development),
            ("validation", parts.validation),
            ("test", parts.test),
        )
    }


def write(models: Path, name: str, measured: dict[str, Any]) -> None:
    """Write a card: words, then what was measured."""
    folder = models / name
    words = json.loads(WORDS.read_text())[name]
    digest = hashlib.sha256((folder / "1" / "model.onnx").read_bytes()).hexdigest()
    path = folder / "card.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    kept = {key: before[key] for key in ("cpu_s",) if key in before}
    card = {"name": name, "version": VERSIONS[name], **words, "sha256": digest, **kept, **measured}
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=MODELS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    measured = nuclei_figures(arguments.data, arguments.models)
    write(arguments.models, export.NUCLEI, measured)
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
