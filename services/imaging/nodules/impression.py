"""What readers would say of a nodule: the impression network's ratings and malignancy.

The network was taught the ratings of the LIDC readers. It repeats an impression, not histology.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.imaging.nodules import patch
from services.imaging.nodules.segment import Region
from services.imaging.series.volume import Volume

MODEL = "lung_nodule_impression"
INPUT, RATINGS, MALIGNANCY = "patches", "ratings", "malignancy"
ORDER = (
    "malignancy",
    "spiculation",
    "texture",
    "calcification",
    "lobulation",
    "margin",
    "sphericity",
    "subtlety",
)
"""Columns of `ratings`; scales 1 to 5, calcification 1 to 6."""

BENIGN, INDETERMINATE, MALIGNANT = "likely-benign", "indeterminate", "likely-malignant"


@dataclass(frozen=True, slots=True)
class Impression:
    """One nodule as the network sees it."""

    malignancy: float
    """Probability that readers lean to malignant (mean rating above 3), 0 to 1."""

    ratings: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Limits:
    """Operating points of the card."""

    benign_below: float
    malignant_from: float
    spiculated_from: float
    calcified_below: float

    @staticmethod
    def of(card: Mapping[str, Any]) -> Limits:
        """Read them."""
        points = card["operating_points"]
        return Limits(
            float(points["likely_benign_below"]),
            float(points["likely_malignant_from"]),
            float(points["spiculated_from"]),
            float(points["calcified_below"]),
        )

    def leaning(self, malignancy: float) -> str:
        """Return likely-benign, indeterminate or likely-malignant."""
        if malignancy < self.benign_below:
            return BENIGN
        return MALIGNANT if malignancy >= self.malignant_from else INDETERMINATE


def patches(volume: Volume, regions: Sequence[Region]) -> npt.NDArray[np.float32]:
    """Return the model's input, (n, 1, 64, 64): each nodule on the slice where it is largest."""
    cuts = []
    for region in regions:
        widest = int(np.argmax(region.mask.sum(axis=(1, 2))))
        row, column = np.argwhere(region.mask[widest]).mean(axis=0)
        place = (float(row) + region.start[1], float(column) + region.start[2])
        plane = volume.hu[widest + region.start[0]]
        cuts.append(patch.cut(plane, place, volume.spacing_mm[1:]))
    return np.stack(cuts)[:, None]


def impressions(outputs: Mapping[str, npt.NDArray[Any]]) -> list[Impression]:
    """Return the model's outputs nodule by nodule."""
    return [
        Impression(float(chance), dict(zip(ORDER, map(float, rated), strict=True)))
        for chance, rated in zip(outputs[MALIGNANCY][:, 0], outputs[RATINGS], strict=True)
    ]
