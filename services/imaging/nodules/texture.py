"""What a nodule is made of: its solid part, calcium and fat.

Calcium: above 200 HU, a rule of thumb for thin slices without contrast. Benign are diffuse and
central calcium (Erasmus et al., RadioGraphics 2000;20:43). Fat: -120 to -40 HU inside, as in
hamartoma (Siegelman et al., Radiology 1986;160:313).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from services.imaging.nodules.characterise import axes_mm
from services.imaging.nodules.segment import Region
from services.imaging.series.volume import Volume

SOLID_HU = -300.0
VESSEL_MM = 0.8
"""Solid strands thinner than twice this, in ground glass, are vessels."""

CALCIUM_HU = 200.0
CALCIUM_MM3 = 4.0
DIFFUSE_SHARE, CENTRAL_SHARE, CENTRAL_WITHIN = 0.5, 0.08, 0.3
FAT_HU = (-120.0, -40.0)
FAT_SHARE, FAT_MM3 = 0.15, 8.0
EDGE_MM = 2.0
"""Partial volume at the edge makes fat's density of lung and tissue."""

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SolidPart:
    """Axes on the slice where the solid part is largest, mm; 0 where there is none."""

    long_mm: float
    short_mm: float


@dataclass(frozen=True, slots=True)
class Calcium:
    """Calcium and how it lies: "none", "diffuse", "central", "eccentric"."""

    pattern: str
    share: float

    @property
    def benign(self) -> bool:
        """Tell whether the pattern is one of benign nodules."""
        return self.pattern in ("diffuse", "central")


def solid_part(volume: Volume, region: Region) -> SolidPart:
    """Return the size of what is solid in a nodule."""
    hu = _hu(volume, region)
    solid = region.mask & (ndimage.gaussian_filter(hu, (0.0, 0.6, 0.6)) > SOLID_HU)
    spacing = volume.spacing_mm
    depth = _depth_mm(solid, spacing)
    core = depth > VESSEL_MM
    if not core.any():
        core = solid
    labels, count = ndimage.label(core)
    if not count:
        return SolidPart(0.0, 0.0)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    chosen = labels == int(np.argmax(sizes))
    back = ndimage.distance_transform_edt(~chosen, sampling=spacing) <= VESSEL_MM + 1e-6
    part = solid & back
    widest = int(np.argmax(part.sum(axis=(1, 2))))
    long_mm, short_mm = axes_mm(np.argwhere(part[widest]), spacing[1:])
    return SolidPart(long_mm, short_mm)


def calcium(volume: Volume, region: Region) -> Calcium:
    """Return whether and how a nodule is calcified."""
    hu = _hu(volume, region)
    bright = region.mask & (hu > CALCIUM_HU)
    bright = _connected(bright, CALCIUM_MM3 / volume.voxel_mm3)
    depth = _depth_mm(region.mask, volume.spacing_mm)
    inner = depth > min(EDGE_MM / 2, 0.5 * float(depth.max()))
    share = float(bright[inner].mean()) if inner.any() else 0.0
    if not bright.any():
        return Calcium("none", 0.0)
    if share >= DIFFUSE_SHARE:
        return Calcium("diffuse", share)
    middle, middle_of = (
        np.argwhere(mask).mean(axis=0) * volume.spacing_mm for mask in (region.mask, bright)
    )
    away = float(np.linalg.norm(middle - middle_of)) / max(float(depth.max()), 1e-6)
    central = share >= CENTRAL_SHARE and away <= CENTRAL_WITHIN
    return Calcium("central" if central else "eccentric", share)


def fat(volume: Volume, region: Region) -> bool:
    """Tell whether a nodule holds fat; of solid nodules alone.

    Partial volume and soft edges have fat's density too, so only voxels count that lie
    `EDGE_MM` inside and that denser tissue encloses on their slice. Fat at the edge is missed:
    better than a benign call for a blurred edge.
    """
    hu = ndimage.uniform_filter(_hu(volume, region), (1, 3, 3))
    inner = _depth_mm(region.mask, volume.spacing_mm) > EDGE_MM
    tissue = region.mask & (hu >= FAT_HU[1])
    enclosed = np.stack([ndimage.binary_fill_holes(plane) for plane in tissue]) & ~tissue
    fatty = _connected(inner & enclosed & (hu > FAT_HU[0]), FAT_MM3 / volume.voxel_mm3)
    return bool(fatty.any() and fatty.sum() >= FAT_SHARE * inner.sum())


def _hu(volume: Volume, region: Region) -> Floats:
    window = tuple(
        slice(first, first + size)
        for first, size in zip(region.start, region.mask.shape, strict=True)
    )
    return np.asarray(volume.hu[window], np.float64)


def _depth_mm(mask: Mask, spacing: tuple[float, float, float]) -> Floats:
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)
    return np.asarray(depth[1:-1, 1:-1, 1:-1])


def _connected(mask: Mask, voxels: float) -> Mask:
    """Return the connected parts of at least so many voxels."""
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray((sizes >= max(voxels, 2))[labels])
