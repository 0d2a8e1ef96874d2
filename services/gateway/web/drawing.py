"""A result drawn: its place against the range as a bar, earlier values as a line. Pure.

Coordinates are of an SVG view box, so that nothing needs a style; the words beside each drawing
say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BAR_WIDTH, LINE_WIDTH, LINE_HEIGHT = 60.0, 60.0, 16.0
_THIRD = BAR_WIDTH / 3


@dataclass(frozen=True, slots=True)
class Bar:
    """Where a value lies: the range is [start, end), the value stands at `place`."""

    start: float
    end: float
    place: float
    """Kept inside the bar; `beyond` says that it lies further out."""
    beyond: bool


@dataclass(frozen=True, slots=True)
class Line:
    """Values over time, the newest last."""

    points: tuple[tuple[float, float], ...]
    band: tuple[float, float] | None
    """Upper and lower edge of the range, where it is in sight."""

    @property
    def path(self) -> str:
        """The points as an SVG polyline takes them."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


def bar(value: float, low: float | None, high: float | None) -> Bar | None:
    """Return the bar of a value; None where there is no range to draw it against.

    Between two limits the range is the middle third. With one limit the bar ends at twice it.
    """
    if low is not None and high is not None:
        if high <= low:
            return None
        start, end = _THIRD, 2 * _THIRD
        place = start + (value - low) / (high - low) * _THIRD
    else:
        limit = high if high is not None else low
        if limit is None or limit <= 0:
            return None
        half = BAR_WIDTH / 2
        start, end = (0.0, half) if high is not None else (half, BAR_WIDTH)
        place = value / limit * half
    inside = min(max(place, 1.0), BAR_WIDTH - 1.0)
    return Bar(start, end, inside, beyond=inside != place)


def line(
    values: Sequence[tuple[float, float]], low: float | None, high: float | None
) -> Line | None:
    """Return the line of (hours before, value) pairs; None of fewer than two.

    Time runs to the right in proportion; the range is drawn as far as it is in sight.
    """
    told = sorted(values, key=lambda each: -each[0])
    if len(told) < 2:
        return None
    hours = [each[0] for each in told]
    heights = [each[1] for each in told]
    bottom, top = min(heights), max(heights)
    for limit in (low, high):  # a limit nearby is worth seeing
        if limit is not None and bottom - (top - bottom) <= limit <= top + (top - bottom):
            bottom, top = min(bottom, limit), max(top, limit)
    span, height = (hours[0] - hours[-1]) or 1.0, (top - bottom) or 1.0

    def y(value: float) -> float:
        return 2 + (LINE_HEIGHT - 4) * (1 - (value - bottom) / height)

    points = tuple((2 + (LINE_WIDTH - 4) * (hours[0] - h) / span, y(v)) for h, v in told)
    upper = y(min(high, top)) if high is not None and high > bottom else 0.0
    lower = y(max(low, bottom)) if low is not None and low < top else LINE_HEIGHT
    return Line(points, (upper, lower) if (low, high) != (None, None) and upper < lower else None)
