"""Writes and reads that come at once, and what is told of a write with it."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from services.gateway.store import Store, sql
from services.gateway.store.audit import AuditEntry
from services.gateway.store.incoming import Incoming
from services.gateway.store.resource_tables import RESOURCES, TENANTS
from services.gateway.store.writing import Writing
from services.kernel import fhir
from tests.gateway.store.saving import basic, save


@pytest.mark.requirement("DX-STO-04")
async def test_order_has_no_gap_under_concurrency_and_after_failures(store: Store) -> None:
    async def write(number: int) -> None:
        async with store.resources.writing("north") as writing:
            await writing.save(basic(number))
            await writing.save(basic(number, language="en"))
            if number % 5 == 4:
                raise LookupError

    tasks = [write(number) for number in range(25)]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(error, LookupError) for error in done) == 5
    found = await store.resources.history("north", after_seq=0, count=100)
    assert sorted(s.seq for s in found) == list(range(1, 41))
    by_seq = sorted(found, key=lambda s: s.seq)
    assert [s.updated_us for s in by_seq] == sorted(s.updated_us for s in by_seq)
    for first, second in zip(by_seq[::2], by_seq[1::2], strict=True):
        assert (first.id, first.version, second.version) == (second.id, 1, 2)


@pytest.mark.requirement("DX-STO-04")
async def test_what_is_seen_in_order_is_never_overtaken(store: Store) -> None:
    """A reader that remembers the last number it saw misses nothing that is committed later."""
    seen: list[int] = []
    stop = asyncio.Event()

    async def follow() -> None:
        while not (stop.is_set() and len(seen) >= 40):
            last = seen[-1] if seen else 0
            query = (
                select(RESOURCES.c.seq)
                .where(RESOURCES.c.tenant == "north", RESOURCES.c.seq > last)
                .order_by(RESOURCES.c.seq)
            )
            async with store.database.read() as connection:
                seen.extend((await connection.execute(query)).scalars())
            await asyncio.sleep(0)

    async def write(number: int) -> None:
        async with store.resources.writing("north") as writing:
            await writing.save(basic(number))
            await asyncio.sleep(0.002 * (number % 3))
            await writing.save({"resourceType": "Flag", "id": f"f-{number}"})

    reader = asyncio.create_task(follow())
    await asyncio.gather(*(write(number) for number in range(20)))
    stop.set()
    await asyncio.wait_for(reader, 20)
    assert seen == list(range(1, 41))


@pytest.mark.requirement("DX-STO-04")
async def test_two_that_create_on_condition_at_once_make_one(store: Store) -> None:
    async def create_unless_there() -> bool:
        async with store.resources.writing("north") as writing:
            if await writing.current("Basic", "b-0"):
                return False
            await asyncio.sleep(0.01)
            await writing.save(basic(), method="POST")
            return True

    made = await asyncio.gather(*(create_unless_there() for _ in range(8)))
    assert sorted(made) == [False] * 7 + [True]
    assert len(await store.resources.history("north", count=10)) == 1


@pytest.mark.requirement("DX-STO-04")
async def test_tenants_write_at_the_same_time(store: Store) -> None:
    if store.database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer for all tenants")
    async with store.resources.writing("north") as writing:
        await writing.save(basic())
        await asyncio.wait_for(save(store, basic(), "south"), 5)


class Watcher:
    """Notes what it is told; refuses when asked to."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.refuses = False

    async def written(self, writing: Writing) -> None:
        self.seen.append([stored.seq for stored in writing.changes])
        if self.refuses:
            raise LookupError


@pytest.mark.requirement("DX-STO-07")
async def test_observers_and_journal_are_committed_with_the_change_or_not_at_all(
    store: Store,
) -> None:
    watcher = Watcher()
    store.resources.observers.append(watcher)
    entry = AuditEntry(tenant="north", interaction="create", agent="a", role="ehr")
    async with store.resources.writing("north") as writing:
        await writing.save_many([Incoming(resource=basic(n)) for n in range(2)])
        writing.audit(entry)
    watcher.refuses = True
    with pytest.raises(LookupError):
        async with store.resources.writing("north") as writing:
            await writing.save(basic(5))
            writing.audit(entry)
    assert watcher.seen == [[1, 2], [3]]
    assert len(await store.audit.rows("north")) == 1
    assert [s.seq for s in await store.resources.history("north", count=9)] == [2, 1]
    async with store.database.read() as connection:
        assert (await connection.execute(select(TENANTS.c.seq))).scalars().all() == [2]


@pytest.mark.requirement("DX-STO-01")
async def test_many_at_once_are_as_one_after_the_other(store: Store) -> None:
    items = [Incoming(resource=basic(n % 400, language=f"l{n}")) for n in range(1200)]
    items += [items[-1]]
    async with store.resources.writing("north") as writing:
        saved = await writing.save_many(items)
    assert [stored.seq for stored, _ in saved] == [*range(1, 1201), 1200]
    assert [created for _, created in saved] == [True] * 400 + [False] * 801
    assert {stored.version for stored, _ in saved[800:]} == {3}
    keys = [("Basic", f"b-{n}") for n in range(400)]
    found = await store.resources.find_many("north", [*keys, ("Basic", "none")])
    assert [s.key for s in found] == list(range(1, 401))


@pytest.mark.requirement("DX-STO-10")
async def test_reads_at_once_get_their_own_answers_also_one_after_the_other(store: Store) -> None:
    async with store.resources.writing("north") as writing:
        await writing.save_many([Incoming(resource=basic(n)) for n in range(100)])
    await save(store, basic(3, language="en"), "south")

    async def read(turn: int) -> None:
        for step in range(6):
            number = (turn * 7 + step) % 120
            found = await store.resources.find("north", "Basic", f"b-{number}")
            assert (found.id if found else "") == (f"b-{number}" if number < 100 else "")
            if found:
                assert "language" not in fhir.parse(found.content)

    await asyncio.wait_for(asyncio.gather(*(read(turn) for turn in range(150))), 60)
    theirs = await store.resources.find("south", "Basic", "b-3")
    assert theirs and fhir.parse(theirs.content)["language"] == "en"


@pytest.mark.requirement("DX-STO-10")
async def test_read_that_cannot_be_asked_for_or_is_given_up_spoils_no_other(store: Store) -> None:
    await save(store, basic())
    find = store.resources.find
    odd = ["\0", "\ud800", "b-0' OR '1'='1", '"]]', "x" * 10_000]
    given_up = asyncio.create_task(find("north", "Basic", "b-0"))
    tasks = [asyncio.create_task(find("north", "Basic", name)) for name in [*odd, "b-0"]]
    await asyncio.sleep(0)
    given_up.cancel()
    *none, found = await asyncio.wait_for(asyncio.gather(*tasks), 20)
    assert none == [None] * len(odd)
    assert found and found.id == "b-0"


@pytest.mark.requirement("DX-STO-10")
async def test_reads_fail_together_while_the_database_is_away_and_then_work(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await save(store, basic())
    with monkeypatch.context() as patch:
        patch.setattr(sql.CURRENT_VERSIONS, "sqlite", "SELECT * FROM nothing")
        patch.setattr(sql.CURRENT_VERSIONS, "postgresql", "SELECT * FROM nothing")
        reads = [store.resources.find("north", "Basic", "b-0") for _ in range(5)]
        errors = await asyncio.wait_for(asyncio.gather(*reads, return_exceptions=True), 20)
        assert all(isinstance(error, Exception) for error in errors)
    assert await store.resources.find("north", "Basic", "b-0")
