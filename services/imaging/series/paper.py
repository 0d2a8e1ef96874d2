"""Whether a grey picture is a scanned paper or a screen of text, not an X-ray.

Paper is one plateau, bright or inverted, crossed by many thin strokes; an X-ray changes between
dark and bright a few times along a row.
"""

from __future__ import annotations

import numpy as np

from services.imaging.series.radiograph import Grey
from services.imaging.series.refusals import SecondaryCapture

PLATEAU = 0.06
"""Half width of the plateau, of the grey range."""

PLATEAU_SHARE_MIN = 0.45
BETWEEN_SHARE_MAX = 0.45
CHANGES_MIN = 50
"""From dark to bright and back along a row, in the tenth of rows with most: print has 140 and
more; of 2,358 X-rays of limbs none has over 38."""

END = 0.15
SIDE_MIN = 64


def check(grey: Grey) -> None:
    """Make sure that a picture is not paper or text.

    Raises
    ------
    SecondaryCapture
        With the shares that show it.
    """
    rows, columns = grey.shape
    if min(rows, columns) < SIDE_MIN:
        raise SecondaryCapture("the picture is too small for an X-ray", rows=rows, columns=columns)
    step = max(min(rows, columns) // 512, 1)
    sample = grey[::step, ::step]
    low, high = (float(end) for end in np.percentile(sample, (0.5, 99.5)))
    if high - low < 1e-3:
        raise SecondaryCapture("the picture is empty", range=high - low)
    spread = np.clip((sample - low) / (high - low), 0, 1)
    counts, edges = np.histogram(spread, 64, (0, 1))
    top = float(edges[np.argmax(counts)]) + 1 / 128
    plateau = float((np.abs(spread - top) <= PLATEAU).mean())
    between = float(((spread > 0.15) & (spread < 0.85)).mean())
    changes = _changes(spread)
    if (
        min(top, 1 - top) < END
        and plateau >= PLATEAU_SHARE_MIN
        and between <= BETWEEN_SHARE_MAX
        and changes >= CHANGES_MIN
    ):
        raise SecondaryCapture(
            "the picture is one of paper or text",
            plateau_share=plateau,
            between_share=between,
            changes=changes,
        )


def _changes(spread: Grey) -> int:
    """Return how often dark and bright change along a row, in the 90th percentile of rows."""
    bright = spread > 0.5
    changes = (bright[:, 1:] != bright[:, :-1]).sum(axis=1)
    return int(np.percentile(changes, 90))
