"""Measuring sides in interleaved rounds, and saying how far a ratio can be trusted."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

Side = Callable[[], Awaitable[float]]
"""Runs one round of a side; returns its figure, say milliseconds a call."""

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Spread:
    """A median over rounds and its interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{_short(self.median)} ({_short(self.low)} to {_short(self.high)})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An aim, and what was measured of it."""

    what: str
    aim: str
    measured: Spread
    reached: bool
    certain: bool
    """Whether the whole interval lies on one side of the aim."""

    @classmethod
    def at_most(cls, what: str, limit: float, measured: Spread) -> Verdict:
        """Return the verdict where less is better."""
        certain = measured.high <= limit or measured.low > limit
        return cls(what, f"at most {limit}", measured, measured.median <= limit, certain)

    @classmethod
    def at_least(cls, what: str, limit: float, measured: Spread) -> Verdict:
        """Return the verdict where more is better."""
        certain = measured.low >= limit or measured.high < limit
        return cls(what, f"at least {limit}", measured, measured.median >= limit, certain)

    def __str__(self) -> str:
        reached = "reached" if self.reached else "not reached"
        doubt = "" if self.certain else ", though the interval holds the aim"
        return f"Aim: {self.what}: {self.aim}. Measured: {self.measured}, {reached}{doubt}."


async def interleaved(
    sides: Mapping[str, Side], rounds: int, seed: int = 1
) -> dict[str, list[float]]:
    """Return each side's figures, one a round; every round runs every side in a fresh order."""
    order = random.Random(seed)
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name in order.sample(list(sides), len(sides)):
            figures[name].append(await sides[name]())
    return figures


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the interval that holds it with 95 % confidence.

    The interval lies between two order statistics, so it assumes nothing about how figures are
    distributed. With fewer than six rounds it is the whole range, and less certain.
    Source: Conover, Practical Nonparametric Statistics, 3rd ed., 3.2.
    """
    ordered = sorted(values)
    cut = _cut(len(ordered))
    return Spread(statistics.median(ordered), ordered[cut], ordered[-1 - cut])


def ratio(values: Sequence[float], peers: Sequence[float]) -> Spread:
    """Return value to peer, round by round: what slows a whole round cancels out."""
    return spread([value / peer for value, peer in zip(values, peers, strict=True)])


def _cut(count: int) -> int:
    """Return how many values may be left out at each end."""
    cut, tail = 0, 0.5**count
    while True:
        tail += math.comb(count, cut + 1) / 2**count
        if 2 * tail > 1 - CONFIDENCE or 2 * cut + 3 > count:
            return cut
        cut += 1


def _short(value: float) -> str:
    """Return three significant digits, thousands whole."""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(digits, 0), 3)}f}"
