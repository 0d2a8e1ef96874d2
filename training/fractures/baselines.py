"""What can be said of a fracture without looking at the bone: flags, size, grey level."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.fractures.calibrate import logistic
from training.fractures.data import PARTS, VIEWS, Ints, Radiographs
from training.fractures.groups import Split
from training.fractures.measure import SEED
from training.nodules import figures

PERCENTILES = (1, 10, 25, 50, 75, 90, 99)

Floats = npt.NDArray[np.float64]


def measure(radiographs: Radiographs, parts: Split, rows: Ints) -> dict[str, dict[str, float]]:
    """Return the image AUC of each set of features on rows, fitted on the development part."""
    flags = [*PARTS, *VIEWS, "hardware", "multiscan"]
    known = np.stack([radiographs.column(flag) for flag in flags], 1).astype(np.float64)
    acquired = _acquired(radiographs)
    sets = {
        "hardware alone": known[:, [flags.index("hardware")]],
        "hardware, several exposures, body part": known[:, [*range(4), -2, -1]],
        "original size and grey level": _squared(acquired),
        "flags, view, original size, grey level": np.concatenate([known, _squared(acquired)], 1),
    }
    labels = radiographs.column("fractured")
    result = {}
    for name, features in sets.items():
        mean = features[parts.development].mean(axis=0)
        spread = features[parts.development].std(axis=0) + 1e-9
        scaled = np.clip((features - mean) / spread, -5, 5)
        weights = logistic(scaled[parts.development], labels[parts.development])
        scores = scaled[rows] @ weights[:-1]
        result[name] = figures.interval(figures.auc, labels[rows], scores, parts.group[rows], SEED)
    return result


def _acquired(radiographs: Radiographs) -> Floats:
    """Return sizes and grey values, (n, 11)."""
    grey = np.array(
        [
            [*np.percentile(image, PERCENTILES), image.mean(), image.std()]
            for image in radiographs.images
        ]
    )
    size = radiographs.original.astype(np.float64)
    large = (size.max(axis=1) > 1000).astype(np.float64)
    return np.concatenate([grey, large[:, None], (size[:, :1] > size[:, 1:])], 1)


def _squared(features: Floats) -> Floats:
    centred = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    return np.concatenate([features, centred**2], 1)
