"""The edges of a segmentation, image by image, as lines between pixels. No I/O.

Source: DICOM PS3.3 A.51 (Segmentation), C.8.20.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from services.kernel.errors import TooLarge

FRAMES_MAX = 4000
TILES_MAX = 400_000
"""As many as ingest takes of a slide."""
Mask = npt.NDArray[np.bool_]


def edges(mask: Mask) -> list[int]:
    """Return the outline of a mask as lines: x1, y1, x2, y2, x1, … in pixels from its corner.

    A line runs along the side of pixels, as far as the outline is straight.
    """
    padded = np.pad(mask, 1)
    flat: list[int] = []
    for down, steps in (
        (False, padded[1:, 1:-1] != padded[:-1, 1:-1]),
        (True, (padded[1:-1, 1:] != padded[1:-1, :-1]).T),
    ):
        for line, along in enumerate(steps):
            changes = np.flatnonzero(np.diff(np.concatenate(([0], along.astype(np.int8), [0]))))
            for start, end in changes.reshape(-1, 2).tolist():
                flat += [line, start, line, end] if down else [start, line, end, line]
    return flat


def segments(dataset: Dataset) -> dict[int, str]:
    """Return the label of each segment, by number."""
    return {
        int(item.SegmentNumber): str(item.get("SegmentLabel") or "")
        for item in dataset.get("SegmentSequence") or ()
    }


def places(dataset: Dataset) -> list[tuple[int, str, int]]:
    """Return segment, SOP Instance UID and frame of the image, for each frame of a segmentation.

    Raises
    ------
    TooLarge
        More frames than can be drawn.
    """
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    if len(frames) > FRAMES_MAX:
        raise TooLarge(f"a segmentation of over {FRAMES_MAX} frames is not drawn")
    return [(_segment(one, dataset), *_source(one)) for one in frames]


def _segment(frame: Dataset, dataset: Dataset) -> int:
    """Return the segment of a frame, which may be said once for all of them."""
    for groups in (frame, *(dataset.get("SharedFunctionalGroupsSequence") or ())):
        if items := groups.get("SegmentIdentificationSequence"):
            return int(items[0].ReferencedSegmentNumber)
    return 1


def _source(frame: Dataset) -> tuple[str, int]:
    for derivation in frame.get("DerivationImageSequence") or ():
        for source in derivation.get("SourceImageSequence") or ():
            number = source.get("ReferencedFrameNumber") or 0
            number = number if isinstance(number, int) else next(iter(number), 0)
            return str(source.ReferencedSOPInstanceUID), int(number)
    return "", 0


def tiles(dataset: Dataset) -> dict[str, Any] | None:
    """Return how a segmentation of a slide is tiled; None when it is of no slide.

    Raises
    ------
    TooLarge
        More tiles than can be drawn.
    """
    across, down = (
        int(dataset.get(name) or 0) for name in ("TotalPixelMatrixColumns", "TotalPixelMatrixRows")
    )
    if not across or not down:
        return None
    columns, rows = int(dataset.Columns), int(dataset.Rows)
    per_row = -(-across // columns)
    found = []
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    count = int(dataset.get("NumberOfFrames") or 1)
    if count > TILES_MAX:
        raise TooLarge(f"a segmentation of over {TILES_MAX} tiles is not drawn")
    for number in range(count):
        place: Mapping[str, int] | None = _tile(frames[number]) if number < len(frames) else None
        left, top = (number % per_row) * columns, (number // per_row) * rows
        segment = _segment(frames[number], dataset) if number < len(frames) else 1
        if place:
            left, top = place["left"], place["top"]
        found.append([number + 1, left, top, segment])
    return {
        "width": across,
        "height": down,
        "tile": [columns, rows],
        "tiles": found,
        "fractional": str(dataset.get("SegmentationType") or "") == "FRACTIONAL",
    }


def _tile(frame: Dataset) -> dict[str, int] | None:
    for item in frame.get("PlanePositionSlideSequence") or ():
        left = int(item.ColumnPositionInTotalImagePixelMatrix) - 1
        return {"left": left, "top": int(item.RowPositionInTotalImagePixelMatrix) - 1}
    return None
