"""The space inside the skull, on slices in the head's frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from services.imaging.haemorrhage.frame import BONE

AREA_MIN = 0.01
"""A slice with less brain than this share of the picture has none."""

Grey = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def inside(planes: Grey) -> Mask:
    """Return the space inside the skull, bone left out, of slices (n, rows, columns), 0 to 1."""
    return np.stack([_inside(plane) for plane in planes])


def _inside(plane: Grey) -> Mask:
    bone = plane >= BONE
    halved = bone[: bone.shape[0] // 2 * 2, : bone.shape[1] // 2 * 2]
    halved = halved.reshape(bone.shape[0] // 2, 2, bone.shape[1] // 2, 2).mean(axis=(1, 3)) >= 0.25
    wide = np.pad(halved, 6)
    closed = ndimage.binary_closing(wide, iterations=5)[6:-6, 6:-6] | halved
    space = ndimage.binary_fill_holes(closed) & ~closed
    space = ndimage.binary_opening(space, iterations=2)
    labels, count = ndimage.label(space)
    if not count:
        return np.zeros(plane.shape, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = sizes >= max(0.1 * sizes.max(), AREA_MIN * space.size)
    grown = ndimage.binary_dilation(kept[labels], iterations=5)
    full = np.zeros(plane.shape, bool)
    full[: grown.shape[0] * 2, : grown.shape[1] * 2] = grown.repeat(2, 0).repeat(2, 1)
    held = ndimage.binary_fill_holes(closed).repeat(2, 0).repeat(2, 1)
    full[: held.shape[0], : held.shape[1]] &= held
    soft = full & ~bone & (plane > 0.02)
    return np.asarray(ndimage.binary_opening(soft, iterations=1))
