"""The search index is written with each version, in its transaction, by hand-written SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store.database import Database
from services.gateway.store.search_index import RULES, IndexRows, Terms, indexed
from services.gateway.store.stored import Resource, Stored

_DROP_TERMS = "DELETE FROM gateway_terms WHERE tenant = {0} AND key {1}"
_DROP_RANGES = "DELETE FROM gateway_ranges WHERE tenant = {0} AND key {1}"
_ADD_TERMS = "INSERT INTO gateway_terms (tenant, term, key) {0}"
_ADD_RANGES = "INSERT INTO gateway_ranges (tenant, term, low, high, key) {0}"


class SearchIndexer:
    """Fills `gateway_terms` and `gateway_ranges`; an `Indexer` of `store.writing`."""

    rules = RULES

    def __init__(self, database: Database) -> None:
        self._db = database
        self._terms: dict[str, Terms] = {}

    async def write(
        self,
        connection: AsyncConnection,
        tenant: str,
        items: Sequence[tuple[Stored, Resource | None]],
        *,
        refill: bool = False,
    ) -> None:
        """Replace the rows of resources; of one that is None, drop them.

        With `refill` even a first version may have rows, of earlier rules.
        """
        latest = {stored.key: (stored, resource) for stored, resource in items}
        known = [key for key, (s, _) in latest.items() if s.version > 1 or refill]
        known += [s.key for s, _ in items if s.version == 1 and latest[s.key][0].version > 1]
        terms = await self._terms_of(tenant)
        found = {
            key: indexed(terms, resource)
            for key, (_, resource) in latest.items()
            if resource is not None
        }
        write = _SQL[connection.dialect.name]
        await write(connection, tenant, known, found)

    async def _terms_of(self, tenant: str) -> Terms:
        if tenant not in self._terms:
            self._terms[tenant] = Terms(await self._db.hasher_for(tenant))
        return self._terms[tenant]


async def _sqlite(
    connection: AsyncConnection, tenant: str, known: list[int], found: dict[int, IndexRows]
) -> None:
    async def run(query: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            await connection.exec_driver_sql(query, rows)

    for query in (_DROP_TERMS, _DROP_RANGES):
        await run(query.format("?", "= ?"), [(tenant, key) for key in known])
    terms = [(tenant, term, key) for key, rows in found.items() for term in rows.terms]
    await run(_ADD_TERMS.format("VALUES (?, ?, ?)"), terms)
    ranges = [(tenant, *span, key) for key, rows in found.items() for span in rows.ranges]
    await run(_ADD_RANGES.format("VALUES (?, ?, ?, ?, ?)"), ranges)


async def _postgresql(
    connection: AsyncConnection, tenant: str, known: list[int], found: dict[int, IndexRows]
) -> None:
    async def run(query: str, *arrays: Sequence[Any]) -> None:
        if arrays[0]:
            await connection.exec_driver_sql(query, (tenant, *map(list, arrays)))

    for query in (_DROP_TERMS, _DROP_RANGES):
        await run(query.format("$1", "= ANY ($2::bigint[])"), known)
    terms = [(term, key) for key, rows in found.items() for term in rows.terms]
    values = "SELECT $1, * FROM unnest($2::bytea[], $3::bigint[])"
    await run(_ADD_TERMS.format(values), *(zip(*terms, strict=True) if terms else [()]))
    ranges = [(*span, key) for key, rows in found.items() for span in rows.ranges]
    values = "SELECT $1, * FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[])"
    await run(_ADD_RANGES.format(values), *(zip(*ranges, strict=True) if ranges else [()]))


_SQL = {"sqlite": _sqlite, "postgresql": _postgresql}
