"""A tilted stack made straight, for readings that measure in three dimensions."""

from __future__ import annotations

from services.imaging.series.volume import Volume

TILT_DEGREES_MAX = 30.0
"""More than any gantry leans."""


def upright(volume: Volume) -> Volume:
    """Return the volume with slices at a right angle to the table's way; itself if they are.

    Rows are moved against each other from slice to slice by linear interpolation (a shear), so
    nothing is averaged between slices; air is filled in where nothing was measured.

    Raises
    ------
    GantryTilt
        More than 30 degrees.
    UnevenSliceSpacing
        A tilted stack with uneven distances: not straightened.
    """
    raise NotImplementedError
