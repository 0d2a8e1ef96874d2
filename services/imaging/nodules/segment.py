"""The voxels of one nodule: above half its contrast, inside the lungs, cut off its vessels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from services.imaging.lungs import Lungs, Mask, fine
from services.imaging.nodules.detect import Candidate
from services.imaging.series.volume import Volume

LUNG_HU = -850.0
SOFT_TISSUE_HU = 50.0
"""Brighter seeds (calcium, contrast) count as soft tissue: half of bone would cut the edge."""

THRESHOLD_HU = (-700.0, -400.0)
"""Half of the contrast between seed and lung is kept within these."""

REACH_MM = (15.0, 45.0)
REACH_RADII = 3.0
"""The region is sought within this many radii of the candidate, within `REACH_MM`."""

VESSEL_MM = 2.0
NECK_SHARE = (0.2, 0.45)
"""A bridge of less than `VESSEL_MM` radius is a vessel; in large nodules it may be somewhat
thicker, in small ones it is thinner: within these shares of the nodule's thickest place."""

VOXELS_MIN = 4

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Region:
    """The voxels of a nodule, in the part of the volume that starts at `start`."""

    mask: Mask
    start: tuple[int, int, int]
    thickest_mm: float
    """Radius of the largest ball inside, mm."""

    def contains(self, index: tuple[float, float, float]) -> bool:
        """Tell whether a voxel of the volume belongs to the nodule."""
        place = tuple(round(at) - first for at, first in zip(index, self.start, strict=True))
        inside = all(0 <= at < size for at, size in zip(place, self.mask.shape, strict=True))
        return inside and bool(self.mask[place])


def segment(volume: Volume, lungs: Lungs, candidate: Candidate) -> Region | None:
    """Return the nodule at a candidate, or None where nothing stands out."""
    start, stop = _around(volume, candidate)
    window = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    hu = volume.hu[window].astype(np.float32)
    spacing = np.array(volume.spacing_mm)
    center = np.array(candidate.index) - start
    distance = _distance_mm(hu.shape, center, spacing)
    near = distance <= max(0.5 * candidate.radius_mm, float(spacing.min()))
    seed_hu = min(float(np.median(hu[near])), SOFT_TISSUE_HU)
    threshold = float(np.clip((seed_hu + LUNG_HU) / 2, *THRESHOLD_HU))
    bright = (hu > threshold) & fine(lungs, start, stop)
    region = _component(bright, distance, candidate.radius_mm)
    if region is None or region.sum() < VOXELS_MIN:
        return None
    depth = _depth_mm(region, spacing)
    region, thickest = _cut_necks(region, depth, distance, spacing, candidate.radius_mm)
    return Region(region, start, thickest)


def _around(
    volume: Volume, candidate: Candidate
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    reach_mm = float(np.clip(REACH_RADII * candidate.radius_mm, *REACH_MM))
    starts, stops = [], []
    for at, mm, size in zip(candidate.index, volume.spacing_mm, volume.hu.shape, strict=True):
        starts.append(max(0, int(at - reach_mm / mm)))
        stops.append(min(size, int(at + reach_mm / mm) + 2))
    return (starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2])


def _distance_mm(shape: tuple[int, ...], center: Floats, spacing: Floats) -> Floats:
    """Return the distance of every voxel from the candidate, mm."""
    axes = [
        ((np.arange(size) - at) * mm) ** 2
        for size, at, mm in zip(shape, center, spacing, strict=True)
    ]
    summed = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]
    return np.asarray(np.sqrt(summed))


def _component(bright: Mask, distance: Floats, radius_mm: float) -> Mask | None:
    """Return the connected part whose nearest voxel is nearest the candidate."""
    labels, count = ndimage.label(bright)
    reachable = np.where(bright, distance, np.inf)
    nearest = int(np.argmin(reachable))
    if not count or reachable.flat[nearest] > radius_mm:
        return None
    region = labels == labels.flat[nearest]
    return np.asarray(ndimage.binary_fill_holes(region))


def _depth_mm(region: Mask, spacing: Floats) -> Floats:
    """Return how deep each voxel lies in the region, mm; outside the window is outside."""
    padded = np.pad(region, 1)
    depth = ndimage.distance_transform_edt(padded, sampling=spacing)
    return np.asarray(depth[1:-1, 1:-1, 1:-1])


def _cut_necks(
    region: Mask, depth: Floats, distance: Floats, spacing: Floats, radius_mm: float
) -> tuple[Mask, float]:
    """Open the region by a share of its thickest place near the candidate; keep that part."""
    thickest = float(depth[distance <= max(radius_mm, float(spacing.max()))].max(initial=0.0))
    low, high = (share * thickest for share in NECK_SHARE)
    neck = min(max(VESSEL_MM, low), high)
    if neck <= float(spacing.min()) or thickest <= 0.0:
        return region, thickest
    core, _ = ndimage.label(depth > neck)
    inside = np.where(core > 0, distance, np.inf)
    chosen = core == core.flat[int(np.argmin(inside))]
    back = ndimage.distance_transform_edt(~chosen, sampling=spacing)
    return np.asarray(region & (back <= neck)), thickest
