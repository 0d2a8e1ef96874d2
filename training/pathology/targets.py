"""What the network learns: the mask, and how deep inside its nucleus a pixel lies.

NuInsSeg here has masks without instances, so touching nuclei are first parted where the mask
has a neck. Depth is 0 at a nucleus's edge and 1 at its deepest point.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from services.imaging.pathology.instances import shared

NECK = 0.7
"""Parts of a mask are two nuclei when the way between them is narrower than this share."""

REACH = 2.0
"""The depth of the surroundings is looked for within this many radii."""

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]


def parted(mask: Mask) -> Labels:
    """Return instances, (rows, columns), from a mask without them."""
    distance = ndimage.distance_transform_edt(mask).astype(np.float32)
    smooth = ndimage.gaussian_filter(distance, 1.0)
    components, count = ndimage.label(mask)
    if not count:
        return np.zeros(mask.shape, np.int32)
    deepest = np.asarray(ndimage.maximum(distance, components, np.arange(count + 1)))
    radius = max(2, int(np.median(deepest[1:])))
    around = ndimage.maximum_filter(smooth, size=2 * int(REACH * radius) + 1)
    around = np.minimum(around, deepest[components])
    seeds, _ = ndimage.label((smooth > NECK * around) & mask)
    return shared(seeds.astype(np.int32), mask)


def depth(instances: Labels) -> npt.NDArray[np.float32]:
    """Return how deep inside its instance every pixel lies, 0 to 1."""
    lowest = ndimage.minimum_filter(instances, 3)
    highest = ndimage.maximum_filter(instances, 3)
    inner = (instances > 0) & (lowest == highest)
    distance = ndimage.distance_transform_edt(inner).astype(np.float32)
    count = int(instances.max())
    deepest = np.asarray(ndimage.maximum(distance, instances, np.arange(count + 1)))
    scale = np.maximum(deepest[instances], 1.0)
    return np.asarray(np.where(instances > 0, distance / scale, 0.0), np.float32)
