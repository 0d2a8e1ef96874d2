"""The extent of a haemorrhage: dense voxels inside the skull, near where the network points.

Fresh blood lies between brain and bone in CT number. Voxels count that are dense after a light
smoothing, inside the skull and not at its inner edge alone, and that hang together with a place
where the map is above its threshold.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from services.imaging.haemorrhage.frame import COLUMNS, ROWS, Frame
from services.imaging.haemorrhage.prepare import Head
from services.imaging.series.volume import Volume

BLOOD_HU = (48.0, 95.0)
ABOVE_USUAL_HU = 12.0
"""Blood is at least this much denser than the brain that lies as deep on the same slice."""

DEPTHS_MM = (0.0, 1.0, 2.0, 3.5, 6.0, 10.0, 200.0)

SMOOTH_MM = 0.9
REACH_MM = 7.0
"""How far beyond the map's own cells the dense voxels of one haemorrhage may go, mm."""

THIN_MM = 0.8
"""Half of what is too thin to be kept."""

EDGE_MM = 1.2
"""Voxels nearer to bone hold bone too; they are left out unless blood lies behind them."""

VOLUME_ML_MIN = 0.2
REGIONS_MAX = 12

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Region:
    """One haemorrhage's voxels."""

    start: tuple[int, int, int]
    """Index of the crop's first voxel: slice, row, column."""

    mask: Mask
    peak: float
    """The map's highest value in it, 0 to 1."""

    types: npt.NDArray[np.float64]
    """(5,): the types' map at its own cells, mean of the highest tenth."""

    by_map: bool
    """True where nothing dense was found: the extent is the map's, not the blood's."""


def regions(volume: Volume, head: Head, maps: npt.NDArray[np.float32], seed: float) -> list[Region]:
    """Return haemorrhages, the largest first.

    maps : (n, 6, rows, columns) of the frame's cells; seed : map value that starts a region
    """
    shown = np.flatnonzero(maps[:, 0].max(axis=(1, 2)) >= seed)
    if not len(shown):
        return []
    near = np.zeros(volume.hu.shape, bool)
    dense = np.zeros(volume.hu.shape, bool)
    wide = _reached(shown, len(volume.hu))
    for number in wide:
        near[number], dense[number] = _plane(volume, head, maps, seed, int(number), shown)
    found = _connected(volume, dense & near, maps, head.frame, seed)
    return found or _by_map(volume, head, maps, seed)


def to_source(
    plane: npt.NDArray[np.float32], frame: Frame, number: int, shape: tuple[int, int], order: int
) -> npt.NDArray[np.float32]:
    """Return a plane of the frame (any size that covers it) on the source's pixels."""
    zoom = np.array([plane.shape[0] / ROWS, plane.shape[1] / COLUMNS])
    inverse = np.linalg.inv(frame.matrix())
    middle = np.array([(ROWS - 1) / 2, (COLUMNS - 1) / 2])
    offset = middle - inverse @ frame.centers[number]
    matrix = inverse * zoom[:, None]
    shift = offset * zoom + (zoom - 1) / 2
    return np.asarray(
        ndimage.affine_transform(plane, matrix, shift, output_shape=shape, order=order, cval=0.0)
    )


def _reached(shown: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Return the slices of the map and their neighbours."""
    return np.unique(np.clip(np.concatenate([shown - 1, shown, shown + 1]), 0, count - 1))


def _plane(
    volume: Volume,
    head: Head,
    maps: npt.NDArray[np.float32],
    seed: float,
    number: int,
    shown: npt.NDArray[np.int64],
) -> tuple[Mask, Mask]:
    """Return where blood may lie on a slice, and where voxels are dense."""
    shape = (volume.hu.shape[1], volume.hu.shape[2])
    pixel_mm = float(np.mean(volume.spacing_mm[1:]))
    beside = shown[np.abs(shown - number) <= 1]
    heat = maps[beside, 0].max(axis=0) >= 0.5 * seed
    placed = to_source(heat.astype(np.float32), head.frame, number, shape, 0) > 0.5
    near = (
        ndimage.distance_transform_edt(~placed) * pixel_mm <= REACH_MM if placed.any() else placed
    )
    inside = to_source(head.inside[number].astype(np.float32), head.frame, number, shape, 1) > 0.5
    hu = volume.hu[number].astype(np.float32)
    bone = hu >= BLOOD_HU[1]
    weight = ndimage.gaussian_filter((inside & ~bone).astype(np.float32), SMOOTH_MM / pixel_mm)
    held = np.where(inside & ~bone, hu, 0.0)
    smooth = ndimage.gaussian_filter(held, SMOOTH_MM / pixel_mm) / np.maximum(weight, 1e-3)
    soft = inside & ~bone
    depth = ndimage.distance_transform_edt(soft) * pixel_mm
    low = np.maximum(BLOOD_HU[0], _usual(smooth, soft, depth) + ABOVE_USUAL_HU)
    dense = soft & (smooth >= low) & (smooth <= BLOOD_HU[1])
    return near & inside, _off_the_bone(dense, depth, pixel_mm)


def _usual(smooth: npt.NDArray[np.float32], soft: Mask, depth: Floats) -> Floats:
    """Return for each pixel the median CT number of its slice as deep under the skull as it is.

    Beam hardening and bone's blur make the brain's edge denser than its middle on every scanner;
    blood must stand out from what is usual there.
    """
    usual = np.zeros(smooth.shape)
    for shallow, deep in itertools.pairwise(DEPTHS_MM):
        ring = soft & (depth > shallow) & (depth <= deep)
        if ring.any():
            usual[ring] = float(np.median(smooth[ring]))
    return usual


def _off_the_bone(dense: Mask, depth: Floats, pixel_mm: float) -> Mask:
    """Return dense voxels without the thin rim that bone's blur makes; blood behind it keeps it."""
    core = dense & (depth > EDGE_MM)
    core = ndimage.binary_opening(core, iterations=max(1, round(THIN_MM / pixel_mm)))
    reach = max(1, round((EDGE_MM + THIN_MM) / pixel_mm))
    grown = ndimage.binary_dilation(core, iterations=reach)
    return np.asarray(core | (grown & dense))


def _connected(
    volume: Volume, blood: Mask, maps: npt.NDArray[np.float32], frame: Frame, seed: float
) -> list[Region]:
    labels, count = ndimage.label(blood, np.ones((3, 3, 3)))
    if not count:
        return []
    pixels_mm2 = volume.spacing_mm[1] * volume.spacing_mm[2]
    per_slice = np.stack([np.bincount(plane.ravel(), minlength=count + 1) for plane in labels])
    volumes = (per_slice * volume.slice_mm()[:, None]).sum(axis=0) * pixels_mm2 / 1000.0
    volumes[0] = 0.0
    boxes = ndimage.find_objects(labels)
    found = []
    for number in np.argsort(-volumes)[:REGIONS_MAX]:
        if volumes[number] < VOLUME_ML_MIN:
            break
        box = boxes[int(number) - 1]
        mask = labels[box] == number
        start = (int(box[0].start), int(box[1].start), int(box[2].start))
        peak, types = _map_at(mask, start, maps, frame)
        if peak >= seed:
            found.append(Region(start, mask, peak, types, False))
    return found


def _map_at(
    mask: Mask, start: tuple[int, int, int], maps: npt.NDArray[np.float32], frame: Frame
) -> tuple[float, npt.NDArray[np.float64]]:
    """Return the map's peak over a region, and the types' values there."""
    values = []
    for depth in range(len(mask)):
        places = np.argwhere(mask[depth]) + np.array(start[1:])
        if not len(places):
            continue
        number = start[0] + depth
        values.append(maps[number][:, *cells(places, frame, number, maps.shape[2:])])
    stacked = np.concatenate(values, axis=1).astype(np.float64)
    top = max(1, stacked.shape[1] // 10)
    highest = np.sort(stacked[1:], axis=1)[:, -top:].mean(axis=1)
    return float(stacked[0].max()), highest


def cells(
    places: npt.NDArray[np.int64], frame: Frame, number: int, shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the map's rows and columns of source pixels (k, 2) on one slice."""
    inverse = np.linalg.inv(frame.matrix())
    middle = np.array([(ROWS - 1) / 2, (COLUMNS - 1) / 2])
    at = (places - frame.centers[number]) @ inverse.T + middle
    rows = np.clip((at[:, 0] + 0.5) * shape[0] / ROWS, 0, shape[0] - 1).astype(np.int64)
    columns = np.clip((at[:, 1] + 0.5) * shape[1] / COLUMNS, 0, shape[1] - 1).astype(np.int64)
    return rows, columns


def _by_map(volume: Volume, head: Head, maps: npt.NDArray[np.float32], seed: float) -> list[Region]:
    """Return the places of the map itself where no dense voxels explain it."""
    shape = (volume.hu.shape[1], volume.hu.shape[2])
    at = np.unravel_index(int(np.argmax(maps[:, 0])), maps[:, 0].shape)
    number = int(at[0])
    labels, _ = ndimage.label(maps[number, 0] >= 0.5 * seed)
    spot = (labels == labels[at[1], at[2]]).astype(np.float32)
    plane = to_source(spot, head.frame, number, shape, 0) > 0.5
    if not plane.any():
        return []
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    start = (number, int(rows[0]), int(columns[0]))
    mask = plane[None, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    types = maps[number, 1:, at[1], at[2]].astype(np.float64)
    return [Region(start, mask, float(maps[number, 0].max()), types, True)]
