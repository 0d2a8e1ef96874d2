"""Candidates: bright blobs in the lungs, by differences of Gaussians at scales in mm.

A sphere of radius r answers most at sigma = r / sqrt(3) (Lindeberg 1998). The curvature at
the peak tells a blob from a vessel: a tube hardly curves along its length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from services.imaging.nodules.prepare import Block

SIGMAS_MM = (1.2, 1.7, 2.4, 3.4, 4.8, 6.8)
RATIO = 1.5
"""The second Gaussian of each difference is this much wider."""

COARSE_FROM_MM = 2.0
"""Scales from here on are searched on every second row and column."""

RESPONSE_HU_MIN = 60.0
ROUNDNESS_MIN = 0.15
CANDIDATES_MAX = 120

INSIDE_SHARE, INSIDE_MM = 0.8, 3.0
"""A candidate within this share of a better one's radius, or these mm, is the same blob."""

Grey = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A blob: where, how large, how bright."""

    index: tuple[float, float, float]
    """Slice, row, column in the volume."""

    radius_mm: float
    response_hu: float
    roundness: float
    """Least curvature over greatest: 1 for a sphere, 0 for a tube."""


def detect(block: Block) -> list[Candidate]:
    """Return candidates, the most blob-like first, at most `CANDIDATES_MAX`."""
    found: list[Candidate] = []
    halved = _halve(block)
    for sigma in SIGMAS_MM:
        view = halved if sigma >= COARSE_FROM_MM else (block.field, block.inside, 1)
        found += _at_scale(view, block, sigma)
    found.sort(key=lambda candidate: -candidate.response_hu * candidate.roundness**2)
    dz, dy, dx = (mm / by for mm, by in zip(block.spacing_mm, block.step, strict=True))
    return _apart(found, (dz, dy, dx))


def _halve(block: Block) -> tuple[Grey, npt.NDArray[np.bool_], int]:
    z, y, x = block.field.shape
    cut = block.field[:, : y // 2 * 2, : x // 2 * 2].reshape(z, y // 2, 2, x // 2, 2)
    mask = block.inside[:, : y // 2 * 2 : 2, : x // 2 * 2 : 2]
    return np.asarray(cut.mean(axis=(2, 4))), mask, 2


def _at_scale(
    view: tuple[Grey, npt.NDArray[np.bool_], int], block: Block, sigma_mm: float
) -> list[Candidate]:
    field, inside, factor = view
    spacing = np.array(block.spacing_mm) * (1, factor, factor)
    smooth = ndimage.gaussian_filter(field, sigma_mm / spacing, mode="nearest", truncate=3.0)
    wider = np.sqrt(RATIO**2 - 1) * sigma_mm
    response = smooth - ndimage.gaussian_filter(
        smooth, wider / spacing, mode="nearest", truncate=3.0
    )
    reach = np.maximum(1, np.rint(sigma_mm / spacing)).astype(int)
    peak = ndimage.maximum_filter(response, size=2 * reach + 1, mode="nearest")
    places = np.argwhere((response == peak) & (response >= RESPONSE_HU_MIN) & inside)
    roundness = _roundness(smooth, places, sigma_mm / spacing)
    candidates = []
    for place, value in zip(places, roundness, strict=True):
        if value < ROUNDNESS_MIN:
            continue
        middle = (factor - 1) / 2
        index = block.to_volume(
            np.array(place * (1, factor, factor) + (0.0, middle, middle), float)
        )
        candidates.append(
            Candidate(
                (float(index[0]), float(index[1]), float(index[2])),
                sigma_mm * float(np.sqrt(3.0)),
                float(response[tuple(place)]),
                float(value),
            )
        )
    return candidates


def _roundness(smooth: Grey, places: npt.NDArray[np.int64], step: Floats) -> Floats:
    """Return least over greatest curvature at each place, (n,); 0 unless it is a peak."""
    if not len(places):
        return np.zeros(0)

    def at(*offset: float) -> Floats:
        where = (places + np.array(offset) * step).T
        return np.asarray(ndimage.map_coordinates(smooth, where, order=1, mode="nearest"))

    hessian = np.empty((len(places), 3, 3))
    axes = np.eye(3)
    for i in range(3):
        hessian[:, i, i] = at(*axes[i]) - 2 * at(0, 0, 0) + at(*-axes[i])
        for j in range(i):
            plus, minus = axes[i] + axes[j], axes[i] - axes[j]
            mixed = (at(*plus) + at(*-plus) - at(*minus) - at(*-minus)) / 4
            hessian[:, i, j] = hessian[:, j, i] = mixed
    curvature = np.linalg.eigvalsh(hessian)  # ascending: the most negative first
    ratio = curvature[:, 2] / np.minimum(curvature[:, 0], -1e-6)
    return np.asarray(np.where(curvature[:, 2] < 0, ratio, 0.0))


def _apart(candidates: list[Candidate], spacing_mm: tuple[float, float, float]) -> list[Candidate]:
    """Return the first `CANDIDATES_MAX` that do not lie inside a better one."""
    kept: list[Candidate] = []
    places = np.empty((CANDIDATES_MAX, 3))
    reach_mm = np.empty(CANDIDATES_MAX)
    for candidate in candidates:
        count = len(kept)
        if count == CANDIDATES_MAX:
            break
        place = np.array(candidate.index) * spacing_mm
        if np.any(np.linalg.norm(places[:count] - place, axis=1) <= reach_mm[:count]):
            continue
        places[count] = place
        reach_mm[count] = max(INSIDE_SHARE * candidate.radius_mm, INSIDE_MM)
        kept.append(candidate)
    return kept
