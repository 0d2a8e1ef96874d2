"""The journal: shared commits, and the trail that was kept before it."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import event, text

from services.gateway.store import Store, migrations, open_store
from services.gateway.store.audit import AuditEntry
from services.gateway.store.audit_before import take_over
from services.kernel.database import open_engine
from services.kernel.testing import memory_blobs


def entry(number: int, tenant: str = "north") -> AuditEntry:
    name = f"Basic/b-{number}"
    return AuditEntry(
        tenant=tenant, interaction="read", agent="ehr-client", role="ehr", resource=name
    )


@pytest.mark.requirement("DX-AUD-05")
async def test_entries_that_wait_together_share_a_commit(store: Store) -> None:
    commits = 0

    def count(_: object) -> None:
        nonlocal commits
        commits += 1

    event.listen(store.database.engine.sync_engine, "commit", count)
    await asyncio.gather(*(store.audit.record(entry(n)) for n in range(200)))
    assert commits <= 3
    rows = await store.audit.rows("north", limit=500)
    assert [row.entry.resource for row in rows] == [f"Basic/b-{n}" for n in range(200)]


@pytest.mark.requirement("DX-AUD-05")
async def test_entry_of_one_that_went_away_is_written_all_the_same(store: Store) -> None:
    waiting = asyncio.create_task(store.audit.record(entry(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    await store.audit.record(entry(2))
    assert len(await store.audit.rows("north")) == 2


@pytest.mark.requirement("DX-AUD-05")
async def test_tenants_that_share_a_commit_have_their_own_keys(store: Store) -> None:
    await asyncio.gather(
        *(store.audit.record(entry(n, t)) for n, t in ((1, "north"), (2, "south")))
    )
    for tenant, name in (("north", "Basic/b-1"), ("south", "Basic/b-2")):
        assert [r.entry.resource for r in await store.audit.rows(tenant)] == [name]


@pytest.mark.requirement("DX-AUD-06")
async def test_trail_before_the_journal_is_taken_over_with_its_numbers(database_url: str) -> None:
    engine = open_engine(database_url)
    await migrations.upgrade(engine, "0004")
    insert = text(
        "INSERT INTO gateway_audit (id, tenant, time_us, agent, role, action, resource, case_id, "
        "succeeded) VALUES (:id, 'north', 5, 'ehr-client', 'ehr', 'search', "
        "'DiagnosticReport/r-1', 'c-1', :succeeded)"
    )
    async with engine.begin() as connection:
        for number in (3, 7):
            await connection.execute(insert, {"id": number, "succeeded": number == 3})
    await migrations.upgrade(engine)
    store = open_store(engine, memory_blobs("identity").vault, 3600, 1800)
    await store.audit.record(entry(1))
    assert await take_over(store.database) == 2
    assert await take_over(store.database) == 0
    rows = await store.audit.rows("north")
    assert [(r.number, r.entry.interaction, r.entry.succeeded) for r in rows] == [
        (3, "search-type", True),
        (7, "search-type", False),
        (8, "read", True),
    ]
    async with engine.connect() as connection:
        left = await connection.execute(text("SELECT count(*) FROM gateway_audit"))
        assert left.scalar_one() == 0
    assert await store.settling.settle("north") == 3
    await engine.dispose()
