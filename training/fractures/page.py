"""Puts the card's figures into docs/imaging/fractures.md, between its marks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "imaging" / "fractures.md"
BEGIN, END = "<!-- figures begin -->", "<!-- figures end -->"


def write(card: Mapping[str, Any], path: Path = PAGE) -> None:
    """Replace what stands between the marks; a page without marks is left alone."""
    if not path.is_file():
        return
    text = path.read_text()
    if BEGIN not in text or END not in text:
        return
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    body = "\n\n".join([_main(card), _subgroups(card), _calibration(card), _strangers(card)])
    path.write_text(f"{before}{BEGIN}\n{body}\n{END}{after}")


def _range(figure: Any) -> str:
    if not isinstance(figure, Mapping):
        return "too few"
    return f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"


def _main(card: Mapping[str, Any]) -> str:
    test, valid = card["figures"]["test"], card["figures"]["validation"]
    point = card["operating_point"]
    names = {
        "sensitivity_images": f"images: sensitivity at {point['probability']:.2f}",
        "specificity_images": f"images: specificity at {point['probability']:.2f}",
        "sensitivity_boxes": f"fractures marked at {point['box_probability']:.2f}",
        "false_boxes_per_image": "false boxes per image there",
        "false_boxes_per_image_without_fracture": "false boxes per image without a fracture",
    }
    lines = [
        f"| | test: {test['images']} images, {test['fractured']} fractured "
        f"| validation: {valid['images']}, {valid['fractured']} |",
        "|---|---|---|",
    ]
    for name, key in (
        ("**AUC, fracture on the image**", "auc"),
        ("**boxes mAP50, images with a fracture**", "map50_fractured_images"),
        ("boxes mAP at an overlap of 0.3, images with a fracture", "map30_fractured_images"),
        ("boxes mAP50, all images", "map50_all_images"),
        ("AUC, hardware on the image", "hardware_auc"),
        ("body part right", "body_part_right"),
    ):
        if key in test:
            lines.append(f"| {name} | {_range(test[key])} | {_range(valid[key])} |")
    for key, name in names.items():
        row = (part["at_operating_points"][key] for part in (test, valid))
        lines.append(f"| {name} | {' | '.join(map(_range, row))} |")
    for name, figure in card["baselines_test_auc"].items():
        lines.append(f"| without looking: {name}, AUC | {_range(figure)} | |")
    return "\n".join(lines)


def _subgroups(card: Mapping[str, Any]) -> str:
    lines = ["| test part | images | fractured | AUC | mAP50, fractured images |"]
    lines.append("|---|---|---|---|---|")
    for name, part in card["figures"]["test"]["subgroups"].items():
        boxes = _range(part.get("map50_fractured_images"))
        row = f"{part['images']} | {part['fractured']} | {_range(part['auc'])} | {boxes}"
        lines.append(f"| {name} | {row} |")
    for name, part in card["figures"]["test"]["by_size"].items():
        found = f"{part['found']:.0%} of {part['fractures']} fractures"
        lines.append(f"| longer side {name} | | | | {found} marked |")
    return "\n".join(lines)


def _calibration(card: Mapping[str, Any]) -> str:
    measured = card["figures"]["test"]["calibration"]
    said = " | ".join(f"{step['said']:.2f}" for step in measured["curve"])
    true = " | ".join(f"{step['true']:.2f}" for step in measured["curve"])
    rule = "|".join(["---"] * (len(measured["curve"]) + 1))
    return (
        f"| said | {said} |\n|{rule}|\n| fractured | {true} |\n\n"
        f"Expected calibration error {measured['expected_calibration_error']:.3f}, "
        f"Brier score {measured['brier']:.3f}."
    )


def _strangers(card: Mapping[str, Any]) -> str:
    lines = ["| images without a stated body part | number | declined by their looks |"]
    lines.append("|---|---|---|")
    for name, row in card["out_of_distribution"].items():
        lines.append(f"| {name} | {row['images']} | {row['declined']:.0%} |")
    return "\n".join(lines)
