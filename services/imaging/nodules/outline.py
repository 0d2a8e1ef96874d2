"""The outline network's word on a nodule: patches on each slice in, one region out.

The region that the rule of half contrast found says where to look. The network was taught by
readers' outlines, which lie at the outer edge, so its regions are larger than the rule's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from services.imaging.nodules import patch
from services.imaging.nodules.segment import Region
from services.imaging.series.volume import Volume

MODEL = "lung_nodule_outline"
INPUT, OUTPUT = "patches", "outline"
BEYOND_MM = 5.0
"""Slices this far beyond the rule's region are asked as well."""

WIDEST_MM = 38.0
"""Wider than this a nodule does not fit the patch with what is around it; the rule's stays."""

INSIDE = 0.5
LARGER_MAX, SMALLER_MAX = 4.0, 4.0
VOXELS_MIN = 4

Patches = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Question:
    """The patches of one nodule: one for each slice from `first`, around `places`."""

    patches: Patches
    first: int
    places: tuple[tuple[float, float], ...]


def question(volume: Volume, region: Region) -> Question | None:
    """Return what to ask for a region, or None where it is too wide for the patch."""
    voxels = np.argwhere(region.mask) + region.start
    extent = np.ptp(voxels, axis=0) * volume.spacing_mm
    if max(extent[1:]) > WIDEST_MM:
        return None
    beyond = max(1, round(BEYOND_MM / volume.spacing_mm[0]))
    first = max(int(voxels[:, 0].min()) - beyond, 0)
    last = min(int(voxels[:, 0].max()) + beyond, len(volume.hu) - 1)
    slices = np.unique(voxels[:, 0])
    places = []
    for number in range(first, last + 1):
        nearest = slices[np.argmin(np.abs(slices - number))]
        row, column = voxels[voxels[:, 0] == nearest][:, 1:].mean(axis=0)
        places.append((float(row), float(column)))
    cuts = [
        patch.cut(volume.hu[first + number], place, volume.spacing_mm[1:])
        for number, place in enumerate(places)
    ]
    return Question(np.stack(cuts)[:, None], first, tuple(places))


def ask_all(questions: Sequence[Question]) -> Patches:
    """Return all patches in one batch, (n, 1, 64, 64)."""
    return np.concatenate([question.patches for question in questions])


def refined(volume: Volume, region: Region, asked: Question, outlines: Patches) -> Region:
    """Return the network's region, or the rule's where the two do not speak of one thing."""
    half = int(np.ceil(patch.SIDE / 2 * patch.PIXEL_MM / min(volume.spacing_mm[1:]))) + 1
    middle = np.array(asked.places).mean(axis=0)
    rows, columns = (
        (max(int(at) - half, 0), min(int(at) + half + 1, size))
        for at, size in zip(middle, volume.hu.shape[1:], strict=True)
    )
    shape = (rows[1] - rows[0], columns[1] - columns[0])
    chance = np.stack(
        [
            patch.paste(values, place, volume.spacing_mm[1:], (rows[0], columns[0]), shape)
            for values, place in zip(outlines[:, 0], asked.places, strict=True)
        ]
    )
    start = (asked.first, rows[0], columns[0])
    known = _moved(region, start, chance.shape)
    chosen = _component(chance >= INSIDE, known)
    if chosen is None or not _agree(chosen, region):
        return region
    depth = ndimage.distance_transform_edt(np.pad(chosen, 1), sampling=volume.spacing_mm)
    return Region(chosen, start, float(depth.max()))


def _moved(
    region: Region, start: tuple[int, int, int], shape: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    """Return a region's mask in another part of the volume."""
    moved = np.zeros(shape, bool)
    voxels = np.argwhere(region.mask) + region.start - np.array(start)
    inside = ((voxels >= 0) & (voxels < np.array(shape))).all(axis=1)
    moved[tuple(voxels[inside].T)] = True
    return moved


def _component(
    mask: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_] | None:
    """Return the connected part that shares most with what is known."""
    labels, count = ndimage.label(mask)
    shared = np.bincount(labels[known], minlength=count + 1)
    shared[0] = 0
    if not count or not shared.any():
        return None
    return np.asarray(ndimage.binary_fill_holes(labels == int(np.argmax(shared))))


def _agree(chosen: npt.NDArray[np.bool_], region: Region) -> bool:
    found, ruled = int(chosen.sum()), int(region.mask.sum())
    return found >= VOXELS_MIN and ruled / SMALLER_MAX <= found <= ruled * LARGER_MAX
