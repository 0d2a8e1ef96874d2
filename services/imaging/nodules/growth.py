"""Growth of a nodule between two CTs.

Doubling time: days * ln 2 / ln(V2 / V1) (Schwartz, Cancer 1961;14:1272). A change of volume under
25% is within what measuring twice gives (Bankier et al., Radiology 2017;285:584).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

NOISE = 0.25


@dataclass(frozen=True, slots=True)
class Growth:
    """From the earlier to the later CT."""

    percent: float
    """Change of volume, %."""

    doubling_days: float | None
    """None: the volume did not change by more than 25%, or shrank."""

    @property
    def course(self) -> str:
        """Return "grown", "shrunk" or "stable"."""
        if abs(self.percent) < 100 * NOISE:
            return "stable"
        return "grown" if self.percent > 0 else "shrunk"


def growth(before_mm3: float, now_mm3: float, days: float) -> Growth | None:
    """Return growth; None where a volume or the time between is not positive."""
    if min(before_mm3, now_mm3, days) <= 0:
        return None
    percent = 100.0 * (now_mm3 - before_mm3) / before_mm3
    if percent < 100 * NOISE:
        return Growth(percent, None)
    return Growth(percent, doubling_days(before_mm3, now_mm3, days))


def doubling_days(before_mm3: float, now_mm3: float, days: float) -> float:
    """Return the volume doubling time, days; the later volume is the larger."""
    return days * math.log(2.0) / math.log(now_mm3 / before_mm3)
