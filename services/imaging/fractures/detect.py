"""Asks the network and turns its answer into boxes on the image. Pure but for the asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from services.imaging.fractures.prepare import Boxes, Canvas

if TYPE_CHECKING:
    from services.imaging.reading import Ask

MODEL = "xray_fracture"
INPUT = "image"
OUTPUTS = ("probability", "boxes", "hardware", "part", "unlike")
PARTS = ("hand", "leg", "hip", "shoulder")
"""As the training set names them: hand up to the elbow, leg from the knee or thigh down."""

OVERLAP_MAX = 0.3
"""Of two boxes that share more of their union than this, the better one stays."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the network says of one radiograph."""

    probability: float
    """Calibrated: the radiograph shows a fracture."""

    boxes: Boxes
    """(k, 4) x0, y0, x1, y1, image pixels, best first."""

    scores: Floats
    """(k,) calibrated: a reader's box overlaps this one by half."""

    hardware: float
    """Metal of an operation is on the image."""

    parts: Mapping[str, float]
    """Body part to probability; more than one can be shown."""

    unlike: float
    """How unlike the training set it looks; 1 is as odd as its oddest hundredth."""


def look(canvas: Canvas, ask: Ask, lowest: float = 0.0) -> Seen:
    """Return what the network sees; boxes under `lowest` are left out."""
    return seen(ask(MODEL, {INPUT: canvas.tensor}), canvas, lowest)


def seen(answer: Mapping[str, npt.NDArray[Any]], canvas: Canvas, lowest: float = 0.0) -> Seen:
    """Return the model's answer for one image with boxes in image pixels."""
    boxes = canvas.to_image(answer["boxes"][0, :, :4].astype(np.float64))
    scores = answer["boxes"][0, :, 4].astype(np.float64)
    usable = (scores >= lowest) & ((boxes[:, 2:] - boxes[:, :2]) >= 1.0).all(axis=1)
    boxes, scores = boxes[usable], scores[usable]
    kept = suppress(boxes, scores)
    return Seen(
        probability=float(answer["probability"][0, 0]),
        boxes=boxes[kept],
        scores=scores[kept],
        hardware=float(answer["hardware"][0, 0]),
        parts=dict(zip(PARTS, map(float, answer["part"][0]), strict=True)),
        unlike=float(answer["unlike"][0, 0]),
    )


def suppress(boxes: Boxes, scores: Floats, limit: float = OVERLAP_MAX) -> list[int]:
    """Return the rows to keep, best first (non-maximum suppression)."""
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        if not kept or float(overlaps(boxes[row], boxes[kept]).max()) <= limit:
            kept.append(int(row))
    return kept


def overlaps(box: Floats, others: Boxes) -> Floats:
    """Return intersection over union of one box with others, (k,)."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.clip(high - low, 0.0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(common / np.maximum(areas - common, 1e-9))
