"""A slide as fields of 0.45 mm at half a micrometre per pixel, and what models say of one.

Neighbouring fields overlap by a margin, and a nucleus counts where its centroid lies, so it
counts once. Only fields with tissue are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.imaging.pathology import instances, stain
from services.imaging.pathology.instances import Cells
from services.imaging.pathology.slides.refusals import TooCoarse
from services.imaging.pathology.slides.slide import Slide
from services.imaging.pathology.stain import Stains
from services.imaging.pathology.tissue import Overview
from services.imaging.reading import Ask

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

NUCLEI = "pathology_nuclei"
NUCLEI_INPUT, NUCLEI_OUTPUT = "tiles", "maps"

MPP = 0.5
"""Micrometres per pixel that the networks are used at."""

MPP_MAX = 0.75
"""A coarser slide shows too little of a nucleus."""

CELL = 224
"""Side of one cell of the heat map, pixels: what the tissue network sees."""

CELLS = 4
"""Cells along a field's side."""

FIELD = CELL * CELLS
MARGIN = 32
TILE = 256
OVERLAP = 80
"""Pixels that neighbouring tiles of the nuclei network share."""

TISSUE_SHARE_MIN = 0.05
"""Cells with less tissue are not judged, fields without such a cell not read."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its column and row in the grid, and the share of tissue of its cells."""

    column: int
    row: int
    tissue: Floats
    """(CELLS, CELLS), 0 to 1."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How a slide is cut into fields."""

    scale: float
    """Pixels of level 0 for one working pixel."""

    columns: int
    rows: int
    fields: tuple[Field, ...]


def grid(slide: Slide, seen: Overview) -> Grid:
    """Return the fields with tissue, row by row.

    Raises
    ------
    TooCoarse
        The finest level has more than `MPP_MAX` micrometres per pixel.
    """
    if slide.mpp > MPP_MAX:
        raise TooCoarse("the slide is too coarse for nuclei", mpp=slide.mpp, limit=MPP_MAX)
    scale = MPP / slide.mpp
    side = FIELD * scale
    base = slide.levels[0]
    columns, rows = -int(-base.width_px // side), -int(-base.height_px // side)
    share = _cell_shares(seen, columns * CELLS, rows * CELLS)
    found = []
    for row in range(rows):
        for column in range(columns):
            part = share[row * CELLS : (row + 1) * CELLS, column * CELLS : (column + 1) * CELLS]
            if (part >= TISSUE_SHARE_MIN).any():
                found.append(Field(column, row, part))
    return Grid(scale, columns, rows, tuple(found))


def _cell_shares(seen: Overview, columns: int, rows: int) -> Floats:
    """Return the share of tissue of every cell, (rows, columns), from sums over the overview."""
    sums = np.zeros((seen.tissue.shape[0] + 1, seen.tissue.shape[1] + 1), np.float64)
    sums[1:, 1:] = seen.tissue.cumsum(0).cumsum(1)
    step = CELL * MPP / seen.mpp
    ys, xs = (
        np.clip(np.rint(np.arange(count + 1) * step), 0, size).astype(np.int64)
        for count, size in ((rows, seen.tissue.shape[0]), (columns, seen.tissue.shape[1]))
    )
    corner = sums[ys][:, xs]
    total = corner[1:, 1:] - corner[:-1, 1:] - corner[1:, :-1] + corner[:-1, :-1]
    return np.asarray(np.clip(total / max(step * step, 1.0), 0.0, 1.0), np.float32)


def read(slide: Slide, scale: float, field: Field, own: Stains | None = None) -> Pixels:
    """Return a field with its margin at the working resolution, white beyond the slide.

    Parameters
    ----------
    own : the slide's stains, to be replaced by the reference's; None: colours stay
    """
    level = slide.finest_for(MPP)
    step = scale / slide.levels[level].downsample
    side = FIELD + 2 * MARGIN
    left = round((field.column * FIELD - MARGIN) * step)
    top = round((field.row * FIELD - MARGIN) * step)
    reach = round(side * step)
    pixels = slide.region(level, left, top, reach, reach)
    if reach != side:
        image = Image.fromarray(pixels)
        if reach > 2 * side:
            image = image.reduce(reach // side)
        way = Image.Resampling.BOX if reach > side else Image.Resampling.BICUBIC
        pixels = np.asarray(image.resize((side, side), way))
    return stain.normalised(pixels, own) if own else pixels


def maps(pixels: Pixels, ask: Ask) -> tuple[Floats, Floats]:
    """Return probability of nucleus and depth of a field with its margin, (rows, columns) each.

    Tiles overlap; where they do, the one whose edge is farther away counts more.
    """
    places = list(places_of(pixels.shape[0], pixels.shape[1]))
    tiles = np.stack([pixels[y : y + TILE, x : x + TILE] for y, x in places])
    tensor = np.ascontiguousarray(tiles.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
    found = ask(NUCLEI, {NUCLEI_INPUT: tensor})[NUCLEI_OUTPUT]
    return blended(found, places, pixels.shape[0], pixels.shape[1])


def places_of(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Yield row and column of every tile's corner; the last ones end with the picture."""
    step = TILE - OVERLAP
    for y in _along(rows, step):
        for x in _along(columns, step):
            yield y, x


def _along(length: int, step: int) -> list[int]:
    starts = list(range(0, max(length - TILE, 0) + 1, step))
    if starts[-1] + TILE < length:
        starts.append(length - TILE)
    return starts


def blended(
    found: Floats, places: list[tuple[int, int]], rows: int, columns: int
) -> tuple[Floats, Floats]:
    """Return tiles' maps, (n, 2, TILE, TILE), as one picture's."""
    ramp = np.minimum(np.arange(1, TILE + 1), np.arange(TILE, 0, -1)).astype(np.float32)
    ramp = np.minimum(ramp, OVERLAP)
    weight = np.minimum.outer(ramp, ramp)
    total = np.zeros((2, rows, columns), np.float32)
    weights = np.zeros((rows, columns), np.float32)
    for tile, (y, x) in zip(found, places, strict=True):
        total[:, y : y + TILE, x : x + TILE] += tile * weight
        weights[y : y + TILE, x : x + TILE] += weight
    total /= weights
    return total[0], total[1]


def nuclei(pixels: Pixels, ask: Ask, card: Mapping[str, Any]) -> Cells:
    """Return the nuclei of a field whose centroid lies inside its margin.

    Places count from the field's corner without the margin.
    """
    probability, depth = maps(pixels, ask)
    point = card.get("operating_point", {})
    labels = instances.separate(
        probability,
        depth,
        float(point.get("probability", instances.THRESHOLD)),
        float(point.get("seed_depth", instances.SEED_DEPTH)),
    )
    found = instances.cells(labels, stain.haematoxylin(pixels))
    place = found.centroids - MARGIN
    own = ((place >= 0) & (place < FIELD)).all(axis=1)
    return Cells(
        place[own],
        found.areas_px[own],
        found.roundness[own],
        found.darkness[own],
        found.outlines[own] - MARGIN,
    )
