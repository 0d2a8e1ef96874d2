"""A patient's results from before a part, as interpretation asks for them."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from services.labs.history.rows import Place, Row, place

CRITICAL = {True: "HH", False: "LL"}
"""Flags of a critical result, by whether it is high."""


class Past:
    """Rows by analyte, in order of time; fulfils `critical.Earlier`."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._by_analyte: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            self._by_analyte[row.analyte].append(row)
        for each in self._by_analyte.values():
            each.sort(key=lambda row: row.at)
        self._places: set[Place] | None = None

    def __bool__(self) -> bool:
        return bool(self._by_analyte)

    def has(self, analyte: str) -> bool:
        """Tell whether anything is kept of an analyte."""
        return analyte in self._by_analyte

    def before(self, analyte: str, unit: str, until: float) -> Iterator[Row]:
        """Yield the results of an analyte in a unit from before a time, the newest first.

        One kept in another unit, by an older release, is not compared.
        """
        rows = self._by_analyte.get(analyte, ())
        end = bisect_left(rows, until, key=lambda row: row.at)
        return (row for place in range(end - 1, -1, -1) if (row := rows[place]).unit == unit)

    def newer(self, analyte: str, unit: str, after: float) -> Row | None:
        """Return the newest result of an analyte in a unit from after a time; None: none is."""
        rows = self._by_analyte.get(analyte, ())
        found = (row for row in reversed(rows) if row.unit == unit)
        newest = next(found, None)
        return newest if newest and newest.at > after else None

    def holds(self, row: Row) -> bool:
        """Tell whether the same result is kept already; see `rows.place`."""
        if self._places is None:
            self._places = {place(each) for rows in self._by_analyte.values() for each in rows}
        return place(row) in self._places

    def critical_times(self, analyte_id: str, *, high: bool, before: datetime) -> list[datetime]:
        """See `critical.Earlier`."""
        end, flag = before.timestamp(), CRITICAL[high]
        rows = self._by_analyte.get(analyte_id, ())
        found = (row.at for row in rows if row.flag == flag and row.at < end and not row.of_day)
        return [datetime.fromtimestamp(each, UTC) for each in found]


NOTHING = Past()
