"""The order and the grid of slices from where they lie in the patient, never from file order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.imaging.series import refusals
from services.imaging.series.headers import Header

STACK_MIN = 3
"""Fewer slices do not show whether they are equally far apart."""

LEAN_DEGREES_MAX = 45.0
"""Of the slices' normal against the body's axis; beyond, they are coronal or sagittal."""

SIDEWAYS_MM_MAX = 0.5
SAME_PLACE_MM = 0.05
SPACING_TOLERANCE = 0.05
"""Share of the spacing that a distance may differ by, at least 0.05 mm."""

THICKNESS_SHARE = 0.75
"""A distance is no gap when the slices beside it are at least this share of it thick."""

WIDE_RUN = 3
"""Equal wide distances in a row that are no gap where thickness is not stated."""

COMMON_SHARE = 0.2
"""A distance that gaps are multiples of is that of at least so many slices."""

SLICE_MM_MAX = 50.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices in order, ascending from the feet, and where their voxels lie."""

    order: tuple[int, ...]
    """`order[i]` is the number, in the headers given, of slice i."""

    affine: Floats
    """(4, 4): (slice, row, column, 1) to LPS mm; the mean step where distances are uneven."""

    positions: Floats
    """(slices, 3) LPS mm."""

    gaps_mm: tuple[float, ...]
    """Distances along the normal."""

    tilt_degrees: float
    lean_degrees: float
    even: bool


def stack(headers: Sequence[Header]) -> Stack:
    """Return the stack that parallel slices of one size form.

    Raises
    ------
    NotAxial, TooFewSlices, DuplicateSlices, MissingSlices, ShiftedSlices
        With the numbers that show it.
    """
    first = headers[0]
    row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    normal = _upward(row, column)
    lean = float(np.degrees(np.arccos(min(abs(normal[2]), 1.0))))
    if len(headers) < STACK_MIN:
        raise refusals.TooFewSlices(
            f"a series needs {STACK_MIN} slices", slices=len(headers), needed=STACK_MIN
        )
    if lean > LEAN_DEGREES_MAX:
        raise refusals.NotAxial("the slices do not cut across the body", degrees=round(lean, 2))
    order, positions, along = along_normal(headers, normal)
    _check_doubles(along)
    gaps = _check_gaps(along, [headers[number].thickness_mm for number in order])
    tilt = _tilt(np.diff(positions, axis=0), along, normal)
    affine = np.eye(4)
    affine[:3, 0] = (positions[-1] - positions[0]) / (len(positions) - 1)
    affine[:3, 1] = column * first.pixel_mm[0]
    affine[:3, 2] = row * first.pixel_mm[1]
    affine[:3, 3] = positions[0]
    return Stack(
        order=tuple(int(number) for number in order),
        affine=affine,
        positions=positions,
        gaps_mm=tuple(float(gap) for gap in along),
        tilt_degrees=round(tilt, 2),
        lean_degrees=round(lean, 2),
        even=not gaps,
    )


def _upward(row: Floats, column: Floats) -> Floats:
    """Return the slices' normal, pointing to the head (or, at right angles to it, to +y, +x)."""
    normal = np.cross(row, column)
    leading = next((part for part in normal[::-1] if abs(part) > 1e-6), 1.0)
    return np.asarray(normal * np.sign(leading))


def normal_of(header: Header) -> Floats:
    """Return the normal of a slice, as `stack` uses it."""
    return _upward(np.array(header.orientation[:3]), np.array(header.orientation[3:]))


def along_normal(
    headers: Sequence[Header], normal: Floats
) -> tuple[npt.NDArray[np.intp], Floats, Floats]:
    """Return the order of slices along a direction, their positions, the distances, mm."""
    positions = np.array([header.position for header in headers])
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    return order, positions, np.diff(positions, axis=0) @ normal


def _check_doubles(along: Floats) -> None:
    doubles = int((along < SAME_PLACE_MM).sum())
    if doubles:
        raise refusals.DuplicateSlices(
            "several slices lie at one position", doubles=doubles, slices=len(along) + 1
        )
    if along.max() > SLICE_MM_MAX:
        raise refusals.MissingSlices(
            "slices are missing",
            missing=int(max(round(along.max() / float(np.median(along))) - 1, 1)),
            gap_mm=float(along.max()),
            spacing_mm=float(np.median(along)),
        )


def _check_gaps(along: Floats, thicknesses: Sequence[float | None]) -> bool:
    """Return whether distances are uneven; refuse where slices are missing.

    A distance that is a whole multiple of the usual one is a gap, unless the slices on both
    sides are as thick as it, as in a head CT whose upper part is cut more coarsely.
    """
    usual = float(np.median(along))
    smallest = float(along.min())
    tolerance = max(SPACING_TOLERANCE * usual, SAME_PLACE_MM)
    if bool(np.all(np.abs(along - usual) <= tolerance)):
        return False
    for spacing in (usual, smallest):
        if float((np.abs(along - spacing) <= tolerance).mean()) < COMMON_SHARE:
            continue
        times = np.rint(along / spacing)
        whole = np.abs(along - times * spacing) <= max(SPACING_TOLERANCE * spacing, SAME_PLACE_MM)
        wide = whole & (times > 1)
        gaps = [at for at in np.flatnonzero(wide) if _is_gap(int(at), along, thicknesses)]
        if bool(whole.all()) and gaps:
            raise refusals.MissingSlices(
                "slices are missing",
                missing=int(sum(times[at] - 1 for at in gaps)),
                gap_mm=float(along[gaps].max()),
                spacing_mm=spacing,
            )
    return True


def _is_gap(at: int, along: Floats, thicknesses: Sequence[float | None]) -> bool:
    beside = [thickness for thickness in thicknesses[at : at + 2] if thickness]
    if beside:
        return max(beside) < THICKNESS_SHARE * float(along[at])
    near = along[max(at - WIDE_RUN + 1, 0) : at + WIDE_RUN]
    return int((np.abs(near - along[at]) <= SAME_PLACE_MM).sum()) < WIDE_RUN


def _tilt(steps: Floats, along: Floats, normal: Floats) -> float:
    """Return the gantry's tilt, degrees, + where the normal leans to the back (LPS +y) against
    the way from slice to slice; refuse slices that are moved sideways.
    """
    sideways = steps - np.outer(along, normal)
    slope = sideways.sum(axis=0) / along.sum()
    shift = float(np.linalg.norm(sideways - np.outer(along, slope), axis=1).max())
    if shift > SIDEWAYS_MM_MAX:
        raise refusals.ShiftedSlices("slices are moved sideways against each other", shift_mm=shift)
    degrees = float(np.degrees(np.arctan(np.linalg.norm(slope))))
    return -degrees if slope[np.argmax(np.abs(slope))] > 0 else degrees
