"""Each result beside the earlier ones of its analyte: those of the part, and those of before.

Results are compared when both have a time and the time tells which came first: of two on one day
without a clock time neither is the earlier. Values are those of the analyte's canonical unit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from services.labs.history.changes import VARIATION, Change, change
from services.labs.history.past import Past
from services.labs.history.rows import Row
from services.labs.history.trend import Trend, trend

SHOWN_MAX = 12
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier result of the same analyte."""

    row: Row
    hours_before: float
    here: bool
    """It is of the same part, so its Observation is at hand."""


@dataclass(frozen=True, slots=True)
class OverTime:
    """What one result says beside the earlier ones."""

    row: Row
    earlier: tuple[Earlier, ...]
    """The newest first, at most twelve."""
    change: Change | None = None
    trend: Trend | None = None


def over_time(rows: Sequence[Row], past: Past) -> dict[str, OverTime]:
    """Return by Observation id what a result with earlier ones says; others are not there.

    `rows` are the results of the part, as they are kept.
    """
    own: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        own[row.analyte].append(row)
    found: dict[str, OverTime] = {}
    for analyte, mine in own.items():
        if len(mine) == 1 and not past.has(analyte):
            continue
        for row in mine:
            before = _before(row, mine, past)
            if before:
                found[row.observation_id] = _one(row, before)
    return found


def _before(row: Row, rows: Sequence[Row], past: Past) -> list[Earlier]:
    """Return what came before a row, the newest first."""
    made: list[Earlier] = []
    if len(rows) > 1:
        made += [
            Earlier(each, (row.at - each.at) / HOUR_S, True)
            for each in rows
            if each.at < row.at and each.unit == row.unit and _comparable(each, row)
        ]
    here = {each.row.at for each in made}
    made += [
        Earlier(each, (row.at - each.at) / HOUR_S, False)
        for each in past.of(row.analyte, row.unit, row.at)
        if each.at not in here and _comparable(each, row)
    ]
    if row.of_day or any(each.row.of_day for each in made):
        made = [each for each in made if each.row.effective[:10] != row.effective[:10]]
    made.sort(key=lambda each: each.hours_before)
    return made


def _comparable(one: Row, other: Row) -> bool:
    """Tell whether specimens allow it: arterial and venous blood are two things."""
    return one.specimen == other.specimen or not (one.specimen and other.specimen)


def _one(row: Row, before: Sequence[Earlier]) -> OverTime:
    shown = tuple(before[:SHOWN_MAX])
    if not row.unit:
        return OverTime(row, shown)
    newest = before[0]
    values = [(-each.hours_before, float(each.row.value)) for each in reversed(before)]
    values.append((0.0, float(row.value)))
    return OverTime(
        row,
        shown,
        change(row.analyte, newest.row.value, Decimal(row.value), newest.hours_before),
        trend(values, VARIATION.get(row.analyte)) if len(values) > 2 else None,
    )
