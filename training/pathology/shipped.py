"""What the shipped nuclei model says, through the same code that the service runs.

A tile of NuInsSeg is at about a quarter of a micrometre per pixel and is halved; a tile of
dsb2018_coloured does not state its scale and is taken as it is: nuclei are as large in it
(median 19 pixels) as in a halved tile of NuInsSeg (median 18).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from services.imaging.pathology import fields, instances, stain
from training.pathology import export, measures
from training.pathology.sets import Nuclei

Array = np.ndarray


class Asked:
    """Asks the exported models, batch by batch."""

    def __init__(self, models: Path) -> None:
        self._models = models
        self._sessions: dict[str, Any] = {}

    def __call__(self, model: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the model's outputs."""
        if model not in self._sessions:
            self._sessions[model] = export.session(self._models, model)
        session = self._sessions[model]
        names = [one.name for one in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))


@dataclass
class Maps:
    """The network's maps of tiles at the working resolution, and the truth there."""

    probability: list[Array]
    depth: list[Array]
    factor: int
    """Pixels of the set's tile for one of the maps, along a side."""


def maps(pixels: Array, factor: int, asked: Asked, *, normalise: bool = False) -> Maps:
    """Return maps of tiles, (n, rows, columns, 3), with each tile's own stains replaced or not."""
    found = Maps([], [], factor)
    for tile in pixels:
        small = np.asarray(Image.fromarray(tile).reduce(factor)) if factor > 1 else tile
        own = stain.stains_of(small.reshape(-1, 3)) if normalise else None
        small = stain.normalised(small, own) if own else small
        probability, depth = fields.maps(small, asked)
        found.probability.append(probability)
        found.depth.append(depth)
    return found


def enlarged(one: Array, factor: int) -> Array:
    """Return a map at the tile's own size."""
    if factor == 1:
        return one
    size = (one.shape[1] * factor, one.shape[0] * factor)
    return np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR))


def dices(found: Maps, truth: Array, threshold: float) -> Array:
    """Return each tile's Dice at the tile's own size, of what the service would call nuclei."""
    scores = []
    for probability, wanted in zip(found.probability, truth, strict=True):
        mask = enlarged(probability, found.factor) >= threshold
        scores.append(measures.dice(cleaned(mask, found.factor), wanted > 0))
    return np.array(scores)


def cleaned(mask: Array, factor: int) -> Array:
    """Return the mask as the service leaves it: holes filled, specks gone."""
    labels, count = ndimage.label(ndimage.binary_fill_holes(mask))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    keep = sizes >= instances.AREA_PX_MIN * factor**2
    keep[0] = False
    return np.asarray(keep[labels])


def instance_scores(
    found: Maps, truth: Array, threshold: float, seed_depth: float
) -> dict[str, Array]:
    """Return AJI, PQ and counts of each tile."""
    rows = []
    for probability, depth, wanted in zip(found.probability, found.depth, truth, strict=True):
        labels = instances.separate(probability, depth, threshold, seed_depth)
        if found.factor > 1:
            labels = labels.repeat(found.factor, 0).repeat(found.factor, 1)
        counts = int(labels.max()), len(np.unique(wanted[wanted > 0]))
        rows.append((measures.aji(labels, wanted), measures.pq(labels, wanted), *counts))
    table = np.array(rows, np.float64)
    return dict(zip(("aji", "pq", "found", "wanted"), table.T, strict=True))


def as_instances(nuclei: Nuclei, rows: Array) -> Array:
    """Return the components of binary masks, where a set has no instances."""
    return np.stack([ndimage.label(mask)[0].astype(np.int32) for mask in nuclei.instances[rows]])


def otsu_baseline(pixels: Array, factor: int) -> list[Array]:
    """Return haematoxylin above Otsu's threshold, as maps of 0 and 1."""
    found = []
    for tile in pixels:
        small = np.asarray(Image.fromarray(tile).reduce(factor)) if factor > 1 else tile
        amount = ndimage.gaussian_filter(stain.haematoxylin(small), 1.0)
        found.append((amount > _otsu(amount)).astype(np.float32))
    return found


def _otsu(values: Array) -> float:
    """Return the threshold with the largest variance between classes (Otsu 1979)."""
    counts, edges = np.histogram(values, 256)
    middle = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(middle[int(np.nanargmax(between))])
