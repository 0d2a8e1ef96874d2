"""What was found in fields so far: added up, kept in a checkpoint, and found again there.

A batch of fields is one blob, so a killed run goes on behind its last whole batch and never
asks a model twice for the same field.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.imaging.pathology.fields import CELL, CELLS, MPP, Field, Grid
from services.imaging.pathology.instances import RAYS, Cells
from services.imaging.pathology.lung import KINDS

Floats = npt.NDArray[np.float32]

OUTLINED_MAX = 300_000
"""Nuclei whose outlines are kept; of a slide with more, centroids alone."""

NUCLEI_MAX = 5_000_000
NAMES = ("places", "areas", "roundness", "darkness", "outlines", "kinds")


@dataclass(frozen=True, slots=True)
class Batch:
    """What some fields hold, one row per nucleus; all places in pixels of level 0."""

    places: Floats
    """(n, 2): column, row."""

    areas: Floats
    """(n,), um2."""

    roundness: Floats
    darkness: Floats

    outlines: npt.NDArray[np.float16]
    """(n, RAYS, 2), from the centroid."""

    kinds: Floats
    """(fields, CELLS, CELLS, 3); NaN where not judged."""


def batch(found: Sequence[tuple[Field, Cells, Floats]], scale: float) -> Batch:
    """Return fields' nuclei in pixels of the slide.

    Parameters
    ----------
    scale : pixels of level 0 for one working pixel
    """
    side = CELL * CELLS
    corners = [np.array([field.column, field.row], np.float32) * side for field, _, _ in found]
    cells = [one for _, one, _ in found]
    offsets = [one.outlines - one.centroids[:, None] for one in cells]
    places = [one.centroids + corner for one, corner in zip(cells, corners, strict=True)]
    return Batch(
        np.concatenate(places).astype(np.float32) * np.float32(scale),
        np.concatenate([one.areas_px for one in cells]) * np.float32(MPP**2),
        np.concatenate([one.roundness for one in cells]),
        np.concatenate([one.darkness for one in cells]),
        (np.concatenate(offsets) * scale).astype(np.float16),
        np.stack([kinds for _, _, kinds in found]),
    )


def packed(found: Batch) -> bytes:
    """Return a batch as bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: getattr(found, name) for name in NAMES})
    return buffer.getvalue()


def unpacked(content: bytes | None, fields: int) -> Batch | None:
    """Return a batch from its bytes; None when it is absent, damaged or of other fields."""
    if content is None:
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            found = Batch(*(file[name] for name in NAMES))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return found if found.kinds.shape == (fields, CELLS, CELLS, len(KINDS)) else None


class Found:
    """Everything found on a slide so far; memory grows with the nuclei alone."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        size = grid.rows * CELLS, grid.columns * CELLS
        self.kinds = np.full((*size, len(KINDS)), np.nan, np.float32)
        self.counts = np.zeros(size, np.int32)
        """Nuclei in every cell."""
        self.tissue = np.zeros(size, np.float32)
        """Share of tissue of every cell that was read."""
        self.nuclei = 0
        self._batches: list[Batch] = []

    def add(self, fields: Sequence[Field], found: Batch) -> None:
        """Add what a batch of fields holds."""
        for field, kinds in zip(fields, found.kinds, strict=True):
            rows = slice(field.row * CELLS, (field.row + 1) * CELLS)
            columns = slice(field.column * CELLS, (field.column + 1) * CELLS)
            self.kinds[rows, columns] = kinds
            self.tissue[rows, columns] = field.tissue
        at = self.cells_of(found.places)
        np.add.at(self.counts, (at[:, 1], at[:, 0]), 1)
        self.nuclei += len(found.places)
        if self.nuclei > OUTLINED_MAX and len(found.outlines):
            self._batches = [_bare(one) for one in self._batches]
            found = _bare(found)
        if self.nuclei <= NUCLEI_MAX:
            self._batches.append(found)

    def cells_of(self, places: Floats) -> npt.NDArray[np.int64]:
        """Return column and row of the cell that holds each place, (n, 2)."""
        at = np.floor(places / (CELL * self.grid.scale)).astype(np.int64)
        return np.asarray(np.clip(at, 0, [self.counts.shape[1] - 1, self.counts.shape[0] - 1]))

    def all(self) -> Batch:
        """Return every nucleus, in the order of the fields; its `kinds` is empty."""
        parts = (
            {
                name: np.concatenate([getattr(one, name) for one in self._batches])
                for name in NAMES[:-1]
            }
            if self._batches
            else {
                "places": np.zeros((0, 2), np.float32),
                "outlines": np.zeros((0, RAYS, 2), np.float16),
                **{name: np.zeros(0, np.float32) for name in NAMES[1:4]},
            }
        )
        return Batch(**parts, kinds=np.zeros((0, CELLS, CELLS, len(KINDS)), np.float32))


def _bare(one: Batch) -> Batch:
    none = np.zeros((0, RAYS, 2), np.float16)
    return Batch(one.places, one.areas, one.roundness, one.darkness, none, one.kinds)
