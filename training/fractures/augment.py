"""Canvas of the network and how training varies what stands on it.

A radiograph keeps its orientation: upright ones stand on a canvas of `TALL` by `NARROW`
pixels, lying ones on one of `NARROW` by `TALL`; what is left over is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from training.fractures.data import Floats, Grey

TALL, NARROW = 448, 384
KEPT = 0.5
"""Share of a fracture's box that must stay on the canvas to stay labelled."""

Canvas = npt.NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """A radiograph on its canvas."""

    canvas: Canvas
    """(rows, columns), 0 to 1."""
    boxes: Floats
    """(k, 4) on the canvas."""


def shape(image: Grey, scale: float = 1.0) -> tuple[int, int]:
    """Return rows and columns of the canvas for this image; multiples of 32."""
    tall, narrow = (round(side * scale / 32) * 32 for side in (TALL, NARROW))
    return (tall, narrow) if image.shape[0] >= image.shape[1] else (narrow, tall)


def plain(image: Grey, boxes: Floats, scale: float = 1.0) -> View:
    """Return the radiograph as large as the canvas lets it be, in its middle."""
    rows, columns = shape(image, scale)
    zoom = min(rows / image.shape[0], columns / image.shape[1])
    matrix = _matrix(image, rows, columns, zoom, 0.0, False, (0.0, 0.0))
    return View(_warp(image, rows, columns, matrix), _moved(boxes, matrix))


def varied(
    image: Grey,
    boxes: Floats,
    generator: np.random.Generator,
    scale: float = 1.0,
    zooms: tuple[float, float] = (0.8, 1.35),
    *,
    loose: bool = False,
) -> View:
    """Return the radiograph turned, mirrored, scaled, moved and with other contrast.

    `zooms` are beside the largest size at which all of it fits; above 1 a part is shown.
    Draws again, up to eight times, when no fracture of a fractured image is left. `loose`:
    boxes grow when they are turned, as they did in the first steps of the shipped model.
    """
    rows, columns = shape(image, scale)
    fit = min(rows / image.shape[0], columns / image.shape[1])
    for _ in range(8):
        zoom = fit * float(np.exp(generator.uniform(*np.log(zooms))))
        angle = generator.normal(0.0, 12.0) + (180.0 if generator.random() < 0.1 else 0.0)
        spare = [abs(zoom * s - c) / 2 for s, c in zip(image.shape, (rows, columns), strict=True)]
        shift = tuple((s + 12) * generator.uniform(-1, 1, 2).mean() for s in spare)
        mirrored = bool(generator.random() < 0.5)
        matrix = _matrix(image, rows, columns, zoom, angle, mirrored, (shift[1], shift[0]))
        moved = _grown(boxes, matrix) if loose else _moved(boxes, matrix)
        inside = _clipped(moved, rows, columns)
        kept = _areas(inside) >= KEPT * _areas(moved)
        if not len(boxes) or kept.any():
            break
    canvas = _contrast(_warp(image, rows, columns, matrix), generator)
    return View(canvas, inside[kept])


def _contrast(canvas: Canvas, generator: np.random.Generator) -> Canvas:
    """Return the canvas with another gamma, gain and noise, sometimes coarser."""
    rows, columns = canvas.shape
    if generator.random() < 0.25:
        coarse = generator.uniform(0.55, 0.95)
        picture = Image.fromarray(canvas)
        small = picture.resize((round(columns * coarse), round(rows * coarse)), 2)
        canvas = np.asarray(small.resize((columns, rows), 2))
    canvas = canvas ** np.float32(np.exp(generator.uniform(-0.5, 0.5)))
    canvas = canvas * np.float32(generator.uniform(0.7, 1.2))
    canvas = canvas + np.float32(generator.uniform(-0.05, 0.1))
    if generator.random() < 0.5:
        noise = generator.standard_normal(canvas.shape, np.float32)
        canvas = canvas + noise * np.float32(generator.uniform(0.0, 0.03))
    return np.clip(canvas, 0.0, 1.0).astype(np.float32)


def _matrix(
    image: Grey,
    rows: int,
    columns: int,
    zoom: float,
    angle: float,
    mirrored: bool,
    shift: tuple[float, float],
) -> npt.NDArray[np.float64]:
    """Return the 3 by 3 map from image to canvas pixels: about the middles of both."""
    turn = np.deg2rad(angle)
    cos, sin = np.cos(turn) * zoom, np.sin(turn) * zoom
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    centre = np.array([image.shape[1] / 2, image.shape[0] / 2])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = np.array([columns / 2 + shift[0], rows / 2 + shift[1]]) - linear @ centre
    return matrix


def _warp(image: Grey, rows: int, columns: int, matrix: npt.NDArray[np.float64]) -> Canvas:
    """Return image on the canvas; 0 outside."""
    back = np.linalg.inv(matrix)
    picture = Image.fromarray(image).transform(
        (columns, rows),
        Image.Transform.AFFINE,
        tuple(back[:2].ravel()),
        resample=Image.Resampling.BILINEAR,
    )
    return np.asarray(picture).astype(np.float32) / np.float32(255)


def _moved(boxes: Floats, matrix: npt.NDArray[np.float64]) -> Floats:
    """Return the upright boxes around the turned ellipses that the boxes hold.

    A fracture fills its box as an ellipse does, not to the corners: the box around the turned
    corners would grow with every turn, and the network would learn boxes that are too large.
    """
    if not len(boxes):
        return boxes.reshape(0, 4)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:2, :2].T + matrix[:2, 2]
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    half = np.sqrt(half**2 @ (matrix[:2, :2] ** 2).T)
    return np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)


def _grown(boxes: Floats, matrix: npt.NDArray[np.float64]) -> Floats:
    """Return the upright boxes around the turned ones, a little tighter when turned."""
    if not len(boxes):
        return boxes.reshape(0, 4)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:2, :2].T + matrix[:2, 2]
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    corner = half @ np.abs(matrix[:2, :2]).T
    zoom = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    level = np.abs(matrix[0, 0]) > np.abs(matrix[0, 1])
    straight = zoom * (half if level else half[:, ::-1])
    half = (corner + straight) / 2
    return np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)


def _clipped(boxes: Floats, rows: int, columns: int) -> Floats:
    return np.clip(boxes, 0, np.array([columns, rows, columns, rows], np.float32))


def _areas(boxes: Floats) -> Floats:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
