"""Writes the figures of the cards into the page for radiologists, between its markers.

python -m training.nodules.page [--models FOLDER]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.nodules.card import MODELS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "imaging" / "nodules.md"
BEGIN, END = "<!-- figures begin -->", "<!-- figures end -->"
SIZES = {
    "any_reader": "all rated nodules",
    "two_readers_or_more": "marked by two readers or more",
    "three_readers_or_more": "marked by three readers or more",
    "5_15_mm": "5 to 15 mm",
    "8_15_mm": "8 to 15 mm",
    "8_15_mm_two_readers_or_more": "8 to 15 mm, two readers or more",
    "subsolid": "subsolid",
}


def interval(figure: dict[str, Any]) -> str:
    """Return a figure with its interval."""
    return f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"


def candidates(card: dict[str, Any]) -> Iterator[str]:
    """Give the table of the candidate network."""
    test, parts = card["figures"]["test"], card["split"]
    point = card["operating_point"]["probability"]
    crops, nodules = parts["test"]["crops"], parts["test"]["nodules"]
    yield f"**Is a spot a nodule** ({crops} test crops, {nodules} nodules)"
    yield ""
    yield "| | test part |"
    yield "|---|---|"
    yield f"| AUC | {interval(test['auc'])} |"
    yield f"| average precision | {interval(test['average_precision'])} |"
    yield (
        "| sensitivity at 1% false positives | "
        f"{interval(test['sensitivity_at_1_percent_false_positives'])} |"
    )
    yield (
        f"| at the operating point {point}: sensitivity | "
        f"{interval(test['sensitivity_at_operating_point'])} |"
    )
    yield (
        f"| at the operating point {point}: other candidates that pass | "
        f"{interval(test['false_positive_rate_at_operating_point'])} |"
    )
    if "calibration" in card:
        yield f"| calibration error | {card['calibration']['test']['expected_error']:.3f} |"
    yield ""
    if ct := card.get("lidc_idri_0001"):
        yield (
            f"**One whole CT** (LIDC-IDRI-0001, 133 slices): {ct['candidates']} candidates, "
            f"{ct['reported']} reported; the readers' nodule {ct['distance_mm']} mm from their "
            f"centre, {ct['volume_ml']} ml against their {ct['readers_volume_ml']} ml; "
            f"{ct['cpu_s']} s of one core, {ct['memory_mb']} MB."
        )
        yield ""
    if balls := card.get("implanted"):
        solid, glass = balls["solid"], balls["ground_glass"]
        yield (
            f"**{balls['balls']} balls of 6 to 20 mm set into that CT** (made, not nodules): "
            f"{solid['candidates']:.1%} of the solid and {glass['candidates']:.1%} of the ground "
            f"glass ones are candidates, at {balls['candidates_a_scan']} candidates a scan."
        )
        yield ""


def outline(card: dict[str, Any]) -> Iterator[str]:
    """Give the sentence of the outline network."""
    test, part = card["figures"]["test"], card["split"]["test"]
    yield (
        f"**Outline** ({part['slices']} slices of {part['patients']} patients apart): mean Dice "
        f"{test['dice_mean']:.3f} with the consensus of half of the readers, median "
        f"{test['dice_median']:.3f}; the diameter is within 20% in "
        f"{test['diameter_within_20_percent']:.1%}."
    )
    yield ""


def impression(card: dict[str, Any]) -> Iterator[str]:
    """Give the table of the impression."""
    tables = card["figures"]["malignancy_1_2_against_4_5"]
    test, folds = card["split"]["test"], card["split"]["folds"]
    yield (
        f"**Malignant impression, ratings 1-2 against 4-5** (AUC; test part {test['patients']} "
        f"patients, cross-validation {folds['patients']} patients)"
    )
    yield ""
    yield "| nodules | test: number | network | readers' diameter alone | cross-validation |"
    yield "|---|---|---|---|---|"
    for key, name in SIZES.items():
        one, alone = tables["test"]["network"].get(key), tables["test"]["readers_diameter_alone"]
        other = tables["folds"]["network"].get(key)
        if one and other:
            yield (
                f"| {name} | {one['nodules']} | {interval(one)} | {alone[key]['value']:.3f} | "
                f"{interval(other)} |"
            )
    called = card["figures"]["called_test"]
    yield ""
    yield (
        f"Of {called['nodules_with_a_leaning']} test nodules {called['likely_benign']} were called "
        f"likely benign ({_share(called['of_them_benign'])} of them benign to the readers) and "
        f"{called['likely_malignant']} likely malignant ({_share(called['of_them_malignant'])} of "
        f"them malignant to the readers). Calibration error "
        f"{card['calibration']['test']['expected_error']:.3f}."
    )
    ratings = card["figures"]["ratings_test"]
    if "auc_from_3" in ratings["spiculation"]:
        yield ""
        found = ratings["spiculation"]["auc_from_3"]
        yield f"Spiculation (readers' mean 3 or more): AUC {found:.3f}."


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.0%}"


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, default=MODELS)
    models = parser.parse_args().models
    lines: list[str] = []
    for name, said in (
        ("candidates", candidates),
        ("outline", outline),
        ("impression", impression),
    ):
        path = models / f"lung_nodule_{name}" / "card.json"
        if path.is_file():
            lines += said(json.loads(path.read_text()))
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    body = "\n".join(lines).strip()
    PAGE.write_text(f"{before}{BEGIN}\n{body}\n{END}{after}")


if __name__ == "__main__":
    main()
