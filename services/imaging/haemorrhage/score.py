"""The network's answer for each slice, and what it makes of the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.imaging.haemorrhage.names import ANY, FRACTURE, INPUT, MAP, MODEL, PROBABILITY
from services.imaging.haemorrhage.prepare import Head, inputs
from services.imaging.reading import Ask

BATCH = 16
SPACING_MM = 5.0
"""Of the training slices; thinner ones are smoothed over as many as lie in this."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities of a study. Slices are the volume's."""

    slices: Floats
    """(n, 7): any, the five `TYPES`, fracture; smoothed along the stack."""

    maps: npt.NDArray[np.float32]
    """(n, 6, rows, columns): any and the types, cells of the head's frame."""

    study: float
    """Calibrated probability that the study shows any haemorrhage."""

    types: Floats
    """(5,): probability of each type in the study."""

    fracture: float


def score(made: Head, ask: Ask, card: Mapping[str, Any]) -> Scores:
    """Return the scores of a head CT; the aggregation's numbers are the card's."""
    stacked = inputs(made)
    answers = [
        ask(MODEL, {INPUT: stacked[at : at + BATCH]}) for at in range(0, len(stacked), BATCH)
    ]
    raw = np.concatenate([answer[PROBABILITY] for answer in answers]).astype(np.float64)
    maps = np.concatenate([answer[MAP] for answer in answers])
    return aggregate(raw, maps, made.slice_mm, card["aggregation"])


def aggregate(
    raw: Floats,
    maps: npt.NDArray[np.float32],
    slice_mm: Floats,
    rule: Mapping[str, Any],
) -> Scores:
    """Return smoothed slices and the study's probabilities.

    raw : (n, 7) probabilities of single slices
    rule : "neighbour" weight of each slice one training step away, "slice" scale and shift of
        the smoothed logit, "top" slices of 5 mm whose mean logit is the study's, "study" scale
        and shift of that mean
    """
    logits = smoothed(logit(raw), slice_mm, float(rule["neighbour"]))
    scale, shift = rule["slice"]
    slices = chance(logits)
    slices[:, ANY] = chance(logits[:, ANY] * scale + shift)
    tops = np.array([top(logits[:, at], slice_mm, float(rule["top"])) for at in range(7)])
    scale, shift = rule["study"]
    study = float(chance(tops[ANY] * scale + shift))
    types = chance(tops[1:FRACTURE])
    return Scores(slices, maps, study, types, float(chance(tops[FRACTURE])))


def smoothed(logits: Floats, slice_mm: Floats, neighbour: float) -> Floats:
    """Return logits (n, k) averaged with their neighbours, weighted by distance in the stack."""
    middle = np.cumsum(slice_mm) - slice_mm / 2
    away = np.abs(middle[:, None] - middle[None, :]) / SPACING_MM
    weight = np.clip(1.0 - (1.0 - neighbour) * away, 0.0, None)
    weight = np.where(away <= 1.02, weight, 0.0) * slice_mm[None, :]
    return np.asarray(weight @ logits / weight.sum(axis=1, keepdims=True))


def top(logits: Floats, slice_mm: Floats, slices: float) -> float:
    """Return the mean of the highest logits over `slices` times 5 mm of the stack."""
    order = np.argsort(-logits)
    room = np.minimum(np.cumsum(slice_mm[order]), slices * SPACING_MM)
    taken = np.diff(room, prepend=0.0)
    return float((logits[order] * taken).sum() / taken.sum())


def logit(probability: Floats) -> Floats:
    held = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(held / (1 - held)))


def chance(logit: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-np.asarray(logit, np.float64)))
