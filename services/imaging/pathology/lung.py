"""Benign lung, adenocarcinoma or squamous cell carcinoma, for each cell of the heat map."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.imaging.pathology.fields import CELL, CELLS, MARGIN
from services.imaging.reading import Ask

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

MODEL = "pathology_lung_tissue"
INPUT, OUTPUT = "tiles", "probability"
KINDS = ("benign", "adenocarcinoma", "squamous-cell")
"""In the order of the model's output."""

LUNG = "39607008"
"""SNOMED CT: lung structure."""


def kinds(pixels: Pixels, judged: npt.NDArray[np.bool_], ask: Ask) -> Floats:
    """Return the probability of each of `KINDS`, (CELLS, CELLS, 3); NaN where not judged.

    Parameters
    ----------
    pixels : a field with its margin
    judged : (CELLS, CELLS), the cells with tissue
    """
    found = np.full((CELLS, CELLS, len(KINDS)), np.nan, np.float32)
    where = np.argwhere(judged)
    if not len(where):
        return found
    tiles = np.stack([_tile(pixels, row, column) for row, column in where])
    tensor = np.ascontiguousarray(tiles.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
    found[judged] = ask(MODEL, {INPUT: tensor})[OUTPUT]
    return found


def _tile(pixels: Pixels, row: int, column: int) -> Pixels:
    top, left = MARGIN + row * CELL, MARGIN + column * CELL
    return pixels[top : top + CELL, left : left + CELL]
