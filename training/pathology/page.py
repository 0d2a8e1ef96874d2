"""Puts the cards' figures into the radiologists' page, between its markers.

python -m training.pathology.page [--models FOLDER]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from training.pathology import export

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "deploy" / "triton" / "models"
PAGE = ROOT / "docs" / "imaging" / "pathology.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def with_interval(one: dict[str, float], digits: int = 3) -> str:
    """Return "0.812 (0.790-0.831)"."""
    value, low, high = (f"{one[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low}-{high})"


def nuclei_table(card: dict[str, Any]) -> list[str]:
    """Return the table of the nuclei model."""
    here, there = (card["figures"][name] for name in ("nuinsseg_test", "dsb2018_coloured"))
    base = card["figures"]["baseline_otsu_on_haematoxylin"]
    rows = [
        f"| nuclei, 95% interval | NuInsSeg, {here['tiles']} unseen tiles | "
        f"another data set, {there['tiles']} tiles (dsb2018_coloured) |",
        "|---|---|---|",
    ]
    rows += [
        f"| {label} | {with_interval(here[key])} | {with_interval(there[key])} |"
        for label, key in (("mean Dice per tile", "dice"), ("AJI", "aji"), ("PQ", "pq"))
    ]
    rows += [
        f"| Dice of all pixels together | {here['dice_of_all_pixels']:.3f} | "
        f"{there['dice_of_all_pixels']:.3f} |",
        f"| nuclei found for one that is there | {here['count_found_over_wanted']:.2f} | "
        f"{there['count_found_over_wanted']:.2f} |",
        f"| Otsu's threshold on haematoxylin, mean Dice | {with_interval(base['nuinsseg_test'])} | "
        f"{with_interval(base['dsb2018_coloured'])} |",
        f"| calibration error of a pixel's probability | "
        f"{here['calibration']['expected_calibration_error']:.3f} | |",
    ]
    rows += [
        f"| mean Dice, tiles with {name} nuclei ({one['tiles']}) | {with_interval(one)} | |"
        for name, one in here["by_share_of_nuclei"].items()
    ]
    return rows


def lung_table(card: dict[str, Any]) -> list[str]:
    """Return the table of the lung model."""
    columns = (
        ("cross_validation_by_cluster", "folds by cluster of near-copies"),
        ("left_out_by_colour", "all tiles of one colour left out"),
        ("baseline_mean_colour_alone", "colour alone, no network"),
    )
    rows = [
        "| lung, 95% interval | " + " | ".join(title for _, title in columns) + " |",
        "|---|---|---|---|",
    ]
    for label, key in (
        ("adenocarcinoma against squamous, AUC", "adeno_against_squamous_auc"),
        ("tumour against benign, AUC", "tumour_against_benign_auc"),
        ("right of three", "three_classes_right"),
    ):
        cells = (with_interval(card["figures"][name][key]) for name, _ in columns)
        rows.append(f"| {label} | " + " | ".join(cells) + " |")
    point = card["operating_point"]
    rows += [
        "",
        f"From a probability of tumour of {point['probability']:.2f} a square is suspect: "
        f"{100 * point['sensitivity']:.1f}% of the carcinomas' tiles, "
        f"{100 * point['false_positives_per_benign_tile']:.1f}% of the benign ones. Calibration "
        f"error: {card['figures']['calibration_tumour']['expected_calibration_error']:.3f} for "
        f"tumour, {card['figures']['calibration_adeno']['expected_calibration_error']:.3f} for "
        "adenocarcinoma among carcinomas.",
    ]
    return rows


def stress_table(nuclei: dict[str, Any], lung: dict[str, Any]) -> list[str]:
    """Return the stress table."""
    dice, kinds = nuclei["figures"]["stress"], lung["figures"]["stress"]
    rows = [
        f"| stain and scanner | nuclei, mean Dice of {dice['tiles']} test tiles | "
        "adeno against squamous, AUC | tumour against benign, AUC |",
        "|---|---|---|---|",
    ]
    for name, one in kinds.items():
        rows.append(
            f"| {name} | {dice['dice'][name]:.3f} | {one['adeno_against_squamous_auc']:.3f} | "
            f"{one['tumour_against_benign_auc']:.3f} |"
        )
    return rows


def main() -> None:
    """Write the figures into the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, default=MODELS)
    models = parser.parse_args().models
    nuclei, lung = (
        json.loads((models / name / "card.json").read_text())
        for name in (export.NUCLEI, export.LUNG)
    )
    tables = [nuclei_table(nuclei), lung_table(lung), stress_table(nuclei, lung)]
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    middle = "\n\n".join("\n".join(rows) for rows in tables)
    PAGE.write_text(f"{before}{BEGIN}\n{middle}\n{END}{after}")


if __name__ == "__main__":
    main()
