"""Groups that stand in for the patient, who is not named in FracAtlas, and the split.

Two images share a group when they are near-copies (also mirrored), or when their numbers
are at most two apart and show the same body parts: the views of one visit lie side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

from training.fractures.data import PARTS, Grey, Ints, Radiographs

SIDE = 40
COPY = 0.97
"""Correlation of small high-passed pictures above which two are one picture."""
NEAR = 0.95
NEIGHBOUR = 2
SEED = 20261126
VALIDATION, TEST = 0.10, 0.15


@dataclass(frozen=True)
class Split:
    """Row numbers of the parts; no group lies in two of them."""

    development: Ints
    validation: Ints
    test: Ints
    left_out: Ints
    """Copies whose labels conflict, and all but one of exact copies."""
    group: Ints


def likeness(radiographs: Radiographs) -> npt.NDArray[np.float32]:
    """Return the correlation of each pair of pictures, (n, n), mirrored ones included."""
    small = [_small(image) for image in radiographs.images]
    plain = _directions(small)
    mirrored = _directions([picture[:, ::-1] for picture in small])
    alike = np.maximum(plain @ plain.T, plain @ mirrored.T)
    upright = np.array([image.shape[0] > image.shape[1] for image in radiographs.images])
    alike[upright[:, None] != upright[None]] = 0.0
    np.fill_diagonal(alike, 0.0)
    return alike


def _small(image: Grey) -> npt.NDArray[np.float32]:
    picture = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(picture).astype(np.float32)


def _directions(pictures: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    rows = np.stack([(p - gaussian_filter(p, 4.0)).ravel() for p in pictures])
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6)


def find(radiographs: Radiographs, alike: npt.NDArray[np.float32]) -> Ints:
    """Return the group of each image, (n,)."""
    numbers = [int(name[3:-4]) for name in radiographs.names]
    shown = np.stack([radiographs.column(part) for part in PARTS], axis=1)
    parent = list(range(len(numbers)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for row in range(len(numbers)):
        for after in range(row + 1, min(row + 1 + NEIGHBOUR, len(numbers))):
            near = numbers[after] - numbers[row] <= NEIGHBOUR
            if near and bool((shown[row] == shown[after]).all()):
                parent[root(row)] = root(after)
    for row, other in zip(*np.nonzero(np.triu(alike) > NEAR), strict=True):
        parent[root(int(row))] = root(int(other))
    return np.unique([root(row) for row in range(len(numbers))], return_inverse=True)[1]


def left_out(fractured: Ints, alike: npt.NDArray[np.float32]) -> Ints:
    """Return rows not used: copies with conflicting labels, later ones of agreeing copies."""
    gone: set[int] = set()
    for row, other in zip(*np.nonzero(np.triu(alike) > COPY), strict=True):
        gone.add(int(other))
        if fractured[row] != fractured[other]:
            gone.add(int(row))
    return np.array(sorted(gone), np.int64)


def split(radiographs: Radiographs) -> Split:
    """Return the parts.

    Fractured images of the test part are those of the authors' validation list, with their
    whole groups, so that boxes can be compared with published figures; images without a
    fracture, and the validation part, are drawn by group.
    """
    alike = likeness(radiographs)
    fractured = radiographs.column("fractured")
    group = find(radiographs, alike)
    gone = left_out(fractured, alike)
    broken = np.bincount(group, weights=fractured) > 0
    official = np.bincount(group, weights=radiographs.official_valid) > 0
    generator = np.random.default_rng(SEED)
    whole = generator.permutation(np.flatnonzero(~broken & ~official))
    mixed = generator.permutation(np.flatnonzero(broken & ~official))
    tested, checked = round(TEST * len(whole)), round(VALIDATION * len(whole))
    test = np.concatenate([np.flatnonzero(official), whole[:tested]])
    validation = np.concatenate(
        [mixed[: round(VALIDATION * len(mixed))], whole[tested : tested + checked]]
    )
    rows = np.setdiff1d(np.arange(len(group)), gone)
    part = np.zeros(group.max() + 1, np.int64)
    part[validation], part[test] = 1, 2
    return Split(*(rows[part[group[rows]] == which] for which in range(3)), gone, group)
