"""Sorting in memory: by strings, tokens, URIs, or by several keys.

One date, number or quantity is sorted by the database. Anything else the index cannot order,
since it holds hashes: all matches are read, up to a limit, and a larger search is refused.
Resources without a value come last, either way. Source: FHIR R4, search.html 3.1.1.5.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from services.gateway.fhir.search.costs import COUNT_SCAN_MAX, SORT_MAX, TooCostly
from services.gateway.fhir.search.criteria import Sort
from services.gateway.fhir.search.extract import values_of
from services.gateway.fhir.search.measures import Measure
from services.gateway.fhir.search.query import Query
from services.gateway.fhir.search.strings import normal
from services.gateway.fhir.search.values import Pointer, Token, Value
from services.gateway.store.search_scan import (
    NEWEST,
    Candidate,
    Order,
    Pass,
    Place,
    Reading,
    parsed,
)

IN_SQL = frozenset({"date", "number", "quantity"})


class Scanner(Protocol):
    """Goes through candidates; `store.search` is the one."""

    async def _scan(
        self,
        reading: Reading,
        wanted: Pass,
        order: Order,
        after: Place | None,
        limit: int,
        scan_max: int,
    ) -> tuple[list[Candidate], Place | None]: ...


def in_memory(sort: Sequence[Sort]) -> bool:
    """Tell whether the database cannot sort by these keys."""
    return len(sort) > 1 or any(key.definition.kind not in IN_SQL for key in sort)


async def sorted_page(
    scanner: Scanner, reading: Reading, wanted: Pass, query: Query, place: Place | None
) -> tuple[list[Candidate], Place | None]:
    """Return the matches of a page, and the place of the last when there are more.

    A place is [1, values of the keys, key of the resource], so a page begins where the last
    one ended even when others wrote meanwhile.

    Raises
    ------
    TooCostly
    """
    found, last = await scanner._scan(reading, wanted, NEWEST, None, SORT_MAX + 1, COUNT_SCAN_MAX)
    if last is not None or len(found) > SORT_MAX:
        raise TooCostly(
            f"over {SORT_MAX} matches would have to be sorted; add a parameter that narrows the "
            "search, or sort by one date, number or quantity alone"
        )
    rows = [(_values(query.sort, one), one.stored.key, one) for one in parsed(found)]
    if place is not None:
        mark = (list(place[1]), int(place[2]))
        rows = [row for row in rows if (row[0], row[1]) != mark]
        rows = _ordered([*rows, (*mark, None)], query.sort)  # type: ignore[list-item]
        at = next(n for n, row in enumerate(rows) if row[2] is None)
        rows = rows[at + 1 :]
    else:
        rows = _ordered(rows, query.sort)
    page = rows[: query.count]
    if len(rows) <= len(page):
        return [row[2] for row in page], None
    return [row[2] for row in page], [1, page[-1][0], page[-1][1]]


def _ordered(
    rows: list[tuple[list[Any], int, Candidate]], sort: Sequence[Sort]
) -> list[tuple[list[Any], int, Candidate]]:
    rows = sorted(rows, key=lambda row: row[1], reverse=True)
    for place, key in reversed(list(enumerate(sort))):
        with_value = [row for row in rows if row[0][place] is not None]
        without = [row for row in rows if row[0][place] is None]
        with_value.sort(key=lambda row: row[0][place], reverse=key.descending)
        rows = with_value + without
    return rows


def _values(sort: Sequence[Sort], candidate: Candidate) -> list[Any]:
    """Return what a resource is sorted by: the least of its values, or descending the greatest."""
    found = []
    for key in sort:
        values = list(_comparable(values_of(key.definition, candidate.resource), key.descending))
        best = max if key.descending else min
        found.append(best(values) if values else None)
    return found


def _comparable(values: Iterable[Value], descending: bool) -> Iterable[Any]:
    for value in values:
        if isinstance(value, str):
            yield normal(value)
        elif isinstance(value, Token):
            yield value.code
        elif isinstance(value, Pointer):
            yield value.url
        elif isinstance(value, Measure):
            yield value.high if descending else value.low
        else:
            yield value[1] if descending else value[0]
