"""A tilted stack made straight, for readings that measure in three dimensions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from services.imaging.series.pixels import AIR_HU
from services.imaging.series.refusals import GantryTilt, SeriesTooLarge, UnevenSliceSpacing
from services.imaging.series.volume import Floats, Hounsfield, Volume

TILT_DEGREES_MIN = 1.0
"""Less is left as it is: over 300 mm of chest it moves the last slice by 5 mm."""

TILT_DEGREES_MAX = 30.0
"""More than any gantry leans."""

VOXELS_MAX = 400_000_000


def upright(volume: Volume) -> Volume:
    """Return the volume with slices at a right angle to their stack; itself if they are.

    Each slice is moved within its own plane (a shear) by linear interpolation, so nothing is
    averaged between slices, and slice i of the result shows slice i of the series:
    `on_image` says where in it. The picture grows to hold every slice; the rest is air.

    Raises
    ------
    GantryTilt
        More than 30 degrees.
    UnevenSliceSpacing
        A tilted stack with uneven distances: not straightened.
    SeriesTooLarge
        The straightened picture would not fit.
    """
    degrees = abs(volume.tilt_degrees)
    if degrees < TILT_DEGREES_MIN:
        return volume
    if degrees > TILT_DEGREES_MAX:
        raise GantryTilt(
            "the slices lean against the way of the table",
            degrees=degrees,
            limit_degrees=TILT_DEGREES_MAX,
        )
    if not volume.even:
        raise UnevenSliceSpacing(
            "a tilted stack of uneven distances is not straightened",
            smallest_mm=min(volume.gaps_mm),
            largest_mm=max(volume.gaps_mm),
            degrees=degrees,
        )
    return _sheared(volume)


def _sheared(volume: Volume) -> Volume:
    step, column, row = (volume.affine[:3, axis] for axis in range(3))
    normal = np.cross(row, column)
    normal = normal / np.linalg.norm(normal)
    normal = normal * np.sign(step @ normal)
    sideways = step - (step @ normal) * normal
    each = np.array([sideways @ axis / float(axis @ axis) for axis in (column, row)])
    slices = np.arange(len(volume.hu))
    offsets = np.outer(slices, each)
    offsets -= offsets.min(axis=0)
    grown = np.ceil(offsets.max(axis=0)).astype(int)
    rows, columns = volume.hu.shape[1] + grown[0], volume.hu.shape[2] + grown[1]
    if len(slices) * rows * columns > VOXELS_MAX:
        raise SeriesTooLarge(
            "a straightened series has too many voxels",
            voxels=int(len(slices) * rows * columns),
            limit=VOXELS_MAX,
        )
    hu = np.full((len(slices), rows, columns), AIR_HU, np.int16)
    for number in slices:
        _place(volume.hu[number], offsets[number], hu[number])
    affine = volume.affine.copy()
    affine[:3, 0] = (step @ normal) * normal
    first = volume.affine[:3, 3]
    affine[:3, 3] = first - column * offsets[0, 0] - row * offsets[0, 1]
    return replace(
        volume,
        hu=hu,
        affine=affine,
        positions_mm=affine[:3, 3] + np.outer(slices, affine[:3, 0]),
        tilt_degrees=0.0,
        offsets_px=offsets,
        resampled="untilted",
    )


def _place(plane: Hounsfield, offset: Floats, into: Hounsfield) -> None:
    """Write a slice into a larger one, moved by (rows, columns), linearly interpolated."""
    whole = np.floor(offset).astype(int)
    down, right = offset - whole
    rows, columns = plane.shape
    moved = np.pad(plane, ((1, 1), (1, 1)), constant_values=AIR_HU).astype(np.float32)
    moved = moved[1:] * (1 - down) + moved[:-1] * down if down > 0 else moved[1:]
    moved = moved[:, 1:] * (1 - right) + moved[:, :-1] * right if right > 0 else moved[:, 1:]
    height = min(rows + int(down > 0), into.shape[0] - whole[0])
    width = min(columns + int(right > 0), into.shape[1] - whole[1])
    part = np.rint(moved[:height, :width]).astype(np.int16)
    into[whole[0] : whole[0] + height, whole[1] : whole[1] + width] = part
