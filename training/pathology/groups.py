"""Which tiles of NuInsSeg may not be parted, and the parts.

The set names no slides and no organs, but its files are numbered organ by organ. Runs of
`RUN` numbers are one group; tiles that overlap (found by their pixels) join their groups.
In every ten groups, chosen by a fixed seed, seven are development, one validation and two
test, so that every organ is in every part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

RUN = 6
NEAR = 40
"""How many numbers apart overlapping tiles are looked for."""

SMALL = 128
CORRELATION_MIN = 0.6
OVERLAP_MIN = 0.15
SEED = 20261126
PATTERN = (0, 0, 0, 0, 0, 0, 0, 1, 2, 2)

Ints = npt.NDArray[np.int64]
Grey = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Parts:
    """Row numbers of each part, and the group of every row."""

    development: Ints
    validation: Ints
    test: Ints
    group: Ints


def split(pixels: npt.NDArray[np.uint8], number: Ints) -> Parts:
    """Return parts that share no group."""
    group = _joined(number // RUN, overlaps(pixels, number))
    order = np.unique(group)
    generator = np.random.default_rng(SEED)
    part_of = {}
    for at in range(0, len(order), len(PATTERN)):
        chosen = generator.permutation(PATTERN)
        part_of |= dict(zip(order[at : at + len(PATTERN)].tolist(), chosen.tolist(), strict=False))
    part = np.array([part_of[int(one)] for one in group])
    rows = [np.flatnonzero(part == which) for which in range(3)]
    return Parts(rows[0], rows[1], rows[2], group)


def overlaps(pixels: npt.NDArray[np.uint8], number: Ints) -> list[tuple[int, int]]:
    """Return pairs of rows that show the same place, shifted."""
    grey = _small(pixels)
    size = 2 * SMALL
    spectra = np.fft.rfft2(grey, s=(size, size)).astype(np.complex64)
    found = []
    for one in range(len(grey)):
        others = np.flatnonzero((number > number[one]) & (number <= number[one] + NEAR))
        if not len(others):
            continue
        products = np.fft.irfft2(spectra[others] * np.conj(spectra[one]), s=(size, size))
        for other, product in zip(others, products, strict=True):
            if _same_place(grey[one], grey[other], product):
                found.append((one, int(other)))
    return found


def _same_place(one: Grey, other: Grey, product: Grey) -> bool:
    """Tell whether the tiles agree where the best shift lays them over each other."""
    row, column = np.unravel_index(int(product.argmax()), product.shape)
    down = int(row) - (2 * SMALL if row >= SMALL else 0)
    right = int(column) - (2 * SMALL if column >= SMALL else 0)
    a = one[max(0, -down) : SMALL - max(0, down), max(0, -right) : SMALL - max(0, right)]
    b = other[max(0, down) : SMALL + min(0, down), max(0, right) : SMALL + min(0, right)]
    if a.size < OVERLAP_MIN * SMALL * SMALL:
        return False
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) >= CORRELATION_MIN


def _small(pixels: npt.NDArray[np.uint8]) -> Grey:
    step = pixels.shape[1] // SMALL
    small = pixels.reshape(len(pixels), SMALL, step, SMALL, step, 3).mean((2, 4, 5))
    rough = np.stack([ndimage.gaussian_filter(tile, 6) for tile in small])
    return np.asarray(small - rough, np.float32)


def _joined(group: Ints, pairs: list[tuple[int, int]]) -> Ints:
    """Return groups with those of each pair made one."""
    joined = group.copy()
    for one, other in pairs:
        low, high = sorted((joined[one], joined[other]))
        joined[joined == high] = low
    return joined
