"""What a report says of a nodule: size, density, consistency, side and zone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from services.imaging.lungs import Lungs, Mask, fine
from services.imaging.nodules.segment import Region
from services.imaging.series.volume import Volume

SOLID_HU = -300.0
GLASS_HU = (-750.0, -300.0)
SOLID_SHARE, GLASS_SHARE = 0.6, 0.1
"""Share of the inner voxels that are solid: at least the first, solid; below the second, none."""

RIM_MM = (1.5, 4.5)
RIM_GLASS_SHARE = 0.5
"""A solid nodule is part-solid when this share of the lung around it is ground glass."""

MIDDLE_MM = 5.0
WHOLE_LUNG_CM2 = 12.0
"""A scan shows the whole lung when its end slices show less lung than this."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measures:
    """One nodule, measured. Indices are the volume's."""

    center: tuple[float, float, float]
    """Slice, row, column of the centroid."""

    slice_index: int
    box: tuple[int, int, int, int]
    """Left, top, right, bottom on that slice, pixels; right and bottom one past."""

    first_slice: int
    last_slice: int
    long_axis_mm: float
    short_axis_mm: float
    volume_mm3: float
    mean_hu: float
    consistency: str
    """ "solid", "part-solid" or "ground-glass"."""
    laterality: pb.Laterality.ValueType
    zone: str
    """ "upper-zone", "middle-zone", "lower-zone"; "": not determined."""


def measure(volume: Volume, lungs: Lungs, region: Region) -> Measures:
    """Return a nodule's measures from its voxels."""
    voxels = np.argwhere(region.mask) + region.start
    center = voxels.mean(axis=0)
    slices = np.unique(voxels[:, 0])
    middle = int(slices[np.argmin(np.abs(slices - center[0]))])
    on_slice = voxels[voxels[:, 0] == middle]
    areas = region.mask.sum(axis=(1, 2))
    widest = np.argwhere(region.mask[int(np.argmax(areas))])
    long_axis, short_axis = axes_mm(widest, volume.spacing_mm[1:])
    hu = volume.hu[tuple(voxels.T)]
    return Measures(
        center=(float(center[0]), float(center[1]), float(center[2])),
        slice_index=middle,
        box=(
            int(on_slice[:, 2].min()),
            int(on_slice[:, 1].min()),
            int(on_slice[:, 2].max()) + 1,
            int(on_slice[:, 1].max()) + 1,
        ),
        first_slice=int(slices[0]),
        last_slice=int(slices[-1]),
        long_axis_mm=long_axis,
        short_axis_mm=short_axis,
        volume_mm3=len(voxels) * volume.voxel_mm3,
        mean_hu=float(hu.mean()),
        consistency=_consistency(volume, lungs, region),
        laterality=_laterality(volume, lungs, center),
        zone=_zone(lungs, volume, center),
    )


def axes_mm(pixels: npt.NDArray[np.int64], pixel_mm: tuple[float, float]) -> tuple[float, float]:
    """Return the longest diameter of pixels (n, 2), and the longest perpendicular to it, mm.

    A diameter runs from pixel edge to pixel edge: centre to centre, plus one pixel.
    """
    places = pixels * np.array(pixel_mm)
    one_pixel = float(np.mean(pixel_mm))
    outline = _outline(places)
    across = outline[:, None, :] - outline[None, :, :]
    lengths = np.linalg.norm(across, axis=2)
    at = np.unravel_index(int(np.argmax(lengths)), lengths.shape)
    longest = float(lengths[at])
    if longest == 0.0:
        return one_pixel, one_pixel
    direction = across[at] / longest
    aside = places @ np.array([-direction[1], direction[0]])
    return longest + one_pixel, float(np.ptp(aside)) + one_pixel


def _outline(places: Floats) -> Floats:
    try:
        return np.asarray(places[ConvexHull(places).vertices])
    except (QhullError, ValueError):
        return places  # fewer than three pixels, or all in one line


def _consistency(volume: Volume, lungs: Lungs, region: Region) -> str:
    """Return solid, part-solid or ground glass; partial volume at the edge is left aside."""
    spacing = np.array(volume.spacing_mm)
    margin = np.ceil(RIM_MM[1] / spacing).astype(int)
    start, stop, mask = _grown(volume, region, margin)
    window = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    hu = volume.hu[window]
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    inner = hu[mask & (depth >= 0.5 * float(depth.max()))]
    solid = float((inner > SOLID_HU).mean())
    if solid < GLASS_SHARE:
        return "ground-glass"
    if solid < SOLID_SHARE:
        return "part-solid"
    away = ndimage.distance_transform_edt(~mask, sampling=spacing)
    rim = hu[(away > RIM_MM[0]) & (away <= RIM_MM[1]) & fine(lungs, start, stop)]
    glassy = float(((rim > GLASS_HU[0]) & (rim < GLASS_HU[1])).mean()) if rim.size else 0.0
    return "part-solid" if glassy >= RIM_GLASS_SHARE else "solid"


def _grown(
    volume: Volume, region: Region, margin: npt.NDArray[np.int64]
) -> tuple[tuple[int, int, int], tuple[int, int, int], Mask]:
    """Return a region's bounding box with a margin, and its mask there."""
    voxels = np.argwhere(region.mask) + region.start
    first = np.maximum(voxels.min(axis=0) - margin, 0)
    last = np.minimum(voxels.max(axis=0) + margin + 1, volume.hu.shape)
    mask = np.zeros(tuple(last - first), bool)
    mask[tuple((voxels - first).T)] = True
    return (
        (int(first[0]), int(first[1]), int(first[2])),
        (int(last[0]), int(last[1]), int(last[2])),
        mask,
    )


def _laterality(volume: Volume, lungs: Lungs, center: Floats) -> pb.Laterality.ValueType:
    aside = float(volume.to_patient(center)[0]) - lungs.middle_x
    if abs(aside) < MIDDLE_MM:
        return pb.LATERALITY_UNSPECIFIED
    return pb.LATERALITY_LEFT if aside > 0 else pb.LATERALITY_RIGHT


def _zone(lungs: Lungs, volume: Volume, center: Floats) -> str:
    """Return the third of the lung's height; not determined where an end is cut off."""
    thickness_cm = volume.spacing_mm[0] * lungs.step[0] / 10.0
    area_cm2 = lungs.air[[0, -1]].sum(axis=(1, 2)) * lungs.voxel_ml / thickness_cm
    if area_cm2.max() >= WHOLE_LUNG_CM2:
        return ""
    first, last = lungs.ends()
    height = (float(center[0]) - first) / max(last - first, 1)
    if height < 1 / 3:
        return "lower-zone"
    return "middle-zone" if height < 2 / 3 else "upper-zone"
