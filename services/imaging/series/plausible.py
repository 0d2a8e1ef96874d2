"""Whether numbers can be the CT numbers of a body: an MR or a picture called CT is not.

Every CT shows tissue near water, and air or fat below it. MR intensities have no negative
values, or, moved by a header's -1024, nothing near water where the body is.
"""

from __future__ import annotations

import numpy as np

from services.imaging.series.refusals import ImplausibleCt
from services.imaging.series.volume import Hounsfield

SAMPLES = 2_000_000
AIR = -700
"""Below: air, lung, padding."""

CORE, CORE_SHARE_MIN = (-200, 250), 0.2
BODY, BODY_SHARE_MIN = (-250, 2000), 0.5
"""Fat to contrast-filled vessels, and to bone; least shares of what is not air. A chest has
.78 to .90 in both, a head .81 to .88; MR moved by -1024 has .01 to .34 in the first."""

BELOW_WATER_SHARE_MIN = 0.002
BELOW_WATER = -30
LEVELS_MIN = 24
LEVELS_SAMPLES_MIN = 100_000
"""Different values among so many samples; a CT has hundreds."""


def check(hu: Hounsfield) -> None:
    """Make sure that a volume's numbers are those of a CT.

    Raises
    ------
    ImplausibleCt
        With the shares that show it.
    """
    flat = hu.reshape(-1)
    step = max(flat.size // SAMPLES, 1)
    if step > 1:
        step |= 1  # an even step would walk down columns
    sample = flat[::step]
    body = sample[sample > AIR]
    levels = int(np.unique(sample[: SAMPLES // 4]).size) if body.size else 1
    core, whole = _share(body, CORE), _share(body, BODY)
    below = float((sample < BELOW_WATER).mean())
    facts = {
        "tissue_share": core,
        "body_share": whole,
        "below_water_share": below,
        "levels": levels,
    }
    if not body.size:
        raise ImplausibleCt("there is air alone in the images", **facts)
    if core < CORE_SHARE_MIN or whole < BODY_SHARE_MIN:
        raise ImplausibleCt("too few values are those of tissue", **facts)
    if below < BELOW_WATER_SHARE_MIN:
        raise ImplausibleCt("no value is below that of water: not CT numbers", **facts)
    if sample.size >= LEVELS_SAMPLES_MIN and levels < LEVELS_MIN:
        raise ImplausibleCt("too few different values for a CT", **facts)


def _share(body: Hounsfield, between: tuple[int, int]) -> float:
    if not body.size:
        return 0.0
    return float(((body >= between[0]) & (body <= between[1])).mean())
