"""The SQL of a search: one condition leads, the others are looked up key by key.

The planner of neither database knows how rare a term is (terms are hashes, plans are kept), so
the leading condition is chosen here, by counting a few rows of each. What does not lead is a
correlated lookup on a primary key. So the cost grows with what the rarest condition finds, and
a single term is walked in the order of the page and left as soon as the page is full.
"""

# ruff: noqa: S608 - every part is written here; values are bound

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.fhir.search.extract import EVERY, Term
from services.gateway.fhir.search.narrow import All, Either, Filter, Not, Only, Ranges, Terms
from services.gateway.fhir.search.ranges import HIGHEST, LOWEST, Bounds

COUNT_MAX = 5_000
"""Rows up to which a condition's size is counted; one with more is walked, not collected."""
FIRST_COUNT_MAX = 500
WALK_MAX = 1_000
"""Resources looked at in the order of the page, before a large condition is counted further."""


@dataclass(slots=True)
class Statement:
    """SQL under construction: its parameters are numbered in the order they are bound."""

    dialect: str
    tenant: str
    term: Callable[[Term], bytes]
    values: list[Any] = field(default_factory=list)
    marks: dict[Any, str] = field(default_factory=dict)

    def bind(self, value: Any) -> str:
        """Return the mark of a parameter; the same value has one mark."""
        key = tuple(value) if isinstance(value, list) else value
        if (type(value), key) not in self.marks:
            self.values.append(value)
            sign = "$" if self.dialect == "postgresql" else "?"
            self.marks[(type(value), key)] = f"{sign}{len(self.values)}"
        return self.marks[(type(value), key)]

    def one_of(self, column: str, values: Sequence[Any], kind: str) -> str:
        """Return the condition that a column has one of several values."""
        if len(values) == 1:
            return f"{column} = {self.bind(values[0])}"
        if self.dialect == "postgresql":
            return f"{column} = ANY ({self.bind(list(values))}::{kind}[])"
        return f"{column} IN ({', '.join(self.bind(value) for value in values)})"

    async def run(self, connection: AsyncConnection, sql: str) -> Sequence[Any]:
        """Return the rows; the driver is asked directly, which costs a fourth of the time."""
        driver = (await connection.get_raw_connection()).driver_connection
        if self.dialect == "postgresql":
            return list(await driver.fetch(sql, *self.values))  # type: ignore[union-attr]
        return list(await driver.execute_fetchall(sql, self.values))  # type: ignore[union-attr]


def source(statement: Statement, found: Filter) -> str:
    """Return a query for the keys of a filter, each once."""
    own = f"tenant = {statement.bind(statement.tenant)}"
    if isinstance(found, Terms):
        terms = [statement.term(term) for term in found.any_of]
        where = f"{own} AND {statement.one_of('term', terms, 'bytea')}"
        return _keys("gateway_terms", [where], once=len(terms) > 1)
    if isinstance(found, Ranges):
        term = f"{own} AND term = {statement.bind(statement.term(found.term))}"
        wheres = [term + _bounds(statement, bounds) for bounds in found.any_of]
        return _keys("gateway_ranges", wheres, once=True)
    if isinstance(found, Only):
        where = statement.one_of("key", found.keys, "bigint") if found.keys else "1 = 0"
        return f"SELECT key FROM gateway_current WHERE {own} AND {where}"
    if isinstance(found, All):
        lead = next(part for part in found.parts if leads(part))
        rest = [part for part in found.parts if part is not lead]
        where = "".join(f" AND {probe(statement, part, 'a.key')}" for part in rest)
        return f"SELECT a.key FROM ({source(statement, lead)}) a WHERE 1 = 1{where}"
    if isinstance(found, Either):
        return " UNION ".join(f"SELECT key FROM ({source(statement, p)}) e" for p in found.parts)
    raise TypeError("what is left out leads to nothing")


def _keys(table: str, wheres: Sequence[str], *, once: bool) -> str:
    """Return a query for keys; the plus keeps SQLite from reading a whole index in their order."""
    column = "DISTINCT (+key) AS key" if once and len(wheres) == 1 else "key"
    return " UNION ".join(f"SELECT {column} FROM {table} WHERE {where}" for where in wheres)


def leads(found: Filter) -> bool:
    """Tell whether a filter can be the leading one."""
    if isinstance(found, All):
        return any(leads(part) for part in found.parts)
    if isinstance(found, Either):
        return bool(found.parts) and all(leads(part) for part in found.parts)
    return not isinstance(found, Not)


def probe(statement: Statement, found: Filter, key: str) -> str:
    """Return the condition that the resource of a key passes a filter."""
    own = f"tenant = {statement.bind(statement.tenant)}"
    if isinstance(found, Terms):
        terms = [statement.term(term) for term in found.any_of]
        where = f"{own} AND {statement.one_of('p.term', terms, 'bytea')} AND p.key = {key}"
        return _exists(statement, f"gateway_terms p WHERE {where}")
    if isinstance(found, Ranges):
        where = f"{own} AND p.key = {key} AND p.term = {statement.bind(statement.term(found.term))}"
        parts = [f"(1 = 1{_bounds(statement, bounds, '+p.')})" for bounds in found.any_of]
        return _exists(statement, f"gateway_ranges p WHERE {where} AND ({' OR '.join(parts)})")
    if isinstance(found, Only):
        return statement.one_of(key, found.keys, "bigint") if found.keys else "1 = 0"
    if isinstance(found, Not):
        return f"NOT {probe(statement, found.part, key)}"
    joint, empty = (" AND ", "1 = 1") if isinstance(found, All) else (" OR ", "1 = 0")
    parts = [probe(statement, part, key) for part in found.parts]
    return f"({joint.join(parts)})" if parts else f"({empty})"


def _exists(statement: Statement, rest: str) -> str:
    """Return a lookup; in PostgreSQL one it cannot turn into a join over the whole term."""
    if statement.dialect == "postgresql":
        return f"((SELECT 1 FROM {rest} LIMIT 1) IS NOT NULL)"
    return f"EXISTS (SELECT 1 FROM {rest})"


def _bounds(statement: Statement, bounds: Bounds, prefix: str = "") -> str:
    """Return conditions on a range; a plus before a column keeps its index from being used."""
    low_max = min(bounds.low_max, bounds.high_max)  # low <= high: lets an index end sooner
    high_min = max(bounds.high_min, bounds.low_min)
    parts = [
        ("low >=", bounds.low_min, LOWEST),
        ("low <=", low_max, HIGHEST),
        ("high >=", high_min, LOWEST),
        ("high <=", bounds.high_max, HIGHEST),
    ]
    return "".join(
        f" AND {prefix}{name} {statement.bind(value)}" for name, value, end in parts if value != end
    )


async def leading(
    connection: AsyncConnection,
    blank: Callable[[], Statement],
    filters: Sequence[Filter],
    most: int,
) -> tuple[int, int]:
    """Return which filter leads, and how many rows it has: `most` + 1 means more than that.

    The smallest leads. Where all are larger, one in the order of a page is walked: it ends when
    the page is full.
    """
    able = [place for place, found in enumerate(filters) if leads(found)]
    few = next((place for place in able if isinstance(filters[place], Only)), None)
    if few is not None:
        return few, 0
    narrow = [place for place in able if not is_listing(filters[place])]
    if not narrow:
        return able[0], most + 1
    statement = blank()
    limit = statement.bind(most + 1)
    counts = [
        f"(SELECT count(*) FROM (SELECT 1 FROM ({_loose(statement, filters[one])}) c"
        f" LIMIT {limit}) n)"
        for one in narrow
    ]
    (row,) = await statement.run(connection, f"SELECT {', '.join(counts)}")
    size, place = min(zip(row, narrow, strict=True))
    return (place, size) if size <= most else (walked(filters, place), size)


def walked(filters: Sequence[Filter], otherwise: int) -> int:
    """Return which filter can be walked in the order of a page; the listing as a last resort."""
    ordered = [place for place, found in enumerate(filters) if in_order(found)]
    narrow = [place for place in ordered if not is_listing(filters[place])]
    return (narrow or ordered or [otherwise])[0]


def rest_of(filters: Sequence[Filter], place: int) -> list[Filter]:
    """Return the filters that do not lead, less the listing where the leading one implies it."""
    implied = _of_one_type(filters[place])
    return [
        found
        for n, found in enumerate(filters)
        if n != place and not (implied and is_listing(found))
    ]


def is_listing(found: Filter) -> bool:
    """Tell whether a filter is that of all resources of types."""
    return isinstance(found, Terms) and all(not term[1] for term in found.any_of)


def _of_one_type(found: Filter) -> bool:
    """Tell whether only resources of the searched type can pass a filter."""
    if isinstance(found, Terms):
        return all(term[0] != EVERY for term in found.any_of)
    if isinstance(found, All):
        return any(_of_one_type(part) for part in found.parts)
    if isinstance(found, Either):
        return all(_of_one_type(part) for part in found.parts)
    return isinstance(found, Ranges)


def _loose(statement: Statement, found: Filter) -> str:
    """Return a query with at least as many rows as a filter has keys, quick to begin."""
    own = f"tenant = {statement.bind(statement.tenant)}"
    if isinstance(found, Terms):
        terms = [statement.term(term) for term in found.any_of]
        where = statement.one_of("term", terms, "bytea")
        return f"SELECT key FROM gateway_terms WHERE {own} AND {where}"
    if isinstance(found, All):
        return _loose(statement, next(part for part in found.parts if leads(part)))
    if isinstance(found, Either):
        return " UNION ALL ".join(
            f"SELECT key FROM ({_loose(statement, part)}) u" for part in found.parts
        )
    return (
        source(statement, found)
        .replace("DISTINCT (+key) AS key", "key")
        .replace(" UNION ", " UNION ALL ")
    )


def in_order(found: Filter) -> bool:
    """Tell whether the keys of a filter lie in the order of a page: one term alone."""
    return isinstance(found, Terms) and len(found.any_of) == 1
