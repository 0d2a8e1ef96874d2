"""One known value of a name, and what rules read of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import nextafter
from typing import Protocol

from services.labs.interpret import Flag
from services.labs.interval import Interval

LOW = frozenset({Flag.LOW, Flag.CRITICAL_LOW})
HIGH = frozenset({Flag.HIGH, Flag.CRITICAL_HIGH})


class ScoreInput(Protocol):
    """What rules read of a score's input."""

    @property
    def observation_id(self) -> str:
        """The Observation it came from; empty: none."""


class Score(Protocol):
    """What rules read of a score."""

    @property
    def score_id(self) -> str:
        """Its id."""

    @property
    def value(self) -> float | None:
        """None: it was not computed."""

    @property
    def shown(self) -> str:
        """The value for a reader."""

    @property
    def inputs(self) -> Sequence[ScoreInput]:
        """What it was computed from."""


@dataclass(slots=True)  # not frozen: a panel makes many, and freezing costs six times
class Known:
    """One value of a name."""

    number: float | None
    """None as well when the value is only known to lie between `bounds`."""
    shown: str
    evidence_ids: tuple[str, ...]
    state: str = ""
    """low, high, normal, positive, negative or borderline; empty: not told."""
    critical: bool = False
    uln: float | None = None
    lln: float | None = None
    time: datetime | None = None
    bounds: tuple[float, float] | None = None
    """The least and the greatest value that a limit (`>6.0`) or a range of values allows."""


BOUNDED_MAX = 3
"""Names of a condition that may be bounded at once; with more it is not decided."""
FAR = 1e15
"""Beyond any value, where there is no end."""
NEAR_ZERO = 1e-15


def bounds_of(interval: Interval) -> tuple[float, float]:
    """Return the least and greatest value; an end that is not included is left out by a hair."""
    low = -FAR if interval.low is None else float(interval.low)
    high = FAR if interval.high is None else float(interval.high)
    if interval.low_open:
        low = nextafter(low, FAR)
    if interval.high_open:
        high = nextafter(high, -FAR)
    return (NEAR_ZERO if low == 0.0 < high else low), high
