"""Where a nodule lies in the lungs: distance to their surface, and its place as shares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from services.imaging.lungs import Lungs
from services.imaging.nodules.segment import Region
from services.imaging.series.volume import Volume

AROUND_MM = 45.0
"""Distances are measured up to this; what is farther is not said."""

Floats = npt.NDArray[np.float64]


def pleura_mm(volume: Volume, lungs: Lungs, region: Region) -> float:
    """Return the distance from a nodule to the nearest surface of the lung, mm; 0: it touches.

    The surface is that of the closed lung mask (2 mm voxels): chest wall, mediastinum and
    diaphragm alike. Fissures are not seen.
    """
    spacing = np.array(volume.spacing_mm) * lungs.step
    voxels = np.unique((np.argwhere(region.mask) + region.start) // lungs.step, axis=0)
    voxels = np.minimum(voxels, np.array(lungs.inside.shape) - 1)
    margin = np.ceil(AROUND_MM / spacing).astype(int)
    low = np.maximum(voxels.min(axis=0) - margin, 0)
    high = np.minimum(voxels.max(axis=0) + margin + 1, lungs.inside.shape)
    inside = lungs.inside[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    if inside.all():
        return AROUND_MM
    depth = ndimage.distance_transform_edt(inside, sampling=spacing)
    nearest = float(depth[tuple((voxels - low).T)].min())
    # A voxel beside the surface has the depth of one voxel.
    return float(np.clip(nearest - float(spacing[1:].mean()), 0.0, AROUND_MM))


def box_mm(volume: Volume, lungs: Lungs) -> tuple[Floats, Floats]:
    """Return the corner and the size of the box around both lungs, LPS mm, (3,) each."""
    corners = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        shown = np.flatnonzero(lungs.inside.any(axis=others))
        corners.append((shown[0] * lungs.step[axis], (shown[-1] + 1) * lungs.step[axis] - 1))
    ends = np.array(
        [
            volume.to_patient(np.array([z, y, x], float))
            for z in corners[0]
            for y in corners[1]
            for x in corners[2]
        ]
    )
    return ends.min(axis=0), np.ptp(ends, axis=0)


def shares(
    volume: Volume, lungs: Lungs, center_mm: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return a place as shares of the lungs' box: from the right, from the front, from below."""
    corner, size = box_mm(volume, lungs)
    x, y, z = (np.array(center_mm) - corner) / np.maximum(size, 1.0)
    return float(x), float(y), float(z)
