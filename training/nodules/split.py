"""The candidates' parts: development, validation and test share no group of near-copies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

OVERLAP = Path(__file__).with_name("lidc_idri_0001_crops.tsv")
SEED = 20261125
SHARES = (0.7, 0.15)
"""Development and validation; the rest is test."""

LARGE_GROUP = 20
"""Groups this large are chains of look-alikes (round masses); they go to development."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers of each part, and what was left out because it shows the test CT."""

    development: Ints
    validation: Ints
    test: Ints
    left_out: Ints


def split(labels: Ints, group: npt.NDArray[np.int32]) -> Split:
    """Return parts that share no group, with the same share of nodules in each."""
    lines = OVERLAP.read_text().splitlines()[1:]
    left_out = np.array([int(line.split("\t")[0]) for line in lines])
    sizes = np.bincount(group)
    has_nodule = np.bincount(group, weights=labels) > 0
    large = sizes >= LARGE_GROUP
    parts: list[list[int]] = [np.flatnonzero(large).tolist(), [], []]
    generator = np.random.default_rng(SEED)
    for with_nodules in (True, False):
        order = generator.permutation(np.flatnonzero((has_nodule == with_nodules) & ~large))
        ends = [round(len(order) * SHARES[0]), round(len(order) * sum(SHARES))]
        for part, members in zip(parts, np.split(order, ends), strict=True):
            part.extend(members.tolist())
    rows = [np.flatnonzero(np.isin(group, np.array(part))) for part in parts]
    rows = [np.setdiff1d(part, left_out) for part in rows]
    return Split(rows[0], rows[1], rows[2], left_out)
