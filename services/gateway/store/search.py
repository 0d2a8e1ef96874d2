"""Searches: pages of resources that meet a query and may be seen, with what is included.

Pages follow the place of the last entry, not an offset, so they stay stable while others write.
See docs/adr/0013 for what the index holds, and `search_sql` for how it is asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.access.rights import Visibility
from services.gateway.fhir.search.costs import (
    COUNT_SCAN_MAX,
    LINKED_MAX,
    SCAN_MAX,
    TooCostly,
)
from services.gateway.fhir.search.criteria import Condition, Criterion
from services.gateway.fhir.search.extract import EVERY
from services.gateway.fhir.search.narrow import (
    Either,
    Filter,
    Only,
    Terms,
    flat,
    listing,
    member,
    narrowed,
    seen,
)
from services.gateway.fhir.search.query import Query
from services.gateway.store import search_places
from services.gateway.store.database import Database
from services.gateway.store.search_compartment import of_every_type
from services.gateway.store.search_includes import included
from services.gateway.store.search_index import Terms as HashedTerms
from services.gateway.store.search_links import following, keys_of, resolved
from services.gateway.store.search_scan import (
    CHUNK_MAX,
    NEWEST,
    Candidate,
    Order,
    Pass,
    Place,
    Reading,
    chunk,
    count,
    order_term,
    parsed,
)
from services.gateway.store.search_sort import in_memory, sorted_page
from services.gateway.store.search_value_sets import PLAIN, listed
from services.gateway.store.stored import Stored


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search."""

    matches: list[Stored]
    included: list[Stored]
    next: str = ""
    """Token of the next page; empty: this is the last."""
    total: int | None = None
    """Matches on all pages; None: not asked for."""
    complete: bool = True
    """Whether all that was to be included is there; else a limit cut it off."""


class Searches:
    """Searches over the resources of every tenant."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._terms: dict[str, HashedTerms] = {}

    async def page(
        self,
        tenant: str,
        query: Query,
        visibility: Visibility,
        *,
        after: str = "",
        connection: AsyncConnection | None = None,
    ) -> Page:
        """Return one page of matches, newest created first or as the query sorts.

        Raises
        ------
        InvalidInput
            `after`, or the query's own, is no place this server gave out for this search.
        TooCostly
        """
        query = replace(query, after=after) if after else query
        async with self._reading(connection, tenant, visibility, query.setting.base_url) as reading:
            wanted = await self._prepared(reading, query)
            if query.count == 0 or query.summary == "count":
                return Page([], [], total=await self._total(reading, wanted))
            place = None
            if query.after:
                place = search_places.opened(reading.cipher, tenant, query)
            if in_memory(query.sort):
                matches, last = await sorted_page(self, reading, wanted, query, place)
            else:
                matches, last = await self._matches(reading, wanted, query, place)
            total = await self._asked_total(reading, wanted, query)
            if total is None and place is None and last is None and query.total != "none":
                total = len(matches)
            found: list[Candidate] = []
            complete = True
            if matches and (query.includes or query.revincludes):
                found, complete = await included(self, reading, query, parsed(matches))
            token = search_places.sealed(reading.cipher, tenant, query, last) if last else ""
        stored, beside = [one.stored for one in matches], [one.stored for one in found]
        return Page(stored, beside, token, total, complete)

    async def keys(
        self,
        connection: AsyncConnection | None,
        tenant: str,
        query: Query,
        visibility: Visibility,
        limit: int,
    ) -> list[tuple[str, str]]:
        """Return type and id of the first matches, at most `limit`."""
        async with self._reading(connection, tenant, visibility, query.setting.base_url) as reading:
            wanted = await self._prepared(reading, query)
            found, _ = await self._scan(reading, wanted, NEWEST, None, limit, COUNT_SCAN_MAX)
        return [(one.stored.type, one.stored.id) for one in found[:limit]]

    async def visible(
        self,
        tenant: str,
        kind: str,
        ids: Sequence[str],
        visibility: Visibility,
        *,
        connection: AsyncConnection | None = None,
    ) -> set[str]:
        """Return which of some resources of a type exist and may be seen."""
        async with self._reading(connection, tenant, visibility, "") as reading:
            only = await keys_of(reading, kind, list(dict.fromkeys(ids)))
            found: set[str] = set()
            for start in range(0, len(only.keys), CHUNK_MAX):
                part = Only(only.keys[start : start + CHUNK_MAX])
                some = await self.find(reading, kind, [], only=part, limit=CHUNK_MAX)
                found |= {one.stored.id for one in some or ()}
        return found

    async def find(
        self,
        reading: Reading,
        kind: str,
        conditions: Sequence[Condition],
        *,
        only: Only | None = None,
        limit: int,
    ) -> list[Candidate] | None:
        """Return all visible resources that meet conditions, read; None: more than `limit`."""
        wanted = await self._passed(reading, kind, conditions)
        if only is not None:
            wanted = replace(wanted, filters=(*wanted.filters, only))
        found, last = await self._scan(reading, wanted, NEWEST, None, limit + 1, SCAN_MAX)
        return None if last is not None or len(found) > limit else parsed(found)

    async def first(
        self, reading: Reading, kind: str, terms: Terms, *, limit: int
    ) -> list[Candidate]:
        """Return the first visible resources under any of some terms, read."""
        wanted = await self._passed(reading, kind, [])
        wanted = replace(wanted, filters=(*wanted.filters, terms))
        found, _ = await self._scan(reading, wanted, NEWEST, None, limit, SCAN_MAX)
        return parsed(found)

    @asynccontextmanager
    async def _reading(
        self,
        connection: AsyncConnection | None,
        tenant: str,
        visibility: Visibility,
        base_url: str,
    ) -> AsyncIterator[Reading]:
        if tenant not in self._terms:
            self._terms[tenant] = HashedTerms(await self._db.hasher_for(tenant))
        term, cipher = self._terms[tenant].term, await self._db.cipher_for(tenant)
        if connection is not None:
            yield Reading(connection, cipher, tenant, visibility, term, base_url)
            return
        async with self._db.read() as own:
            yield Reading(own, cipher, tenant, visibility, term, base_url)

    async def _prepared(self, reading: Reading, query: Query) -> Pass:
        if query.kind == EVERY:
            return of_every_type(reading, query)
        wanted = await self._passed(reading, query.kind, query.criteria)
        if query.compartment:
            wanted = replace(wanted, filters=(*wanted.filters, member(query.compartment)))
        return wanted

    async def _passed(self, reading: Reading, kind: str, conditions: Sequence[Condition]) -> Pass:
        sight, rules = seen(kind, reading.visibility, reading.base_url)
        filters: list[Filter] = [listing(kind), *flat(sight.filter)]
        deferring = kind != "Binary" or reading.visibility.restricted
        wanted = Pass(kind, (), rules=None if sight.exact else rules, deferring=deferring)
        for condition in conditions:
            if isinstance(condition, Criterion):
                if condition.modifier in PLAIN:
                    condition = await listed(self, reading, condition)
                found = narrowed(condition)
                filters += flat(found.filter)
                if not found.exact:
                    wanted = replace(wanted, checks=(*wanted.checks, condition))
                continue
            terms = await resolved(self, reading, kind, condition, LINKED_MAX)
            if terms is None:
                wanted = replace(wanted, later=(*wanted.later, condition))
            else:
                filters.append(terms if terms.any_of else Either(()))
        return replace(wanted, filters=tuple(filters))

    async def _matches(
        self, reading: Reading, wanted: Pass, query: Query, place: Place | None
    ) -> tuple[list[Candidate], Place | None]:
        """Return the matches of a page, and the place of the last when there may be more."""
        order = NEWEST
        if query.sort:
            (key,) = query.sort
            order = Order(order_term(query.kind, key.definition.code), key.descending)
        found, last = await self._scan(reading, wanted, order, place, query.count + 1, SCAN_MAX)
        if len(found) > query.count:
            return found[: query.count], found[query.count - 1].place
        return found, last

    async def _scan(
        self,
        reading: Reading,
        wanted: Pass,
        order: Order,
        after: Place | None,
        limit: int,
        scan_max: int,
    ) -> tuple[list[Candidate], Place | None]:
        """Return up to `limit` matches; a place: the scan stopped there before it was done."""
        found: list[Candidate] = []
        scanned, size = 0, limit if wanted.exact else max(limit, 50)
        while True:
            size = min(size, CHUNK_MAX) if not wanted.exact else limit
            candidates = await chunk(reading, wanted, order, after, size)
            scanned += len(candidates)
            found += await self._kept(reading, wanted, candidates)
            if len(found) >= limit or len(candidates) < size:
                return found[:limit], None
            after, size = candidates[-1].place, size * 2
            if scanned >= scan_max:
                return found, after

    async def _kept(
        self, reading: Reading, wanted: Pass, candidates: list[Candidate]
    ) -> list[Candidate]:
        if wanted.exact:
            return candidates
        kept = [
            one
            for one in parsed(candidates)
            if (wanted.deferring or not one.stored.owned)
            and wanted.keeps(one.resource, reading.base_url)
        ]
        for condition in wanted.later:
            kept = await following(self, reading, condition, kept)
        return kept

    async def _asked_total(self, reading: Reading, wanted: Pass, query: Query) -> int | None:
        if query.total == "accurate":
            return await self._total(reading, wanted)
        if query.total == "estimate":
            try:
                return await self._total(reading, wanted)
            except TooCostly:
                return None
        return None

    async def _total(self, reading: Reading, wanted: Pass) -> int:
        if wanted.exact:
            return await count(reading, wanted)
        limit = COUNT_SCAN_MAX + 1
        found, last = await self._scan(reading, wanted, NEWEST, None, limit, COUNT_SCAN_MAX)
        if last is not None or len(found) > COUNT_SCAN_MAX:
            raise TooCostly(
                f"over {COUNT_SCAN_MAX} resources would have to be read to count the matches; "
                "leave _total out, or add a parameter that narrows the search"
            )
        return len(found)
