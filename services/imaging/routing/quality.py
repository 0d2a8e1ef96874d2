"""Looks at the pixels before a model speaks: is this the organ, whole, still, a picture at all?

A model answers whatever it is given; these checks are what keeps a knee from a lung reader.
Each is coarse (a few reduced slices, a histogram), costs well under a second, and refuses with
the numbers that it measured and the limits they missed. Figures on real series, by which the
limits of `default.toml` were set, are in docs/imaging/routing.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from services.imaging.series.radiograph import Radiograph
from services.imaging.series.refusals import SeriesRefused
from services.imaging.series.sources import Source
from services.imaging.series.volume import Volume

Limits = Mapping[str, float]
Slice = npt.NDArray[np.int16]
Flags = npt.NDArray[np.bool_]

SIDE_MAX = 128
"""Slices are reduced to at most about this many pixels a side."""

SLICES_MAX = 24
"""Slices that are looked at, evenly spread."""

BODY_HU, BONE_HU = -300, 250
LUNG_HU = (-950, -600)
BRAIN_HU = (0, 80)


class WrongOrgan(SeriesRefused):
    """The pixels show another part of the body than this reading is for."""


class NotCtNumbers(SeriesRefused):
    """Values that are no CT numbers: neither air nor soft tissue where they must be."""

    code = "NOT_CT_NUMBERS"


class FieldOfViewCutOff(SeriesRefused):
    """The body goes on beyond the edge of the image."""


class PatientMoved(SeriesRefused):
    """The outline jumps from slice to slice."""


class PaperScan(SeriesRefused):
    """A photograph or scan of paper, or a capture of a screen, not an X-ray's own pixels."""


class BadlyExposed(SeriesRefused):
    """Hardly any contrast, or most of the picture at its darkest or brightest."""


@dataclass(frozen=True, slots=True)
class Check:
    """One look at the pixels, and the names of its limits."""

    look: Callable[[Source, Limits], None]
    limits: frozenset[str]


def ct_numbers(source: Source, limits: Limits) -> None:
    """Refuse a volume without air or fat, or without soft tissue: no CT, whatever it says."""
    if not isinstance(source, Volume):
        return
    hu = np.stack([_reduced(source, index) for index in _some(len(source.hu))])
    low = float(np.mean(hu < -50))
    tissue = float(np.mean((hu > -20) & (hu < 120)))
    if low < limits["low_share_min"] or tissue < limits["tissue_share_min"]:
        raise NotCtNumbers(
            "the values of the series are not CT numbers of a person",
            **{"air_or_fat_share": low, "soft_tissue_share": tissue},
            **_wanted(limits),
        )


def chest(source: Source, limits: Limits) -> None:
    """Refuse a volume in which hardly any of the body is aerated lung."""
    if not isinstance(source, Volume):
        return
    body = lung = 0
    for index in _some(len(source.hu)):
        plane = _reduced(source, index)
        inside = ndimage.binary_fill_holes(plane > BODY_HU)
        body += int(inside.sum())
        lung += int((inside & (plane > LUNG_HU[0]) & (plane < LUNG_HU[1])).sum())
    share = lung / body if body else 0.0
    if share < limits["lung_share_min"]:
        raise WrongOrgan("the series does not show lungs", lung_share=share, **_wanted(limits))


def head(source: Source, limits: Limits) -> None:
    """Refuse a volume without a skull with brain in it, or in which it is a small part."""
    if not isinstance(source, Volume):
        return
    areas = [_brain_cm2(source, index) for index in _some(len(source.hu))]
    showing = sum(area >= limits["brain_cm2_min"] for area in areas) / len(areas)
    if showing < limits["slices_share_min"]:
        raise WrongOrgan(
            "the series does not show a skull with brain in it",
            largest_brain_cm2=max(areas),
            slices_share=showing,
            **_wanted(limits),
        )


def field_of_view(source: Source, limits: Limits) -> None:
    """Refuse a volume whose slices end within the body."""
    if not isinstance(source, Volume):
        return
    shares = []
    for index in _some(len(source.hu)):
        plane = source.hu[index]
        border = np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])
        shares.append(float(np.mean(border > BODY_HU)))
    share = float(np.mean(shares))
    if share > limits["border_share_max"]:
        raise FieldOfViewCutOff(
            "the body is cut off at the edge of the images", border_share=share, **_wanted(limits)
        )


def motion(source: Source, limits: Limits) -> None:
    """Refuse a volume whose outline jumps sideways between neighbouring slices.

    The middle of the body's outline drifts smoothly from slice to slice; its second
    difference is what a shift of the patient between two slices leaves.
    """
    if not isinstance(source, Volume) or len(source.hu) < 5:
        return
    middles = np.array([_middle_mm(source, index) for index in range(len(source.hu))])
    jumps = np.linalg.norm(np.diff(middles, n=2, axis=0), axis=1) / 2
    jumps = jumps[np.isfinite(jumps)]
    share = float(np.mean(jumps > limits["jump_mm"])) if len(jumps) else 0.0
    if share > limits["slices_share_max"]:
        raise PatientMoved(
            "the patient moved between the slices",
            jumping_share=share,
            largest_jump_mm=float(jumps.max()),
            **_wanted(limits),
        )


def paper(source: Source, limits: Limits) -> None:
    """Refuse a picture that is mostly white with little between, or of very few greys."""
    if not isinstance(source, Radiograph):
        return
    bright = float(np.mean(source.grey > 0.92))
    middle = float(np.mean((source.grey > 0.15) & (source.grey < 0.85)))
    greys = int(np.count_nonzero(np.bincount((source.grey.ravel() * 255).astype(np.uint8))))
    white = bright > limits["bright_share_max"] and middle < limits["middle_share_min"]
    if white or greys < limits["greys_min"]:
        raise PaperScan(
            "the picture looks like scanned paper or a captured screen, not like an X-ray",
            **{"bright_share": bright, "middle_share": middle, "greys": greys},
            **_wanted(limits),
        )


def exposure(source: Source, limits: Limits) -> None:
    """Refuse a picture with hardly any contrast."""
    if not isinstance(source, Radiograph):
        return
    low, high = (float(value) for value in np.percentile(source.grey, (5, 95)))
    if high - low < limits["spread_min"]:
        raise BadlyExposed(
            "the picture has hardly any contrast", spread=high - low, **_wanted(limits)
        )


CHECKS = {
    "ct_numbers": Check(ct_numbers, frozenset(("low_share_min", "tissue_share_min"))),
    "chest": Check(chest, frozenset(("lung_share_min",))),
    "head": Check(head, frozenset(("brain_cm2_min", "slices_share_min"))),
    "field_of_view": Check(field_of_view, frozenset(("border_share_max",))),
    "motion": Check(motion, frozenset(("jump_mm", "slices_share_max"))),
    "paper": Check(paper, frozenset(("bright_share_max", "middle_share_min", "greys_min"))),
    "exposure": Check(exposure, frozenset(("spread_min",))),
}
"""Every check that a rule may name."""


def _some(count: int) -> list[int]:
    """Return at most `SLICES_MAX` indices, evenly spread."""
    return sorted({round(at) for at in np.linspace(0, count - 1, min(count, SLICES_MAX))})


def _step(volume: Volume) -> int:
    return max(1, -(-int(max(volume.hu.shape[1:])) // SIDE_MAX))


def _reduced(volume: Volume, index: int) -> Slice:
    """Return every n-th row and column of a slice."""
    step = _step(volume)
    return volume.hu[index, ::step, ::step]


def _brain_cm2(volume: Volume, index: int) -> float:
    """Return the area of brain-like tissue that bone encloses in a slice, cm2."""
    plane = _reduced(volume, index)
    bone = ndimage.binary_dilation(plane > BONE_HU)
    enclosed = ndimage.binary_fill_holes(bone) & ~bone
    brain = enclosed & (plane > BRAIN_HU[0]) & (plane < BRAIN_HU[1])
    _, rows_mm, columns_mm = volume.spacing_mm
    return float(brain.sum()) * (_step(volume) ** 2) * rows_mm * columns_mm / 100.0


def _middle_mm(volume: Volume, index: int) -> tuple[float, float]:
    """Return the middle of the body's outline in a slice, mm from its first pixel."""
    body: Flags = _reduced(volume, index) > BODY_HU
    if body.mean() < 0.01:
        return float("nan"), float("nan")
    weights_rows, weights_columns = body.sum(axis=1), body.sum(axis=0)
    row = float(np.average(np.arange(len(weights_rows)), weights=weights_rows))
    column = float(np.average(np.arange(len(weights_columns)), weights=weights_columns))
    step = _step(volume)
    return row * step * volume.spacing_mm[1], column * step * volume.spacing_mm[2]


def _wanted(limits: Limits) -> dict[str, float]:
    return {name: float(value) for name, value in limits.items()}
