"""Each result beside the earlier ones of its analyte: those of the part, and those of before.

Results are compared when both have a time and the time tells which came first: of two on one day
without a clock time neither is the earlier. Values are those of the analyte's canonical unit.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice

from services.labs.history.changes import VARIATION, Change, change
from services.labs.history.past import Past
from services.labs.history.rows import Row
from services.labs.history.trend import MOST, Trend, trend

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
    """The newest first; see `over_time` for how many."""
    change: Change | None = None
    trend: Trend | None = None
    newer: Earlier | None = None
    """The newest of those that were measured after it and are of another part: this one came late,
    and that one was judged without it; `hours_before` is negative."""


def over_time(rows: Sequence[Row], past: Past) -> dict[str, OverTime]:
    """Return by Observation id what a result with earlier ones says; others are not there.

    `rows` are the results of the part, as they are kept. The newest of an analyte has all earlier
    ones, the others the newest `MOST`: that is what is told of them, and all with all is slow.
    """
    own: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        own[row.analyte].append(row)
    found: dict[str, OverTime] = {}
    for analyte, mine in own.items():
        if len(mine) == 1 and not past.has(analyte):
            continue
        lanes, last = _Lanes(mine), max(row.at for row in mine)
        newest: Row | None = None
        for row in mine:
            before = _before(row, lanes, past, MOST)
            newer = _newer(row, last, past)
            if before:
                found[row.observation_id] = _one(row, before, newer)
            elif newer:
                found[row.observation_id] = OverTime(row, (), newer=newer)
            if (before or newer) and (newest is None or row.at > newest.at):
                newest = row
        if newest and len(found[newest.observation_id].earlier) == MOST:
            everything = tuple(_before(newest, lanes, past, None))
            told = found[newest.observation_id]
            found[newest.observation_id] = replace(told, earlier=everything)
    return found


class _Lanes:
    """The part's results of one analyte, by whom each may be compared with, in order of time."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._by_kind: dict[tuple[str, str], tuple[list[float], list[Row]]] = {}

    def before(self, row: Row) -> Iterator[Row]:
        """Yield what came before a row, the newest first."""
        if len(self._rows) == 1:
            return
        kind = (row.unit, row.specimen)
        if kind not in self._by_kind:
            fit = [each for each in self._rows if each.unit == row.unit and _of_kind(each, row)]
            fit.reverse()  # of one time the first of the part comes first, walked from the end
            fit.sort(key=lambda each: each.at)
            self._by_kind[kind] = [each.at for each in fit], fit
        times, fit = self._by_kind[kind]
        for place in range(bisect_left(times, row.at) - 1, -1, -1):
            if _comparable(fit[place], row):
                yield fit[place]


def _newer(row: Row, last: float, past: Past) -> Earlier | None:
    """Return the newest result of before, where a row comes after it for the first time.

    What a hospital sends again, or with the newer one (`last`: when the part's newest was), is not
    late.
    """
    found = past.newer(row.analyte, row.unit, row.at)
    if found is None or not _comparable(found, row):
        return None
    late = last < found.at and not past.holds(row)
    return _earlier(found, row, False) if late else None


def _before(row: Row, lanes: _Lanes, past: Past, most: int | None) -> list[Earlier]:
    """Return what came before a row, the newest first, at most so many."""
    made = [_earlier(each, row, True) for each in islice(lanes.before(row), most)]
    here = {each.row.at for each in made}
    kept = (
        each
        for each in past.before(row.analyte, row.unit, row.at)
        if each.at not in here and _comparable(each, row)
    )
    made += [_earlier(each, row, False) for each in islice(kept, most)]
    if here:
        made.sort(key=lambda each: each.hours_before)
    return made[:most]


def _earlier(each: Row, row: Row, here: bool) -> Earlier:
    return Earlier(each, (row.at - each.at) / HOUR_S, here)


def _comparable(one: Row, other: Row) -> bool:
    """Tell whether specimen and time allow it.

    Arterial and venous blood are two things; of two results of one day, one of them without a
    clock time, nobody knows which came first.
    """
    if not _of_kind(one, other):
        return False
    if abs(other.at - one.at) >= DAY_S or not (one.of_day or other.of_day):
        return True
    return one.effective[:10] != other.effective[:10]


def _of_kind(one: Row, other: Row) -> bool:
    return not (one.specimen and other.specimen) or one.specimen == other.specimen


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
