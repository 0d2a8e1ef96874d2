"""Every figure of the card, from out-of-fold scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from services.imaging.haemorrhage import brain
from services.imaging.haemorrhage import frame as frames
from services.imaging.haemorrhage.names import ANY, FRACTURE, TYPES
from training.haemorrhage import aggregate, figures
from training.haemorrhage.aggregate import Scored
from training.haemorrhage.data import Slices
from training.haemorrhage.features import CELL, box_target

SENSITIVITY = 0.9
"""The operating point keeps this share of the other folds' studies with haemorrhage."""

FRACTURE_AUC_MIN = 0.7

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def ranking(
    slices: Slices,
    scored: Scored,
    logits: Floats,
    position: Floats,
    dense: Floats,
) -> dict[str, Any]:
    """Return AUC and average precision per slice and study, per type, beside baselines."""
    patients = np.unique(slices.patient)
    labels, study = slices.labels[:, ANY], aggregate.study_labels(slices)
    auc, precision = figures.auc, figures.average_precision
    return {
        "slice_auc": figures.interval(auc, labels, scored.slices[:, ANY], slices.patient),
        "slice_auc_without_smoothing": figures.interval(
            auc, labels, logits[:, ANY], slices.patient
        ),
        "slice_average_precision": figures.interval(
            precision, labels, scored.slices[:, ANY], slices.patient
        ),
        "study_auc": figures.interval(auc, study[:, ANY], scored.studies, patients),
        "baseline_slice_auc_position_alone": figures.interval(
            auc, labels, position, slices.patient
        ),
        "baseline_slice_auc_dense_share_inside_skull": figures.interval(
            auc, labels, dense, slices.patient
        ),
        "baseline_study_auc_dense_share_inside_skull": figures.interval(
            auc, study[:, ANY], _most(dense, slices.patient), patients
        ),
        "slice_auc_by_type": {
            name: figures.interval(
                auc, slices.labels[:, 1 + at], scored.slices[:, 1 + at], slices.patient
            )
            | {
                "slices": int(slices.labels[:, 1 + at].sum()),
                "patients": int(study[:, 1 + at].sum()),
            }
            for at, name in enumerate(TYPES)
        },
        "slice_auc_fracture": figures.interval(
            auc, slices.labels[:, FRACTURE], scored.slices[:, FRACTURE], slices.patient
        ),
        "study_auc_fracture": figures.interval(
            auc, study[:, FRACTURE], scored.types[:, FRACTURE - 1], patients
        ),
    }


def operation(slices: Slices, scored: Scored, fold: Ints) -> dict[str, Any]:
    """Return what the operating point does; for each fold it is chosen on the others."""
    patients = np.unique(slices.patient)
    study = aggregate.study_labels(slices)[:, ANY]
    fold_of = np.array([fold[slices.patient == p][0] for p in patients])
    called = np.zeros(len(patients), bool)
    for number in np.unique(fold):
        other = fold_of != number if len(np.unique(fold)) > 1 else fold_of == number
        point = figures.operating_point(study[other], scored.studies[other], SENSITIVITY)
        mine = fold_of == number
        called[mine] = scored.studies[mine] >= point
    flagged = scored.slices[:, ANY] >= 0.5
    negative = np.isin(slices.patient, patients[study == 0])
    share = {
        "study_sensitivity": lambda y, x: float(x[y == 1].mean()),
        "study_specificity": lambda y, x: float(1 - x[y == 0].mean()),
    }
    slices_called = np.repeat(called, [int((slices.patient == p).sum()) for p in patients])
    return {
        "probability": figures.operating_point(study, scored.studies, SENSITIVITY),
        "chosen": f"largest threshold, in steps of 0.01, that keeps {SENSITIVITY:.0%} of the "
        "studies with haemorrhage, out of fold; the figures use for each fold the threshold of "
        "the other folds",
        **{
            name: figures.interval(measure, study, called.astype(float), patients)
            for name, measure in share.items()
        },
        "slices_over_half_per_study_without_haemorrhage": round(
            float(flagged[negative].sum()) / int((study == 0).sum()), 3
        ),
        "slice_sensitivity_over_half": round(float(flagged[slices.labels[:, ANY] == 1].mean()), 3),
        "slices_over_half_in_called_studies_without_haemorrhage": int(
            (flagged & negative & slices_called).sum()
        ),
    }


def map_seed(slices: Slices, maps: npt.NDArray[np.float16]) -> float:
    """Return the map value that starts a region: 98% of the slices of patients without
    haemorrhage stay below it everywhere; held within 0.2 and 0.7."""
    study = aggregate.study_labels(slices)[:, ANY]
    clear = np.isin(slices.patient, np.unique(slices.patient)[study == 0])
    peaks = 1 / (1 + np.exp(-maps[clear, 0].max(axis=(1, 2)).astype(np.float64)))
    return round(float(np.clip(np.quantile(peaks, 0.98), 0.2, 0.7)), 3)


def fracture_point(slices: Slices, scored: Scored) -> float | None:
    """Return the study's fracture probability that 95% of studies without one lie below.

    None where the output does not tell studies apart well enough to be shown at all.
    """
    patients = np.unique(slices.patient)
    labels = aggregate.study_labels(slices)[:, FRACTURE]
    chance = scored.types[:, FRACTURE - 1]
    if (figures.interval(figures.auc, labels, chance, patients)["low"] or 0) < FRACTURE_AUC_MIN:
        return None
    return round(float(np.quantile(chance[labels == 0], 0.95)), 3)


def subgroups(slices: Slices, scored: Scored) -> dict[str, Any]:
    """Return how many studies with haemorrhage lie above the median negative, by group."""
    patients = np.unique(slices.patient)
    study = aggregate.study_labels(slices)
    count = np.array([slices.labels[slices.patient == p, ANY].sum() for p in patients])
    negative = study[:, ANY] == 0
    groups = {
        "1 to 4 slices": (count >= 1) & (count <= 4),
        "5 to 9 slices": (count >= 5) & (count <= 9),
        "10 slices or more": count >= 10,
        "with skull fracture": (study[:, FRACTURE] == 1) & ~negative,
        "without skull fracture": (study[:, FRACTURE] == 0) & ~negative,
        **{f"with {name}": study[:, 1 + at] == 1 for at, name in enumerate(TYPES)},
    }
    return {
        name: {
            "studies": int(held.sum()),
            "study_auc_against_all_without": _auc(
                study[held | negative, ANY], scored.studies[held | negative]
            ),
        }
        for name, held in groups.items()
    }


def places(
    slices: Slices, maps: npt.NDArray[np.float16], frame_list: list[frames.Frame]
) -> dict[str, Any]:
    """Return how often the map's highest cell lies in a box, on slices that have boxes."""
    patients = np.unique(slices.patient)
    hits, near, share = [], [], []
    for row in np.flatnonzero([bool(boxes) for boxes in slices.boxes]):
        frame = frame_list[int(np.searchsorted(patients, slices.patient[row]))]
        number = int(row - np.flatnonzero(slices.patient == slices.patient[row])[0])
        middle = np.array([(frames.ROWS - 1) / 2, (frames.COLUMNS - 1) / 2])
        offset = frame.centers[number] - frame.matrix() @ middle
        boxed = box_target(slices.boxes[row], frame.matrix(), offset)[0]
        heat = maps[row, 0].astype(np.float32)
        at = np.unravel_index(int(np.argmax(heat)), heat.shape)
        hits.append(bool(boxed[at] > 0.05))
        away = np.argwhere(boxed > 0.05) - np.array(at)
        near.append(float(np.linalg.norm(away, axis=1).min() * CELL <= 16) if len(away) else 0.0)
        share.append(float((boxed > 0.3).mean()))
    return {
        "slices_with_boxes": len(hits),
        "highest_cell_in_a_box": round(float(np.mean(hits)), 3),
        "highest_cell_within_16_pixels_of_a_box": round(float(np.mean(near)), 3),
        "by_chance": round(float(np.mean(share)), 3),
    }


def levels(slices: Slices, frame_list: list[frames.Frame]) -> dict[str, Any]:
    """Return brain and fluid as HU of the window, over patients: do they look like CT numbers?"""
    brains, fluids = [], []
    patients = np.unique(slices.patient)
    for patient, frame in zip(patients, frame_list, strict=True):
        planes = slices.images[slices.patient == patient].astype(np.float32) / 255.0
        made = level(frames.into(planes, frame))
        if made is not None:
            brains.append(made[0])
            fluids.append(made[1])
    return {
        "patients": len(brains),
        "brain_hu_median_of_patients": round(float(np.median(brains)), 1),
        "brain_hu_5_to_95_percent": [round(float(v), 1) for v in np.percentile(brains, [5, 95])],
        "fluid_hu_median_of_patients": round(float(np.median(fluids)), 1),
        "fluid_hu_5_to_95_percent": [round(float(v), 1) for v in np.percentile(fluids, [5, 95])],
    }


def level(planes: npt.NDArray[np.float32]) -> tuple[float, float] | None:
    """Return the brain's median and the darkest fluid in its middle, HU of the window."""
    from scipy import ndimage

    inside = brain.inside(planes)
    medians, lowest = [], []
    for plane, held in zip(planes, inside, strict=True):
        if held.sum() < 14000:
            continue
        smooth = ndimage.uniform_filter(plane, 5)
        deep = ndimage.binary_erosion(held, iterations=12)
        medians.append(float(np.median(smooth[deep])))
        middle = np.zeros_like(deep)
        middle[90:180, 80:144] = deep[90:180, 80:144]
        if middle.sum() > 500:
            lowest.append(float(smooth[middle].min()))
    if not lowest:
        return None
    return float(np.median(medians)) * 120 - 20, min(lowest) * 120 - 20


def positions(slices: Slices) -> Floats:
    made = np.zeros(len(slices.number))
    for patient in np.unique(slices.patient):
        rows = slices.patient == patient
        made[rows] = (slices.number[rows] - 1) / max(slices.number[rows].max() - 1, 1)
    return made


def dense_share(slices: Slices, frame_list: list[frames.Frame]) -> Floats:
    """Return the share of the brain that is dense as blood, per slice: no learning at all."""
    from scipy import ndimage

    made = []
    for patient, frame in zip(np.unique(slices.patient), frame_list, strict=True):
        planes = slices.images[slices.patient == patient].astype(np.float32) / 255.0
        planes = frames.into(planes, frame)
        for plane, held in zip(planes, brain.inside(planes), strict=True):
            smooth = ndimage.uniform_filter(plane, 5)
            deep = ndimage.binary_erosion(held, iterations=3)
            made.append(float(((smooth > 0.6) & deep).sum()) / 10000.0)
    return np.array(made)


def _most(values: Floats, patient: Ints) -> Floats:
    return np.array([np.sort(values[patient == p])[-3:].mean() for p in np.unique(patient)])


def _auc(labels: Ints, scores: Floats) -> float | None:
    value = figures.auc(labels, scores)
    return None if np.isnan(value) else round(value, 3)
