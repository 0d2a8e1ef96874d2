"""Whether a volume can be measured in three dimensions: what a chest reading asks of it."""

from __future__ import annotations

from services.imaging.series import refusals
from services.imaging.series.volume import Volume

SLICES_MIN = 10
EXTENT_MM_MIN = 25.0
SPACING_MM_MAX = 5.0
PIXEL_MM = (0.3, 1.6)
LEAN_DEGREES_MAX = 11.5
TILT_DEGREES_MAX = 1.0


def check(volume: Volume) -> None:
    """Make sure that a volume is a straight, even stack of thin enough slices.

    Raises
    ------
    GantryTilt, NotAxial, UnsuitablePixels, UnevenSliceSpacing, TooFewSlices, SlicesTooFarApart
        With the numbers that show it.
    """
    spacing, rows_mm, columns_mm = volume.spacing_mm
    if abs(volume.tilt_degrees) > TILT_DEGREES_MAX:
        raise refusals.GantryTilt(
            "the slices lean against the way of the table", degrees=abs(volume.tilt_degrees)
        )
    if volume.lean_degrees > LEAN_DEGREES_MAX and not volume.resampled:
        raise refusals.NotAxial(
            "the slices do not cut across the body", degrees=volume.lean_degrees
        )
    if not PIXEL_MM[0] <= min(rows_mm, columns_mm) <= max(rows_mm, columns_mm) <= PIXEL_MM[1]:
        raise refusals.UnsuitablePixels(
            "the pixel spacing is not one of a chest CT", pixel_mm=max(rows_mm, columns_mm)
        )
    slices = len(volume.hu)
    if slices < SLICES_MIN:
        raise refusals.TooFewSlices(
            f"a series needs {SLICES_MIN} slices", slices=slices, needed=SLICES_MIN
        )
    if not volume.even:
        raise refusals.UnevenSliceSpacing(
            "the distances between slices differ",
            smallest_mm=min(volume.gaps_mm),
            largest_mm=max(volume.gaps_mm),
            usual_mm=sorted(volume.gaps_mm)[len(volume.gaps_mm) // 2],
        )
    _check_extent(slices, spacing)


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
