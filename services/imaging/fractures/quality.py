"""Whether a radiograph is this reading's to read, before and after the network has looked.

Every "no" is a typed refusal with its numbers.
"""

from __future__ import annotations

import numpy as np

from services.imaging.fractures import sites
from services.imaging.fractures.detect import Seen
from services.imaging.series.radiograph import Radiograph
from services.imaging.series.refusals import SeriesRefused

SHORTER_SIDE_MIN = 200
"""Pixels; on fewer a fracture line cannot be seen."""

SPREAD_MIN = 0.03
"""Standard deviation of the grey values of a picture that shows anything."""

CLIPPED_MAX = 0.6
AGE_MIN_YEARS = 16.0
PART_MIN = 0.5
"""Of the likeliest body part, where the header states none."""

UNLIKE_MAX = 1.1
UNLIKE_MAX_STATED = 1.5
"""Where the header states the body part, more is let pass."""


class NotALimbXray(SeriesRefused):
    """Not an X-ray of hand, leg, hip or shoulder, by its header or by its looks."""

    code = "NOT_A_LIMB_XRAY"


class ChildXray(SeriesRefused):
    """A child: growth plates look like fractures, and children were not measured apart."""


class PoorRadiograph(SeriesRefused):
    """Too small, too flat or cut off: nothing can be said of fine lines."""


def before(radiograph: Radiograph, age_years: float | None, age_min: float) -> None:
    """Refuse what header and grey values alone speak against.

    Raises
    ------
    NotALimbXray, ChildXray, PoorRadiograph
    """
    if sites.elsewhere(radiograph.body_part):
        raise NotALimbXray(
            "the header states a body part this model was not trained on",
            body_part=sites.plain(radiograph.body_part),
        )
    if age_years is not None and age_years < age_min:
        raise ChildXray(
            "children's X-rays are not read: growth plates look like fractures",
            age_years=float(age_years),
            age_min=float(age_min),
        )
    if min(radiograph.shape) < SHORTER_SIDE_MIN:
        raise PoorRadiograph(
            "the image is too small to show a fracture line",
            rows=radiograph.shape[0],
            columns=radiograph.shape[1],
            shorter_side_min=SHORTER_SIDE_MIN,
        )
    spread = float(np.std(radiograph.grey))
    if not np.isfinite(spread) or spread < SPREAD_MIN:
        raise PoorRadiograph(
            "the image shows next to nothing", spread=spread, spread_min=SPREAD_MIN
        )
    if radiograph.clipped_share > CLIPPED_MAX:
        raise PoorRadiograph(
            "most of the image is wholly black or wholly white",
            clipped=float(radiograph.clipped_share),
            clipped_max=CLIPPED_MAX,
        )


def after(radiograph: Radiograph, seen: Seen) -> None:
    """Refuse what the network finds unlike anything it was trained on.

    Raises
    ------
    NotALimbXray
    """
    known = sites.stated(radiograph.body_part) is not None
    limit = UNLIKE_MAX_STATED if known else UNLIKE_MAX
    if seen.unlike > limit:
        raise NotALimbXray(
            "the image looks unlike the X-rays this model was trained on",
            unlike=seen.unlike,
            unlike_max=limit,
        )
    best = max(seen.parts.values())
    if not known and best < PART_MIN:
        raise NotALimbXray(
            "no body part is stated, and the image shows none that this model knows",
            part_probability=best,
            part_probability_min=PART_MIN,
        )
