"""Events are numbered without a gap, in the order of the commits, on both databases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.gateway.store import Store, open_store
from services.gateway.subscriptions.definition import Criterion, Definition
from services.gateway.subscriptions.numbering import Numbering
from services.gateway.subscriptions.registration import Owner, Registration
from services.kernel.database import open_engine
from services.kernel.testing import memory_blobs


def basic(name: str, text: str = "x") -> dict[str, Any]:
    return {"resourceType": "Basic", "id": name, "code": {"text": text}}


async def subscribe(store: Store, name: str, tenant: str = "north") -> None:
    """Register a Subscription for every Basic."""
    definition = Definition(criteria=(Criterion("Basic", ()),), endpoint="https://a.example/")
    registration = Registration(definition, Owner("ehr-client", "ehr"), "https://gateway.example")
    async with store.resources.writing(tenant) as writing:
        await store.subscriptions.register(
            writing.connection, tenant, name, registration, "requested"
        )


def number(store: Store) -> Store:
    store.resources.observers.append(Numbering(store.subscriptions, lambda: None))
    return store


async def write(store: Store, resource: dict[str, Any], tenant: str = "north") -> int:
    async with store.resources.writing(tenant) as writing:
        stored, _ = await writing.save(resource)
    return stored.seq


@pytest.mark.requirement("DX-SUB-01")
async def test_writers_at_once_leave_no_gap_and_no_disorder(
    store: Store, database_url: str
) -> None:
    vault = memory_blobs("identity").vault
    engines = [open_engine(database_url) for _ in range(3)]
    replicas = [number(open_store(engine, vault, 3600, 1800)) for engine in engines]
    await subscribe(replicas[0], "s-1")
    await subscribe(replicas[1], "s-2")

    async def many(replica: Store, who: int) -> list[int]:
        return [await write(replica, basic(f"b-{who}-{n}")) for n in range(15)]

    written = await asyncio.gather(*(many(replica, n) for n, replica in enumerate(replicas)))
    order = {seq for seqs in written for seq in seqs}
    for name in ("s-1", "s-2"):
        standing = await replicas[2].subscriptions.standing("north", name)
        assert standing and standing.numbered == 45
        events = await replicas[2].subscriptions.events("north", name, after=0, limit=100)
        assert [event.number for event in events] == list(range(1, 46))
        stored = await replicas[0].resources.find_many(
            "north", [(event.type, event.id) for event in events]
        )
        assert [one.seq for one in stored] == sorted(order)
    for engine in engines:
        await engine.dispose()


@pytest.mark.requirement("DX-SUB-01")
async def test_what_is_rolled_back_takes_its_numbers_with_it(store: Store) -> None:
    number(store)
    await subscribe(store, "s-1")
    await write(store, basic("b-1"))
    with pytest.raises(RuntimeError):
        async with store.resources.writing("north") as writing:
            await writing.save(basic("b-2"))
            for observer in store.resources.observers:
                await observer.written(writing)
            raise RuntimeError
    await write(store, basic("b-3"))
    events = await store.subscriptions.events("north", "s-1", after=0, limit=10)
    assert [(event.number, event.id) for event in events] == [(1, "b-1"), (2, "b-3")]


@pytest.mark.requirement("DX-SUB-01")
async def test_subscription_that_was_rolled_back_is_not_remembered(store: Store) -> None:
    number(store)
    await subscribe(store, "s-1")
    definition = Definition(criteria=(Criterion("Basic", ()),), endpoint="https://b.example/")
    registration = Registration(definition, Owner("ehr-client", "ehr"), "https://gateway.example")
    with pytest.raises(RuntimeError):
        async with store.resources.writing("north") as writing:
            await store.subscriptions.register(
                writing.connection, "north", "s-2", registration, "requested"
            )
            await writing.save(basic("b-1"))
            for observer in store.resources.observers:
                await observer.written(writing)  # remembers s-2
            raise RuntimeError
    await write(store, basic("b-2"))
    assert await store.subscriptions.standing("north", "s-2") is None
    standing = await store.subscriptions.standing("north", "s-1")
    assert standing and standing.numbered == 1


@pytest.mark.requirement("DX-SUB-01")
async def test_replica_that_remembers_hears_of_a_subscription_made_elsewhere(
    store: Store, database_url: str
) -> None:
    vault = memory_blobs("identity").vault
    engines = [open_engine(database_url) for _ in range(2)]
    one, two = (number(open_store(engine, vault, 3600, 1800)) for engine in engines)
    await subscribe(one, "s-1")
    await write(two, basic("b-1"))
    await subscribe(one, "s-2")
    await write(two, basic("b-2"))
    standing = await one.subscriptions.standing("north", "s-2")
    assert standing and standing.numbered == 1
    for engine in engines:
        await engine.dispose()


@pytest.mark.requirement("DX-SUB-09")
async def test_numbers_of_tenants_have_nothing_to_do_with_each_other(store: Store) -> None:
    number(store)
    await subscribe(store, "s-1", "north")
    await subscribe(store, "s-1", "south")
    await write(store, basic("b-1"), "south")
    assert (await store.subscriptions.events("north", "s-1", after=0, limit=9)) == []
    assert len(await store.subscriptions.events("south", "s-1", after=0, limit=9)) == 1


@pytest.mark.requirement("DX-SUB-05")
async def test_delivered_events_are_kept_for_their_days_and_waiting_ones_always(
    store: Store,
) -> None:
    number(store)
    await subscribe(store, "s-1")
    for name in ("b-1", "b-2", "b-3"):
        await write(store, basic(name))
    standing = await store.subscriptions.standing("north", "s-1")
    assert standing
    await store.subscriptions.taken(standing, 2, 1)
    await store.subscriptions.forget_events(1)
    assert len(await store.subscriptions.events("north", "s-1", after=0, limit=9)) == 3
    await store.subscriptions.forget_events(store.database.now_us() + 1_000_000)
    left = await store.subscriptions.events("north", "s-1", after=0, limit=9)
    assert [event.number for event in left] == [3]


@pytest.mark.requirement("DX-SUB-04")
async def test_what_is_due_and_what_an_owner_overtook(store: Store) -> None:
    number(store)
    subscriptions = store.subscriptions
    await subscribe(store, "s-1")
    assert await subscriptions.due(10, 9) == [("north", "s-1")]  # not greeted yet
    standing = await subscriptions.standing("north", "s-1")
    assert standing
    await subscriptions.taken(standing, 0, 10)
    assert await subscriptions.due(10, 9) == []
    await write(store, basic("b-1"))
    assert await subscriptions.due(10, 9) == [("north", "s-1")]
    standing = await subscriptions.standing("north", "s-1")
    assert standing and standing.waiting == 1
    await subscriptions.failed(standing, "HTTP_503", 10, 500)
    assert await subscriptions.due(499, 9) == []
    assert await subscriptions.due(500, 9) == [("north", "s-1")]
    await subscribe(store, "s-1")  # written by its owner: what was sent before says nothing
    async with store.resources.writing("north") as writing:
        assert not await subscriptions.set_status(writing.connection, standing, "error")
    await subscriptions.taken(standing, 1, 600)
    after = await subscriptions.standing("north", "s-1")
    assert after and (after.waiting, after.failures, after.greeted) == (1, 0, False)
    async with store.resources.writing("north") as writing:
        await subscriptions.turn_off(writing.connection, "north", "s-1")
    assert await subscriptions.due(10_000, 9) == []
    await write(store, basic("b-2"))
    off = await subscriptions.standing("north", "s-1")
    assert off and (off.status, off.numbered) == ("off", 1)
    async with store.resources.writing("north") as writing:
        await subscriptions.drop(writing.connection, "north", "s-1")
    assert await subscriptions.standing("north", "s-1") is None
    assert await subscriptions.events("north", "s-1", after=0, limit=9) == []
