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

HOUR_S, DAY_S = 3600.0, 86400.0


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
    """The newest first."""
    change: Change | None = None
    trend: Trend | None = None
    newer: Earlier | None = None
    """The newest of those that were measured after it and are of another part: this one came late,
    and that one was judged without it; `hours_before` is negative."""


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
            newer = _newer(row, mine, past)
            if before:
                found[row.observation_id] = _one(row, before, newer)
            elif newer:
                found[row.observation_id] = OverTime(row, (), newer=newer)
    return found


def _newer(row: Row, rows: Sequence[Row], past: Past) -> Earlier | None:
    """Return the newest result of before, where a row comes after it for the first time.

    What a hospital sends again, or with the newer one, is not late.
    """
    found = past.newer(row.analyte, row.unit, row.at)
    if found is None or not _comparable(found, row):
        return None
    late = all(each.at < found.at for each in rows) and not past.holds(row)
    return _earlier(found, row, False) if late else None


def _before(row: Row, rows: Sequence[Row], past: Past) -> list[Earlier]:
    """Return what came before a row, the newest first."""
    made: list[Earlier] = []
    if len(rows) > 1:
        own = (each for each in rows if each.at < row.at and each.unit == row.unit)
        made += [_earlier(each, row, True) for each in own if _comparable(each, row)]
    here = {each.row.at for each in made}
    for each in past.before(row.analyte, row.unit, row.at):
        if each.at not in here and _comparable(each, row):
            made.append(_earlier(each, row, False))
    if here:
        made.sort(key=lambda each: each.hours_before)
    return made


def _earlier(each: Row, row: Row, here: bool) -> Earlier:
    return Earlier(each, (row.at - each.at) / HOUR_S, here)


def _comparable(one: Row, other: Row) -> bool:
    """Tell whether specimen and time allow it.

    Arterial and venous blood are two things; of two results of one day, one of them without a
    clock time, nobody knows which came first.
    """
    if one.specimen and other.specimen and one.specimen != other.specimen:
        return False
    if abs(other.at - one.at) >= DAY_S or not (one.of_day or other.of_day):
        return True
    return one.effective[:10] != other.effective[:10]


def _one(row: Row, before: Sequence[Earlier], newer: Earlier | None) -> OverTime:
    if not row.unit:
        return OverTime(row, tuple(before), newer=newer)
    newest = before[0]
    values = [(-each.hours_before, float(each.row.number)) for each in reversed(before)]
    values.append((0.0, float(row.number)))
    return OverTime(
        row,
        tuple(before),
        change(row.analyte, newest.row.value, Decimal(row.number), newest.hours_before),
        trend(values, VARIATION.get(row.analyte)) if len(values) > 2 else None,
        newer,
    )
