"""A radiograph on the canvas that the network was trained on, and the way back.

The picture is trimmed of what is black all around (collimation, padding), scaled as large as
the canvas lets it be without changing its proportions, and put in the middle; the rest is 0.
Upright pictures stand on 448 by 384 pixels, lying ones on 384 by 448.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.imaging.series.radiograph import Grey, Radiograph

TALL, NARROW = 448, 384
BLACK = 0.004
"""Below one of 255 grey values: nothing was exposed there."""

SMALLEST_KEPT = 0.2
"""A trimmed picture keeps at least this share of each side; less is not trimmed at all."""

Boxes = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Canvas:
    """The network's input for one radiograph."""

    tensor: npt.NDArray[np.float32]
    """(1, 1, rows, columns), 0 to 1."""

    zoom: float
    """Canvas pixels per image pixel."""

    left: float
    top: float
    """Where the image's first column and row would lie on the canvas."""

    rows: int
    columns: int
    """Of the image."""

    def to_image(self, boxes: Boxes) -> Boxes:
        """Return boxes (k, 4) x0, y0, x1, y1 in image pixels, cut off at its edges."""
        corner = np.array([self.left, self.top, self.left, self.top])
        edge = np.array([self.columns, self.rows, self.columns, self.rows], np.float64)
        return np.asarray(np.clip((boxes - corner) / self.zoom, 0.0, edge))


def prepare(radiograph: Radiograph) -> Canvas:
    """Return the canvas of a radiograph."""
    top, bottom, left, right = exposed(radiograph.grey)
    picture = radiograph.grey[top:bottom, left:right]
    rows, columns = picture.shape
    tall = rows >= columns
    size = (TALL, NARROW) if tall else (NARROW, TALL)
    zoom = min(size[0] / rows, size[1] / columns)
    scaled = _scaled(picture, round(rows * zoom), round(columns * zoom))
    canvas = np.zeros((1, 1, *size), np.float32)
    row, column = (size[0] - scaled.shape[0]) // 2, (size[1] - scaled.shape[1]) // 2
    canvas[0, 0, row : row + scaled.shape[0], column : column + scaled.shape[1]] = scaled
    return Canvas(
        np.clip(canvas, 0.0, 1.0),
        zoom,
        column - left * zoom,
        row - top * zoom,
        *radiograph.shape,
    )


def exposed(grey: Grey) -> tuple[int, int, int, int]:
    """Return first row, end row, first column, end column of what is not black all around."""
    lit = grey > BLACK
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    whole = (0, grey.shape[0], 0, grey.shape[1])
    if not len(rows) or not len(columns):
        return whole
    found = (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
    sides = (found[1] - found[0], found[3] - found[2])
    if any(side < SMALLEST_KEPT * length for side, length in zip(sides, grey.shape, strict=True)):
        return whole
    return found


def _scaled(picture: Grey, rows: int, columns: int) -> Grey:
    """Return the picture at another size; each pixel the mean of those it covers."""
    image = Image.fromarray(np.ascontiguousarray(picture, np.float32))
    return np.asarray(
        image.resize((max(columns, 1), max(rows, 1)), Image.Resampling.BILINEAR), np.float32
    )
