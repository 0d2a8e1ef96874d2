"""From slices to studies: how much neighbours count, how many slices make a study, calibration.

Chosen on the out-of-fold logits. For the figures each fold's numbers are chosen on the other
folds; the shipped numbers are chosen on all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.imaging.haemorrhage import score
from services.imaging.haemorrhage.names import ANY
from training.haemorrhage import figures
from training.haemorrhage.data import Slices

NEIGHBOURS = (0.0, 0.25, 0.5, 0.75, 1.0)
TOPS = (1.0, 2.0, 3.0, 4.0)
SPACING_MM = 5.0
USUAL = (0.5, 2.0)
RIDGE = 1.0

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """The aggregation's numbers, as the card has them."""

    neighbour: float
    slice: tuple[float, float]
    top: float
    study: tuple[float, float]


@dataclass(frozen=True)
class Scored:
    """Probabilities of slices and studies."""

    slices: Floats
    """(n, 7), smoothed; any calibrated."""

    studies: Floats
    """(patients,): any, calibrated."""

    types: Floats
    """(patients, 6): the types and fracture."""


def study_labels(slices: Slices) -> Ints:
    """Return labels of each patient, (patients, 7): whether any slice shows it."""
    patients = np.unique(slices.patient)
    return np.stack([slices.labels[slices.patient == p].max(axis=0) for p in patients])


def smoothed(logits: Floats, patient: Ints, neighbour: float) -> Floats:
    """Return logits (n, k) smoothed along each patient's slices."""
    made = np.empty_like(logits)
    for one in np.unique(patient):
        rows = np.flatnonzero(patient == one)
        made[rows] = score.smoothed(logits[rows], np.full(len(rows), SPACING_MM), neighbour)
    return made


def tops(logits: Floats, patient: Ints, top: float) -> Floats:
    """Return each patient's mean of the highest logits, (patients, k)."""
    return np.array(
        [
            [
                score.top(column, np.full(len(column), SPACING_MM), top)
                for column in logits[patient == one].T
            ]
            for one in np.unique(patient)
        ]
    )


def choose(logits: Floats, slices: Slices, rows: Ints) -> Rule:
    """Return the rule that is best on these slices (whole patients)."""
    patient, labels = slices.patient[rows], slices.labels[rows, ANY]
    ranked = [
        (figures.auc(labels, smoothed(logits[rows, :1], patient, each)[:, 0]), -each)
        for each in NEIGHBOURS
    ]
    neighbour = -max(ranked)[1]
    smooth = smoothed(logits[rows, :1], patient, neighbour)
    study = np.array([labels[patient == one].max() for one in np.unique(patient)])
    by_top = [(figures.auc(study, tops(smooth, patient, each)[:, 0]), -each) for each in TOPS]
    top = -max(by_top)[1]
    return Rule(
        neighbour,
        figures.platt(smooth[:, 0], labels),
        top,
        figures.platt(tops(smooth, patient, top)[:, 0], study),
    )


def usual(logits: Floats, slices: Slices) -> Rule:
    """Return the rule that was set before anything was measured, calibrated on these slices."""
    smooth = smoothed(logits[:, :1], slices.patient, USUAL[0])
    study = study_labels(slices)[:, ANY]
    return Rule(
        USUAL[0],
        figures.platt(smooth[:, 0], slices.labels[:, ANY]),
        USUAL[1],
        figures.platt(tops(smooth, slices.patient, USUAL[1])[:, 0], study, RIDGE),
    )


def apply(rule: Rule, logits: Floats, patient: Ints) -> Scored:
    """Return the probabilities of whole patients by a rule, as the service makes them."""
    smooth = smoothed(logits, patient, rule.neighbour)
    slices = np.asarray(score.chance(smooth))
    slices[:, ANY] = score.chance(smooth[:, ANY] * rule.slice[0] + rule.slice[1])
    high = tops(smooth, patient, rule.top)
    studies = score.chance(high[:, ANY] * rule.study[0] + rule.study[1])
    return Scored(slices, np.asarray(studies), np.asarray(score.chance(high[:, 1:7])))


def across_folds(logits: Floats, slices: Slices, fold: Ints) -> tuple[Scored, list[Rule]]:
    """Return every patient scored by a rule chosen on the other folds."""
    patients = np.unique(slices.patient)
    fold_of = np.array([fold[slices.patient == p][0] for p in patients])
    made = Scored(np.zeros((len(fold), 7)), np.zeros(len(patients)), np.zeros((len(patients), 6)))
    rules = []
    for number in np.unique(fold):
        rule = choose(logits, slices, np.flatnonzero(fold != number))
        rows = np.flatnonzero(fold == number)
        one = apply(rule, logits[rows], slices.patient[rows])
        made.slices[rows] = one.slices
        made.studies[fold_of == number] = one.studies
        made.types[fold_of == number] = one.types
        rules.append(rule)
    return made, rules
