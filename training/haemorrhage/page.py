"""The figures of the card as tables of the page for radiologists, between markers."""

from __future__ import annotations

from typing import Any

START, END = "<!-- figures: begin -->", "<!-- figures: end -->"

NAMES = {
    "slice_auc": "AUC per slice",
    "slice_average_precision": "Average precision per slice",
    "study_auc": "AUC per patient",
    "baseline_slice_auc_position_alone": "beside it: AUC per slice of the slice's position alone",
    "baseline_slice_auc_dense_share_inside_skull": "beside it: AUC per slice of the dense share "
    "inside the skull alone",
    "baseline_study_auc_dense_share_inside_skull": "beside it: AUC per patient of the dense share "
    "alone",
}


def filled(text: str, card: dict[str, Any]) -> str:
    """Return the page with the card's figures between its markers."""
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    return before + START + "\n" + "\n".join(_tables(card)) + "\n" + END + after


def _tables(card: dict[str, Any]) -> list[str]:
    figures, point, split = card["figures"], card["operating_point"], card["split"]
    how = (
        "Cross-validation over all"
        if split["complete"]
        else "**The cross-validation is not complete.** Measured on"
    )
    lines = [
        f"{how} {split['patients']} of {split['patients_of_the_set']} patients "
        f"({split['patients_with_haemorrhage']} with haemorrhage, {split['slices']} slices, "
        f"{split['slices_with_haemorrhage']} with haemorrhage), {split['folds']} of 5 folds "
        "of whole patients; 95% intervals by resampling patients.",
        "",
        "| | figure |",
        "|---|---|",
    ]
    lines += [f"| {words} | {_shown(figures[name])} |" for name, words in NAMES.items()]
    lines += [
        f"| AUC per slice, {name} ({one['slices']} slices of {one['patients']} patients) | "
        f"{_shown(one)} |"
        for name, one in figures["slice_auc_by_type"].items()
    ]
    ece = card["calibration"]
    lines += [
        f"| AUC per slice, skull fracture | {_shown(figures['slice_auc_fracture'])} |",
        f"| AUC per patient, skull fracture | {_shown(figures['study_auc_fracture'])} |",
        "| Sensitivity per patient at the operating point | "
        f"{_shown(point['study_sensitivity'])} |",
        f"| Specificity per patient there | {_shown(point['study_specificity'])} |",
        "| Slices over one half per patient without haemorrhage | "
        f"{point['slices_over_half_per_study_without_haemorrhage']} |",
        f"| Calibration error per slice | {ece['slices']['expected_calibration_error']:.3f} |",
        f"| Calibration error per patient | {ece['studies']['expected_calibration_error']:.3f} |",
        f"| Highest cell of the map in a box ({card['places']['slices_with_boxes']} slices with "
        f"boxes; by chance {card['places']['by_chance']:.2f}) | "
        f"{card['places']['highest_cell_in_a_box']:.2f} |",
    ]
    lines += ["", "| patients with haemorrhage, by group | patients | AUC against all without |"]
    lines += ["|---|---|---|"]
    lines += [
        f"| {name} | {one['studies']} | {_plain(one['study_auc_against_all_without'])} |"
        for name, one in card["subgroups"].items()
    ]
    return lines + _clinical(card.get("clinical_series"))


def _clinical(series: dict[str, Any] | None) -> list[str]:
    if not series:
        return []
    lines = [
        "",
        "A clinical CT in HU (tilted, uneven slices, no label), with blood planted in it:",
        "",
        "| planted | ml | measured ml | probability of the study |",
        "|---|---|---|---|",
    ]
    return lines + [
        f"| {one['planted']} | {one['ml']} | {one['measured_ml']} | {one['study_probability']} |"
        for one in series["planted_blood"]
    ]


def _shown(one: dict[str, Any]) -> str:
    if one["value"] is None:
        return "not measured"
    return f"{one['value']:.3f} ({one['low']:.3f}-{one['high']:.3f})"


def _plain(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"
