"""The figures that go into the cards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.nodules import card, figures
from training.nodules.impression_network import RATINGS
from training.nodules.impressions import Nodules
from training.nodules.outlines import Drawn
from training.nodules.split import Split

SEED = 7
PREDICTIVE_BENIGN, PREDICTIVE_MALIGNANT = 0.95, 0.9
"""Of nodules called likely benign (malignant) at least this share is so, over the folds."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Figure = dict[str, Any]


def candidates(
    labels: Ints, groups: npt.NDArray[np.int32], parts: Split, scores: Mapping[str, Floats]
) -> dict[str, Any]:
    """Return operating point, split and figures of the candidate network."""
    rows = {"validation": parts.validation, "test": parts.test}
    threshold = card.operating_point(labels[parts.validation], scores["validation"])
    wanted: dict[str, Callable[[Ints, Floats], float]] = {
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
        "operating_point": {
            "probability": threshold,
            "chosen": f"largest threshold, in steps of 0.01, that keeps {card.SENSITIVITY:.0%} of "
            "the validation part's nodules; the test part was not looked at",
        },
        "split": {
            "groups_of_near_copies": int(groups.max()) + 1,
            "left_out_as_shown_in_lidc_idri_0001": len(parts.left_out),
            **{
                name: {"crops": len(part), "nodules": int(labels[part].sum())}
                for name, part in (("development", parts.development), *rows.items())
            },
        },
        "figures": {
            name: {
                key: figures.interval(
                    figure, labels[part], scores[name], groups[part].astype(np.int64), SEED
                )
                for key, figure in wanted.items()
            }
            for name, part in rows.items()
        },
        "calibration": {
            name: figures.calibration(labels[part], scores[name]) for name, part in rows.items()
        },
    }


def outline(
    slices: Drawn, held: Drawn, trained: int, dice: Floats, chosen: Floats, wanted: Floats
) -> dict[str, Any]:
    """Return split and figures of the outline network."""
    drawn_mm, readers_mm = (2 * np.sqrt(area / np.pi) for area in (chosen, wanted))
    patients = np.unique(held.patient)
    ratio = drawn_mm / readers_mm
    by_size = {}
    for low, high in ((0, 6), (6, 10), (10, 20), (20, 60)):
        rows = (readers_mm >= low) & (readers_mm < high)
        if rows.any():
            by_size[f"{low}-{high} mm"] = {
                "slices": int(rows.sum()),
                "dice": round(float(dice[rows].mean()), 4),
                "diameter_ratio": round(float(np.median(ratio[rows])), 3),
            }
    return {
        "split": {
            "slices_trained_on": int(trained),
            "test": {"slices": len(held.patient), "patients": len(patients)},
            "all_slices_with_a_window": len(slices.patient),
        },
        "figures": {
            "test": {
                "dice_mean": round(float(dice.mean()), 4),
                "dice_median": round(float(np.median(dice)), 4),
                "diameter_ratio_quartiles": [
                    round(float(value), 3) for value in np.quantile(ratio, [0.25, 0.5, 0.75])
                ],
                "diameter_within_20_percent": round(float((np.abs(ratio - 1) <= 0.2).mean()), 4),
            },
            "by_size": by_size,
        },
    }


@dataclass(frozen=True)
class Points:
    """Calibration and operating points of the impression, from the folds."""

    scale: float
    shift: float
    benign_below: float
    malignant_from: float
    spiculated_from: float
    calcified_below: float


def impression_points(nodules: Nodules, logits: Floats) -> Points:
    """Return them; `logits` are those of the networks that did not see the nodule's fold."""
    mean = nodules.ratings[:, 0]
    rows = (nodules.fold >= 0) & (mean != 3)
    leaning = (mean[rows] > 3).astype(np.int64)
    scale, shift = figures.platt(logits[rows, 0], leaning)
    chance = 1 / (1 + np.exp(-(logits[rows, 0] * scale + shift)))
    steps = np.arange(0.02, 0.99, 0.01)
    benign = [t for t in steps if (leaning[chance < t] == 0).mean() >= PREDICTIVE_BENIGN]
    malignant = [t for t in steps if (leaning[chance >= t] == 1).mean() >= PREDICTIVE_MALIGNANT]
    folds = nodules.fold >= 0
    rated = 1 + 4 / (1 + np.exp(-logits[folds, 1]))
    spiculated = nodules.ratings[folds, 1] >= 3
    best = max(
        np.arange(1.2, 4.0, 0.05),
        key=lambda t: (rated[spiculated] >= t).mean() + (rated[~spiculated] < t).mean(),
    )
    calcium = RATINGS.index("Calcification")
    said = 1 + 5 / (1 + np.exp(-logits[folds, calcium]))
    calcified = nodules.ratings[folds, calcium] < 5
    below = max(
        np.arange(2.0, 6.0, 0.05),
        key=lambda t: (said[calcified] < t).mean() + (said[~calcified] >= t).mean(),
    )
    return Points(
        scale,
        shift,
        round(float(max(benign, default=0.02)), 2),
        round(float(min(malignant, default=0.98)), 2),
        round(float(best), 2),
        round(float(below), 2),
    )


def impression(
    nodules: Nodules,
    logits: Floats,
    points: Points,
    test: Ints,
    ratings: npt.NDArray[np.float32],
    malignancy: npt.NDArray[np.float32],
) -> dict[str, Any]:
    """Return split, operating points and figures of the impression networks."""
    folds = np.flatnonzero(nodules.fold >= 0)
    whole = np.full(len(nodules.fold), np.nan)
    whole[folds] = logits[folds, 0]
    whole[test] = malignancy[:, 0]
    mean = nodules.ratings[:, 0]
    sided = test[mean[test] != 3]
    chance = whole[sided].astype(np.float64)
    leaning = (mean[sided] > 3).astype(np.int64)
    return {
        "operating_points": {
            "likely_benign_below": points.benign_below,
            "likely_malignant_from": points.malignant_from,
            "spiculated_from": points.spiculated_from,
            "calcified_below": points.calcified_below,
            "chosen": "over the five folds: at least 95% of those called likely benign are leaned "
            "to benign by the readers, at least 90% of those called likely malignant to "
            "malignant; spiculated (readers' mean 3 or more) and calcified (under 5) where "
            "sensitivity and specificity sum highest",
        },
        "split": {
            name: {
                "nodules": len(rows),
                "patients": len(np.unique(nodules.patient[rows])),
            }
            for name, rows in (("folds", folds), ("test", test))
        },
        "figures": {
            "malignancy_1_2_against_4_5": {
                name: {
                    "network": _table(nodules, rows, whole),
                    "readers_diameter_alone": _table(nodules, rows, nodules.diameter_mm),
                }
                for name, rows in (("folds", folds), ("test", test))
            },
            "ratings_test": _ratings(nodules, test, ratings),
            "called_test": _called(points, chance, leaning),
        },
        "calibration": {"test": figures.calibration(leaning, chance, 8)},
    }


def _table(nodules: Nodules, rows: Ints, scores: Floats) -> dict[str, Figure]:
    """Return AUC of nodules by readers present and by size; patients are drawn again."""
    mean, readers, mm = nodules.ratings[:, 0], nodules.readers, nodules.diameter_mm
    extreme = rows[(mean[rows] <= 2) | (mean[rows] >= 4)]
    wanted = {
        "any_reader": extreme,
        "two_readers_or_more": extreme[readers[extreme] >= 2],
        "three_readers_or_more": extreme[readers[extreme] >= 3],
        "5_15_mm": extreme[(mm[extreme] >= 5) & (mm[extreme] <= 15)],
        "8_15_mm": extreme[(mm[extreme] >= 8) & (mm[extreme] <= 15)],
        "8_15_mm_two_readers_or_more": extreme[
            (mm[extreme] >= 8) & (mm[extreme] <= 15) & (readers[extreme] >= 2)
        ],
        "subsolid": extreme[nodules.ratings[extreme, RATINGS.index("Texture")] < 4],
    }
    _, patient = np.unique(nodules.patient, return_inverse=True)
    table: dict[str, Figure] = {}
    for name, part in wanted.items():
        malignant = (mean[part] >= 4).astype(np.int64)
        if min(malignant.sum(), (1 - malignant).sum()) < 5:
            continue
        table[name] = {
            "nodules": len(part),
            "malignant": int(malignant.sum()),
            **figures.interval(figures.auc, malignant, scores[part], patient[part], SEED),
        }
    return table


def _ratings(nodules: Nodules, test: Ints, ratings: npt.NDArray[np.float32]) -> dict[str, Figure]:
    """Return how the ratings go with the readers' means, of nodules of two readers or more."""
    rows = nodules.readers[test] >= 2
    limits = {"Spiculation": 3, "Texture": 4, "Calcification": 6, "Lobulation": 3}
    found: dict[str, Figure] = {}
    for column, name in enumerate(RATINGS):
        given, said = nodules.ratings[test[rows], column], ratings[rows, column].astype(np.float64)
        found[name.lower()] = {"correlation": round(float(np.corrcoef(given, said)[0, 1]), 3)}
        if name in limits:
            high = (given >= limits[name]).astype(np.int64)
            if 5 <= high.sum() <= len(high) - 5:
                found[name.lower()][f"auc_from_{limits[name]}"] = round(figures.auc(high, said), 4)
    return found


def _called(points: Points, chance: Floats, leaning: Ints) -> dict[str, Any]:
    benign, malignant = chance < points.benign_below, chance >= points.malignant_from

    def share(rows: npt.NDArray[np.bool_], label: int) -> float | None:
        return round(float((leaning[rows] == label).mean()), 4) if rows.any() else None

    return {
        "nodules_with_a_leaning": len(leaning),
        "likely_benign": int(benign.sum()),
        "of_them_benign": share(benign, 0),
        "likely_malignant": int(malignant.sum()),
        "of_them_malignant": share(malignant, 1),
    }
