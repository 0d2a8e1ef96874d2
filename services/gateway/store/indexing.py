"""The search index is written with each version, in its transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store import sql
from services.gateway.store.database import Database
from services.gateway.store.search_index import RULES, Terms, indexed
from services.gateway.store.stored import Resource, Stored


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
        if known:
            await sql.fetch(connection, sql.DROP_TERMS, tenant, known)
            await sql.fetch(connection, sql.DROP_RANGES, tenant, known)
        places = [(term, key) for key, rows in found.items() for term in rows.terms]
        await sql.add_columns(connection, sql.ADD_TERMS, tenant, places)
        spans = [(*span, key) for key, rows in found.items() for span in rows.ranges]
        await sql.add_columns(connection, sql.ADD_RANGES, tenant, spans)

    async def _terms_of(self, tenant: str) -> Terms:
        if tenant not in self._terms:
            self._terms[tenant] = Terms(await self._db.hasher_for(tenant))
        return self._terms[tenant]
