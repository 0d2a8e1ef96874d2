"""Whether results over time have a direction, by a stated simple rule.

A direction is told of three results or more, of the last year and at most twelve, when
- none goes back against it and the last differs from the first by more than the reference change
  value; or
- there are at least five, Mann-Kendall's test (exact, two-sided) gives p <= 0.05, and what
  Theil-Sen's slope makes of the whole time is beyond the reference change value, where one is
  known.
Three results can not reach p <= 0.05, so the first rule needs the reference change value.

Source: Mann HB, Econometrica 1945;13:245; Sen PK, J Am Stat Assoc 1968;63:1379. The choice of
these two rules is the project's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from statistics import median

from services.labs.history.changes import Variation

LEAST, MANY, MOST = 3, 5, 12
P_MAX = 0.05
YEAR_H = 8766.0
HOUR_SPAN_H, DAY_SPAN_H = 48.0, 8766.0
"""Up to these spans a slope is shown per hour, per day; then per year."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A direction over results."""

    rising: bool
    count: int
    hours: float
    """From the first to the last."""
    slope: float
    """Theil-Sen, per `per`."""
    per: str
    """UCUM unit of time: h, d or a."""


def trend(points: Sequence[tuple[float, float]], variation: Variation | None) -> Trend | None:
    """Return the direction of (hours, value) points in order of time; None: there is none told."""
    last = points[-1][0]
    recent = [each for each in points if last - each[0] <= YEAR_H][-MOST:]
    if len(recent) < LEAST or recent[0][0] >= last:
        return None
    first, final = recent[0][1], recent[-1][1]
    steps = [b[1] - a[1] for a, b in pairwise(recent)]
    span = last - recent[0][0]
    if (
        (min(steps) >= 0 or max(steps) <= 0)
        and variation
        and _beyond(first, final - first, variation)
    ):
        return _made(recent, span, final > first)
    if len(recent) < MANY or probability(_score(recent), len(recent)) > P_MAX:
        return None
    slope = theil_sen(recent)
    if variation and not _beyond(first, slope * span, variation):
        return None
    return _made(recent, span, slope > 0) if slope else None


def theil_sen(points: Sequence[tuple[float, float]]) -> float:
    """Return the median of the slopes of all pairs, per hour."""
    slopes = [
        (b[1] - a[1]) / (b[0] - a[0])
        for i, a in enumerate(points)
        for b in points[i + 1 :]
        if b[0] > a[0]
    ]
    return median(slopes)


@cache
def probability(score: int, count: int) -> float:
    """Return the exact two-sided probability of Mann-Kendall's S at least as far from 0.

    Without ties; with ties it errs on the side of telling no direction.
    """
    ways = _ways(count)
    pairs = count * (count - 1) // 2
    far = sum(each for at, each in enumerate(ways) if abs(pairs - 2 * at) >= abs(score))
    return far / sum(ways)


@cache
def _ways(count: int) -> tuple[int, ...]:
    """Return how many orders of `count` values have 0, 1, 2 … inversions."""
    ways = [1]
    for size in range(2, count + 1):
        grown = [0] * (len(ways) + size - 1)
        for at, each in enumerate(ways):
            for more in range(size):
                grown[at + more] += each
        ways = grown
    return tuple(ways)


def _score(points: Sequence[tuple[float, float]]) -> int:
    """Return Mann-Kendall's S: pairs that rise less pairs that fall."""
    seen: list[float] = []
    score = 0
    for _, value in points:
        at = bisect_right(seen, value)
        score += bisect_left(seen, value) - (len(seen) - at)
        seen.insert(at, value)
    return score


def _beyond(first: float, difference: float, limits: Variation) -> bool:
    if first <= 0:
        return False
    percent = 100.0 * difference / first
    return percent > limits.rise or percent < limits.fall


def _made(points: Sequence[tuple[float, float]], span: float, rising: bool) -> Trend:
    slope = theil_sen(points) or (points[-1][1] - points[0][1]) / span
    for most, per, factor in ((HOUR_SPAN_H, "h", 1.0), (DAY_SPAN_H, "d", 24.0)):
        if span <= most:
            return Trend(rising, len(points), span, slope * factor, per)
    return Trend(rising, len(points), span, slope * YEAR_H, "a")
