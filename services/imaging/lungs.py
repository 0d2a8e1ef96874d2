"""The lungs on CT: where they are, whether there are two, and on which side a place lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from services.imaging.series.volume import Volume

GRID_MM = 2.0
"""The mask is made on voxels of about this size."""

AIR_HU = -400
LUNG_MEDIAN_HU = (-960.0, -500.0)
"""Lung holds vessels and tissue: bowel gas and room air are darker, fat is lighter."""

PART_ML_MIN = 30.0
"""Air spaces smaller than this are not lung (sinuses, oesophagus, bowel)."""

PLEURA_MM = 10.0
"""The mask is closed over dents up to twice this wide: nodules on the pleura."""

Mask = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Lungs:
    """The lungs on a coarse grid: voxel i covers `step` voxels of the volume on each axis."""

    inside: Mask
    """Lungs with vessels, and dents of the pleura closed."""

    air: Mask
    """Aerated lung alone."""

    step: tuple[int, int, int]
    voxel_ml: float
    right_ml: float
    left_ml: float
    middle_x: float
    """LPS x of the plane between the lungs, mm."""

    @property
    def volume_ml(self) -> float:
        """Aerated lung, ml."""
        return self.right_ml + self.left_ml

    def ends(self) -> tuple[int, int]:
        """Return first and last slice of the volume that shows lung."""
        shown = np.flatnonzero(self.air.any(axis=(1, 2)))
        return int(shown[0] * self.step[0]), int(shown[-1] * self.step[0] + self.step[0] - 1)


def find(volume: Volume) -> Lungs:
    """Return the lungs of a CT; both volumes are 0 where there are none."""
    step = coarse_step(volume)
    coarse = reduce(volume.hu, step)
    spacing = np.array(volume.spacing_mm) * step
    voxel_ml = float(np.prod(spacing)) / 1000.0
    air = _lung_air(coarse, voxel_ml)
    x = _patient_x(volume, step, air.shape)
    middle = _middle(volume, coarse, x)
    right = float((air & (x < middle)).sum()) * voxel_ml
    left = float((air & (x >= middle)).sum()) * voxel_ml
    inside = _closed(air, spacing) if air.any() else air
    return Lungs(inside, air, step, voxel_ml, right, left, middle)


def coarse_step(volume: Volume) -> tuple[int, int, int]:
    """Return how many voxels of each axis make about `GRID_MM`."""
    z, y, x = (max(1, round(GRID_MM / mm)) for mm in volume.spacing_mm)
    return z, y, x


def reduce(hu: npt.NDArray[np.int16], step: tuple[int, int, int]) -> Grey:
    """Return block means, float32; what does not fill a block at the far end is dropped."""
    z, y, x = (size // by for size, by in zip(hu.shape, step, strict=True))
    cut = hu[: z * step[0], : y * step[1], : x * step[2]]
    if step == (1, 1, 1):
        return cut.astype(np.float32)
    blocks = cut.reshape(z, step[0], y, step[1], x, step[2])
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32))


def _lung_air(coarse: Grey, voxel_ml: float) -> Mask:
    """Return air inside the body that is lung by its size and its CT numbers."""
    air = coarse < AIR_HU
    flat = np.zeros((3, 3, 3), bool)
    flat[1] = ndimage.generate_binary_structure(2, 1)
    labels, _ = ndimage.label(air, flat)  # slice by slice: the table's gap leads nowhere else
    border = np.unique(np.concatenate([labels[:, [0, -1]].ravel(), labels[:, :, [0, -1]].ravel()]))
    outside = np.zeros(int(labels.max()) + 1, bool)
    outside[border] = True
    outside[0] = True
    labels, count = ndimage.label(~outside[labels])
    if not count:
        return np.zeros(coarse.shape, bool)
    index = np.arange(1, count + 1)
    volume_ml = np.bincount(labels.ravel(), minlength=count + 1)[1:] * voxel_ml
    kept = np.zeros(count + 1, bool)
    for number in index[volume_ml >= PART_ML_MIN]:
        median = float(np.median(coarse[labels == number]))
        kept[number] = LUNG_MEDIAN_HU[0] <= median <= LUNG_MEDIAN_HU[1]
    return np.asarray(kept[labels])


def _patient_x(volume: Volume, step: tuple[int, int, int], shape: tuple[int, ...]) -> Grey:
    """Return LPS x of every coarse voxel's centre, broadcast to the grid's shape."""
    z, y, x = (
        (np.arange(size) * by + (by - 1) / 2).reshape([-1 if axis == a else 1 for a in range(3)])
        for axis, (size, by) in enumerate(zip(shape, step, strict=True))
    )
    a = volume.affine[0]
    return np.asarray(np.broadcast_to(a[0] * z + a[1] * y + a[2] * x + a[3], shape), np.float32)


def _middle(volume: Volume, coarse: Grey, x: Grey) -> float:
    """Return LPS x of the body's middle: the mean of the bodily voxels."""
    body = coarse > -300
    return float(x[body].mean()) if body.any() else 0.0


def _closed(air: Mask, spacing: npt.NDArray[np.float64]) -> Mask:
    """Return lungs with vessels and pleural dents filled, by a closing of `PLEURA_MM`."""
    pad = [(0, 0)] + [(int(np.ceil(PLEURA_MM / mm)) + 1,) * 2 for mm in spacing[1:]]
    wide = np.pad(air, pad)
    grown = ndimage.distance_transform_edt(~wide, sampling=spacing) <= PLEURA_MM
    closed = ndimage.distance_transform_edt(grown, sampling=spacing) > PLEURA_MM
    closed |= wide
    inner = closed[:, pad[1][0] : -pad[1][0], pad[2][0] : -pad[2][0]]
    return np.stack([ndimage.binary_fill_holes(plane) for plane in inner])


def fine(lungs: Lungs, start: tuple[int, int, int], stop: tuple[int, int, int]) -> Mask:
    """Return `inside` on the volume's own voxels from `start` to `stop`."""
    shape = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
    return sample(lungs, start, shape, (1, 1, 1))


def sample(
    lungs: Lungs, start: tuple[int, int, int], shape: tuple[int, ...], step: tuple[int, int, int]
) -> Mask:
    """Return `inside` at `shape` places from `start`, every `step` voxels of the volume."""
    indices = [
        np.minimum((np.arange(count) * every + every // 2 + first) // by, size - 1)
        for first, count, every, by, size in zip(
            start, shape, step, lungs.step, lungs.inside.shape, strict=True
        )
    ]
    return np.asarray(lungs.inside[np.ix_(*indices)])
