"""After an upgrade: the search index of every tenant is filled anew, by one replica.

A search must not be answered from half an index, so a replica serves only after this.
"""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import select, update

from services.gateway.store.database import Database
from services.gateway.store.indexing import SearchIndexer
from services.gateway.store.leases import Leases
from services.gateway.store.lookup import same_version
from services.gateway.store.resource_tables import CURRENT, RESOURCES, TENANTS
from services.gateway.store.resources import Resources
from services.gateway.store.stored import unsealed
from services.kernel import fhir

log = logging.getLogger(__name__)

BATCH = 200
"""Resources of one transaction: writers of the tenant wait no longer than for these."""
LEASE, LEASE_S, WAIT_S = "refill-search-index", 60.0, 1.0


async def refill(database: Database, resources: Resources, leases: Leases) -> int:
    """Fill the index of every tenant whose rows were made by earlier rules.

    Returns how many resources were indexed here; waits while another replica does it.
    """
    count, indexer = 0, SearchIndexer(database)
    while tenants := await _behind(database):
        if not await leases.hold(LEASE, LEASE_S):
            await asyncio.sleep(WAIT_S)
            continue
        for tenant in tenants:
            after = 0
            while after >= 0:
                after, done = await _fill(resources, indexer, tenant, after)
                count += done
                await leases.hold(LEASE, LEASE_S)
            log.info("the search index of a tenant is filled anew")
        await leases.release(LEASE)
    return count


async def _behind(database: Database) -> list[str]:
    query = select(TENANTS.c.tenant).where(TENANTS.c.indexed < SearchIndexer.rules)
    async with database.read() as connection:
        return list((await connection.execute(query.order_by(TENANTS.c.tenant))).scalars())


async def _fill(
    resources: Resources, indexer: SearchIndexer, tenant: str, after: int
) -> tuple[int, int]:
    """Index the resources after a key; return the last key (-1: all are) and how many."""
    query = (
        select(RESOURCES)
        .join(CURRENT, same_version())
        .where(CURRENT.c.tenant == tenant, CURRENT.c.key > after, ~CURRENT.c.deleted)
        .order_by(CURRENT.c.key)
        .limit(BATCH)
    )
    async with resources.writing(tenant) as writing:
        rows = (await writing.connection.execute(query)).mappings().all()
        found = [unsealed(writing.cipher, row) for row in rows]
        items = [(stored, dict(fhir.parse(stored.content))) for stored in found]
        await indexer.write(writing.connection, tenant, items, refill=True)
        if len(found) == BATCH:
            return found[-1].key, len(found)
        where = TENANTS.c.tenant == tenant
        done = update(TENANTS).where(where).values(indexed=SearchIndexer.rules)
        await writing.connection.execute(done)
        return -1, len(found)
