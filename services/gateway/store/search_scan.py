"""One pass over the resources of a type that meet conditions and may be seen.

The index narrows; what it does not decide is decided on the decrypted content, in chunks, up to
a limit. Visibility is part of the same SQL, for matches, includes, chains and `_has` alike.
"""

# ruff: noqa: S608 - every part is written here; values are bound

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.access.rights import Permission, Visibility
from services.gateway.fhir.search import forms
from services.gateway.fhir.search.criteria import Chain, Criterion, Has
from services.gateway.fhir.search.extract import Term
from services.gateway.fhir.search.match import defers, fits, holds
from services.gateway.fhir.search.narrow import (
    Filter,
    Not,
    Ranges,
)
from services.gateway.fhir.search.ranges import Bounds
from services.gateway.store import search_sql
from services.gateway.store.database import Cipher
from services.gateway.store.search_sql import (
    Statement,
    in_order,
    is_listing,
    leading,
    leads,
    probe,
    rest_of,
    source,
    walked,
)
from services.gateway.store.stored import Stored, unsealed_row

CHUNK_MAX = 500
Place = list[Any]
"""[phase, …] of the last entry of a page: [0, key], or [0, first, second, key] when sorted."""

_COLUMNS = (
    "r.tenant, r.type, r.id, r.version, r.seq, r.key, r.method, r.case_id, r.owned, r.updated_us,"
    " r.sealed"
)
_WIDTH = 11
"""What `stored.unsealed` reads; places follow."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A connection, and whose resources are read with it by whom."""

    connection: AsyncConnection
    cipher: Cipher
    tenant: str
    visibility: Visibility
    term: Callable[[Term], bytes]
    base_url: str = ""

    def statement(self) -> Statement:
        """Return an empty statement."""
        return Statement(self.connection.dialect.name, self.tenant, self.term)


@dataclass(frozen=True, slots=True)
class Pass:
    """What the resources of a pass must meet."""

    kind: str
    filters: tuple[Filter, ...]
    """All of which they pass; at least one of them leads."""
    checks: tuple[Criterion, ...] = ()
    """Conditions to be decided on the content."""
    rules: tuple[Permission, ...] | None = None
    """Permissions, any of which must fit the content; None: decided by the filters."""
    later: tuple[Chain | Has, ...] = ()
    """Conditions to be followed for each candidate."""
    deferring: bool = True
    """Whether Binaries under another resource's rights are shown, and the mesh's own.

    See `match.defers` and `fhir.sources`.
    """

    @property
    def exact(self) -> bool:
        """Whether the filters decide alone."""
        decided = self.deferring and self.rules is None
        return decided and not self.checks and not self.later

    def keeps(self, resource: Mapping[str, Any], base_url: str) -> bool:
        """Tell whether a candidate meets what its own content decides."""
        if not self.deferring and defers(resource):
            return False
        if self.rules is not None and not any(
            fits(rule, resource, base_url=base_url) for rule in self.rules
        ):
            return False
        return all(holds(check, resource) for check in self.checks)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A resource on the way to the result."""

    stored: Stored
    place: Place
    resource: Mapping[str, Any] = field(default_factory=dict)
    """Its content, where something is to be decided on it."""


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a pass: newest created first, or by one date, number or quantity."""

    term: Term | None = None
    descending: bool = True


NEWEST = Order()


async def chunk(
    reading: Reading, wanted: Pass, order: Order, after: Place | None, limit: int
) -> list[Candidate]:
    """Return the next candidates in order, at most `limit`; fewer: there are no more."""
    if order.term is None:
        return await _by_key(reading, wanted, after, limit, phase=0)
    found: list[Candidate] = []
    if after is None or after[0] == 0:
        found = await _by_range(reading, wanted, order, after, limit)
        after = None
    if len(found) < limit:
        anything = Ranges(order.term, (Bounds(),))
        without = replace(wanted, filters=(*wanted.filters, Not(anything)))
        found += await _by_key(reading, without, after, limit - len(found), phase=1)
    return found


async def _by_key(
    reading: Reading, wanted: Pass, after: Place | None, limit: int, phase: int
) -> list[Candidate]:
    filters = wanted.filters
    narrow = [found for found in filters if leads(found) and not is_listing(found)]
    if len(narrow) <= 1 and all(in_order(found) for found in narrow):
        place = walked(filters, 0)  # there is nothing to choose from
        return await _led(reading, filters, place, after, limit, phase)
    first = search_sql.FIRST_COUNT_MAX
    place, size = await leading(reading.connection, reading.statement, filters, first)
    if size > first:
        # Conditions that many resources meet: the first few of one may fill the page.
        found = await _led(reading, filters, place, after, limit, phase, search_sql.WALK_MAX)
        if len(found) == limit:
            return found
        most = search_sql.COUNT_MAX
        place, _ = await leading(reading.connection, reading.statement, filters, most)
    return await _led(reading, filters, place, after, limit, phase)


async def _led(
    reading: Reading,
    filters: Sequence[Filter],
    place: int,
    after: Place | None,
    limit: int,
    phase: int,
    walk: int = 0,
) -> list[Candidate]:
    """Return candidates by key, one filter leading; with `walk` only among its first so many."""
    statement = reading.statement()
    keys = source(statement, filters[place])
    before = "" if after is None else f" AND d.key < {statement.bind(int(after[1]))}"
    if walk:
        keys = f"SELECT d.key FROM ({keys}) d WHERE 1 = 1{before} ORDER BY d.key DESC LIMIT "
        keys += statement.bind(walk)
    where = "".join(f" AND {probe(statement, found, 'd.key')}" for found in rest_of(filters, place))
    hits = (
        f"SELECT d.key AS key FROM ({keys}) d WHERE 1 = 1{where}{before}"
        f" ORDER BY d.key DESC LIMIT {statement.bind(limit)}"
    )
    rows = await statement.run(
        reading.connection, _contents(statement, hits, "h.key DESC", "h.key")
    )
    return [Candidate(_stored(reading, row), [phase, row[-1]]) for row in rows]


async def _by_range(
    reading: Reading, wanted: Pass, order: Order, after: Place | None, limit: int
) -> list[Candidate]:
    """Return candidates that have a value to be sorted by.

    A small leading condition is collected and sorted; a large one is looked up while the index
    of the value is walked. Both give the same order, so pages may change between them.
    """
    statement = reading.statement()
    most = search_sql.COUNT_MAX
    place, size = await leading(reading.connection, reading.statement, wanted.filters, most)
    tenant, term = (
        statement.bind(reading.tenant),
        statement.bind(reading.term(order.term or ("",) * 3)),
    )
    first, second = ("high", "low") if order.descending else ("low", "high")
    way, beyond = ("DESC", "<") if order.descending else ("ASC", ">")
    rest, keys = [one for one in wanted.filters if not is_listing(one)], ""
    if size <= most:
        rest = rest_of(wanted.filters, place)
        joined = "CROSS JOIN" if statement.dialect == "sqlite" else "JOIN"
        keys = f"({source(statement, wanted.filters[place])}) d {joined} "
    where = f"o.tenant = {tenant} AND o.term = {term}"
    where += " AND o.key = d.key" if keys else ""
    where += "".join(f" AND {probe(statement, found, 'o.key')}" for found in rest)
    if after is not None:
        bound = ", ".join(statement.bind(int(value)) for value in after[1:4])
        where += f" AND (o.{first}, o.{second}, o.key) {beyond} ({bound})"
    plain = not keys or statement.dialect == "sqlite"
    table = f"{keys}gateway_ranges o {'WHERE' if plain else 'ON'} {where}"
    names = (first, second, "key")
    hits = (
        f"SELECT o.low AS low, o.high AS high, o.key AS key FROM {table}"
        f" ORDER BY {', '.join(f'o.{name} {way}' for name in names)} LIMIT {statement.bind(limit)}"
    )
    ordered = ", ".join(f"h.{name} {way}" for name in names)
    columns = f"h.{first}, h.{second}, h.key"
    rows = await statement.run(reading.connection, _contents(statement, hits, ordered, columns))
    return [Candidate(_stored(reading, row), [0, *row[-3:]]) for row in rows]


def _contents(statement: Statement, hits: str, order: str, places: str) -> str:
    tenant = statement.bind(statement.tenant)
    # SQLite takes CROSS JOIN as the order to follow; else it may read a table from its end.
    joined = "CROSS JOIN" if statement.dialect == "sqlite" else "JOIN"
    tables = f"({hits}) h {joined} gateway_current c "
    current = f"c.tenant = {tenant} AND c.key = h.key"
    version = f"r.tenant = {tenant} AND r.type = c.type AND r.id = c.id AND r.version = c.version"
    if statement.dialect == "sqlite":
        tables += f"{joined} gateway_resources r WHERE {current} AND {version}"
    else:
        tables += f"ON {current} {joined} gateway_resources r ON {version}"
    return f"SELECT {_COLUMNS}, {places} FROM {tables} ORDER BY {order}"


def _stored(reading: Reading, row: Sequence[Any]) -> Stored:
    return unsealed_row(reading.cipher, row[:_WIDTH])


async def count(reading: Reading, wanted: Pass) -> int:
    """Return how many resources pass the filters."""
    statement = reading.statement()
    most = search_sql.COUNT_MAX
    place, _ = await leading(reading.connection, reading.statement, wanted.filters, most)
    rest = rest_of(wanted.filters, place)
    keys = source(statement, wanted.filters[place])
    where = "".join(f" AND {probe(statement, found, 'd.key')}" for found in rest)
    query = f"SELECT count(*) FROM ({keys}) d WHERE 1 = 1{where}"
    return int((await statement.run(reading.connection, query))[0][0])


def parsed(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return candidates with their content read."""
    return [replace(one, resource=orjson.loads(one.stored.content)) for one in candidates]


def with_addresses(reading: Reading, kind: str, resource_id: str) -> tuple[str, ...]:
    """Return how a reference to a resource of this server may be written."""
    local = f"{kind}/{resource_id}"
    return (local, f"{reading.base_url}/{local}") if reading.base_url else (local,)


def reference_terms(
    reading: Reading, base: str, code: str, kind: str, ids: Iterable[str]
) -> tuple[Term, ...]:
    """Return the terms of resources that refer to any of some resources of a type."""
    return tuple(
        (base, code, f"r{address}")
        for resource_id in ids
        for address in with_addresses(reading, kind, resource_id)
    )


def order_term(kind: str, code: str) -> Term:
    """Return the term of the range over all values of a parameter."""
    return kind, code, forms.ORDER
