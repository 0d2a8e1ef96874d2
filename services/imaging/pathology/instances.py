"""From the network's two maps to single nuclei, their figures and outlines. Pure.

Everything is at the working resolution, half a micrometre per pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

THRESHOLD = 0.5
"""Probability from which a pixel is nucleus, where the card states none."""

SEED_DEPTH = 0.55
"""Depth from which a pixel belongs to a nucleus's middle, where the card states none."""

SEED_PX_MIN = 4
AREA_PX_MIN = 24
"""About 6 um2: smaller specks are no nuclei."""

RAYS = 16
REACH_PX = 48
"""Outlines are looked for this far from the centroid."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Nuclei of one field, one row each."""

    centroids: Floats
    """(n, 2): column, row, pixels of the field."""

    areas_px: Floats
    """(n,)."""

    roundness: Floats
    """(n,): short over long axis of the ellipse with the same second moments, 0 to 1."""

    darkness: Floats
    """(n,): mean haematoxylin."""

    outlines: Floats
    """(n, RAYS, 2): column, row."""


def separate(
    probability: Floats, depth: Floats, threshold: float, seed_depth: float = SEED_DEPTH
) -> Labels:
    """Return nuclei, (rows, columns): 0 is none, others from 1 without gaps."""
    mask = filled(probability >= threshold)
    middle, count = ndimage.label(mask & (depth >= seed_depth))
    if count:
        sizes = np.bincount(middle.ravel())
        middle[sizes[middle] < SEED_PX_MIN] = 0
    found = shared(middle.astype(np.int32), mask)
    sizes = np.bincount(found.ravel())
    keep = sizes >= AREA_PX_MIN
    keep[0] = False
    names = np.cumsum(keep) * keep
    return np.asarray(names[found], np.int32)


def filled(mask: Mask) -> Mask:
    """Return the mask without holes: with the background that the picture's edge does not reach."""
    holes, count = ndimage.label(~mask)
    edge = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])
    open_ones = np.zeros(count + 1, bool)
    open_ones[edge] = True
    open_ones[0] = False
    return np.asarray(~open_ones[holes])


def shared(seeds: Labels, mask: Mask) -> Labels:
    """Return the mask shared out among the seeds: each pixel to the nearest of its component.

    A component without a seed is one nucleus.
    """
    components, count = ndimage.label(mask)
    if not count:
        return np.zeros(mask.shape, np.int32)
    seeds = np.where(mask, seeds, 0)
    largest = _largest_seed(seeds, components, count)
    bare = (largest[components] == 0) & mask
    seeds = np.where(bare, components + int(seeds.max()), seeds)
    largest = _largest_seed(seeds, components, count)
    home = np.zeros(int(seeds.max()) + 1, np.int32)
    home[seeds[seeds > 0]] = components[seeds > 0]
    _, (rows, columns) = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    nearest = seeds[rows, columns]
    astray = home[nearest] != components
    found = np.where(astray, largest[components], nearest)
    return np.asarray(np.where(mask, found, 0), np.int32)


def _largest_seed(seeds: Labels, components: Labels, count: int) -> Labels:
    """Return the largest seed of every component, 0 for one without."""
    base = int(seeds.max()) + 1
    held = seeds > 0
    names, sizes = np.unique(
        components[held].astype(np.int64) * base + seeds[held], return_counts=True
    )
    order = np.argsort(sizes, kind="stable")
    largest = np.zeros(count + 1, np.int32)
    largest[names[order] // base] = names[order] % base
    return largest


def cells(labels: Labels, stained: Floats) -> Cells:
    """Return the figures of nuclei, from labels and the amount of haematoxylin."""
    count = int(labels.max())
    if not count:
        none = np.zeros((0,), np.float32)
        return Cells(none.reshape(0, 2), none, none, none, none.reshape(0, RAYS, 2))
    rows, columns = np.nonzero(labels)
    names = labels[rows, columns] - 1
    areas = np.bincount(names, minlength=count).astype(np.float64)
    y, x = (np.bincount(names, at, count) / areas for at in (rows, columns))
    dy, dx = rows - y[names], columns - x[names]
    yy, xx, xy = (np.bincount(names, part, count) / areas for part in (dy * dy, dx * dx, dx * dy))
    root = np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    middle = (yy + xx) / 2
    short, long = np.maximum(middle - root, 0) + 1 / 12, middle + root + 1 / 12
    darkness = np.bincount(names, stained[rows, columns], count) / areas
    centroids = np.stack([x, y], 1).astype(np.float32)
    return Cells(
        centroids,
        areas.astype(np.float32),
        np.sqrt(short / long).astype(np.float32),
        darkness.astype(np.float32),
        outlines(labels, centroids),
    )


def outlines(labels: Labels, centroids: Floats) -> Floats:
    """Return for each nucleus the last of its pixels along `RAYS` rays from its centroid."""
    angles = np.arange(RAYS) * (2 * np.pi / RAYS)
    ray = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    reach = np.full((len(centroids), RAYS), 0.5, np.float32)
    own = np.arange(1, len(centroids) + 1)[:, None]
    rows_max, columns_max = labels.shape[0] - 1, labels.shape[1] - 1
    for radius in range(1, REACH_PX):
        at = np.rint(centroids[:, None] + ray * radius).astype(np.int64)
        inside = (at >= 0).all(2) & (at[..., 0] <= columns_max) & (at[..., 1] <= rows_max)
        found = labels[at[..., 1].clip(0, rows_max), at[..., 0].clip(0, columns_max)]
        hit = inside & (found == own)
        if not hit.any() and radius > 4:
            break
        reach[hit] = radius + 0.5
    return np.asarray(centroids[:, None] + ray * reach[..., None], np.float32)
