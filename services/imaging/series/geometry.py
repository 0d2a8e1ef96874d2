"""The order and the grid of slices from where they lie in the patient, never from file order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from services.imaging.series import refusals
from services.imaging.series.headers import Header, check_geometry

SLICES_MIN = 10
EXTENT_MM_MIN = 25.0
SPACING_MM_MAX = 5.0
PIXEL_MM = (0.3, 1.6)
PARALLEL = 1e-3
"""Largest difference of a direction's component between slices of one series."""

AXIAL_COSINE_MIN = 0.98
"""Of the angle between the slices' normal and the body's axis: 11 degrees."""

TILT_DEGREES_MAX = 1.0
SIDEWAYS_MM_MAX = 0.5
SAME_PLACE_MM = 0.05
SPACING_TOLERANCE = 0.05
"""Share of the spacing that a distance may differ by, at least 0.05 mm."""

Floats = npt.NDArray[np.float64]


class Grid:
    """Slices in order, ascending from the feet, and where their voxels lie.

    `order[i]` is the number of the header that is slice i. `affine` (4, 4) takes
    (slice, row, column, 1) to LPS mm.
    """

    def __init__(self, order: Sequence[int], affine: Floats) -> None:
        self.order = list(order)
        self.affine = affine


def grid(headers: Sequence[Header]) -> Grid:
    """Return the grid of a series.

    Raises
    ------
    SeriesRefused
        One of its types, with the numbers that show it.
    """
    for header in headers:
        check_geometry(header)
    _check_same(headers)
    first = headers[0]
    row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    normal = np.cross(row, column)
    if abs(normal[2]) < AXIAL_COSINE_MIN:
        tilted = float(np.degrees(np.arccos(min(abs(normal[2]), 1.0))))
        _refuse_leaning(headers, normal, tilted)
    normal = normal * np.sign(normal[2])
    positions = np.array([header.position for header in headers])
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    steps = np.diff(positions, axis=0)
    along = steps @ normal
    if len(headers) < SLICES_MIN:
        raise refusals.TooFewSlices(
            f"a series needs {SLICES_MIN} slices", slices=len(headers), needed=SLICES_MIN
        )
    _check_stack(steps, along, normal)
    spacing = float(along.mean())
    _check_extent(len(headers), spacing)
    affine = np.eye(4)
    affine[:3, 0] = (positions[-1] - positions[0]) / (len(positions) - 1)
    affine[:3, 1] = column * first.pixel_mm[0]
    affine[:3, 2] = row * first.pixel_mm[1]
    affine[:3, 3] = positions[0]
    return Grid([int(number) for number in order], affine)


def _check_same(headers: Sequence[Header]) -> None:
    """Refuse slices that do not belong to one stack."""
    rules: list[tuple[type[refusals.SeriesRefused], str, Callable[[Header], object]]] = [
        (refusals.MixedPatients, "slices of different patients", lambda h: h.person),
        (refusals.MixedSeries, "slices of several series", lambda h: (h.study_uid, h.series_uid)),
        (
            refusals.MixedFramesOfReference,
            "slices of several frames of reference",
            lambda h: h.frame_of_reference,
        ),
        (
            refusals.MixedPixelSpacing,
            "slices of different size or pixel spacing",
            lambda h: (h.rows, h.columns, *(round(mm, 4) for mm in h.pixel_mm)),
        ),
    ]
    for kind, message, key in rules:
        different = len({key(header) for header in headers})
        if different > 1:
            raise kind(f"{message} in one series", different=different, slices=len(headers))
    directions = np.array([header.orientation for header in headers])
    spread = float(np.ptp(directions, axis=0).max())
    if spread > PARALLEL:
        raise refusals.MixedOrientation(
            "the slices of the series are not parallel", largest_difference=spread
        )
    smallest, largest = min(headers[0].pixel_mm), max(headers[0].pixel_mm)
    if not PIXEL_MM[0] <= smallest <= largest <= PIXEL_MM[1]:
        raise refusals.UnsuitablePixels(
            "the pixel spacing is not one of a chest CT", pixel_mm=largest
        )


def _refuse_leaning(headers: Sequence[Header], normal: Floats, tilted: float) -> None:
    """Refuse slices that lean: as gantry tilt where the table moved straight on."""
    positions = np.array([header.position for header in headers])
    way = positions[np.argmax(positions[:, 2])] - positions[np.argmin(positions[:, 2])]
    length = float(np.linalg.norm(way))
    if length > SAME_PLACE_MM:
        shear = float(np.degrees(np.arccos(min(abs(way @ normal) / length, 1.0))))
        if shear > TILT_DEGREES_MAX:
            raise refusals.GantryTilt(
                "the slices lean against the way of the table", degrees=round(shear, 2)
            )
    raise refusals.NotAxial("the slices do not cut across the body", degrees=round(tilted, 2))


def _check_stack(steps: Floats, along: Floats, normal: Floats) -> None:
    """Refuse doubles, gaps, uneven distances, shear and sideways shifts."""
    doubles = int((along < SAME_PLACE_MM).sum())
    if doubles:
        raise refusals.DuplicateSlices(
            "several slices lie at one position", doubles=doubles, slices=len(along) + 1
        )
    spacing = float(np.median(along))
    tolerance = max(SPACING_TOLERANCE * spacing, SAME_PLACE_MM)
    off = np.abs(along - spacing) > tolerance
    if off.any():
        _refuse_uneven(along, spacing, tolerance)
    sideways = steps - np.outer(along, normal)
    shear = float(np.degrees(np.arctan2(np.linalg.norm(sideways.mean(axis=0)), along.mean())))
    if shear > TILT_DEGREES_MAX:
        raise refusals.GantryTilt(
            "the slices lean against the way of the table", degrees=round(shear, 2)
        )
    shift = float(np.linalg.norm(sideways - sideways.mean(axis=0), axis=1).max())
    if shift > SIDEWAYS_MM_MAX:
        raise refusals.ShiftedSlices("slices are moved sideways against each other", shift_mm=shift)


def _refuse_uneven(along: Floats, spacing: float, tolerance: float) -> None:
    times = np.rint(along / spacing)
    if bool(np.all(np.abs(along - times * spacing) <= tolerance) and times.max() > 1):
        raise refusals.MissingSlices(
            "slices are missing",
            missing=int((times - 1).sum()),
            gap_mm=float(along.max()),
            spacing_mm=spacing,
        )
    raise refusals.UnevenSliceSpacing(
        "the distances between slices differ",
        smallest_mm=float(along.min()),
        largest_mm=float(along.max()),
        usual_mm=spacing,
    )


def _check_extent(slices: int, spacing: float) -> None:
    if spacing > SPACING_MM_MAX:
        raise refusals.SlicesTooFarApart(
            f"slices more than {SPACING_MM_MAX} mm apart are not read",
            spacing_mm=spacing,
            limit_mm=SPACING_MM_MAX,
        )
    if (slices - 1) * spacing < EXTENT_MM_MIN:
        raise refusals.TooFewSlices(
            f"the stack must be {EXTENT_MM_MIN} mm long",
            slices=slices,
            extent_mm=(slices - 1) * spacing,
            needed_mm=EXTENT_MM_MIN,
        )
