"""Background work that replicas share: leases, and the search index filled anew."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from services.gateway.store import Store
from services.gateway.store.database import Database
from services.gateway.store.incoming import Incoming
from services.gateway.store.leases import Leases
from services.gateway.store.refilling import BATCH, LEASE, refill


class Clock:
    """A time that moves when told."""

    def __init__(self) -> None:
        self.us = 1_000_000_000

    def __call__(self) -> int:
        return self.us


def holders(store: Store, clock: Clock, count: int = 2) -> list[Leases]:
    """Return the leases of so many replicas over one database."""
    engine, database = store.database.engine, store.database
    made = Database(engine, database.cipher_for, database.hasher_for, clock)
    return [Leases(made) for _ in range(count)]


@pytest.mark.requirement("DX-STO-08")
async def test_lease_is_held_by_one_renewed_released_and_taken_over(store: Store) -> None:
    clock = Clock()
    one, two = holders(store, clock)
    assert await one.hold("x", 10)
    assert not await two.hold("x", 10)
    assert await two.hold("y", 10)
    clock.us += 9_000_000
    assert await one.hold("x", 10)
    clock.us += 9_000_000
    assert not await two.hold("x", 10)
    clock.us += 1_000_001
    assert await two.hold("x", 10)
    assert not await one.hold("x", 10)
    await one.release("x")
    assert not await one.hold("x", 10)
    await two.release("x")
    assert await one.hold("x", 10)


@pytest.mark.requirement("DX-STO-08")
async def test_of_many_that_ask_at_once_one_gets_it(store: Store) -> None:
    asked = [leases.hold("x", 10) for leases in holders(store, Clock(), 8)]
    assert sorted(await asyncio.gather(*asked)) == [False] * 7 + [True]


async def _index(store: Store) -> dict[str, list[Any]]:
    """Return every row of the search index."""
    found: dict[str, list[Any]] = {}
    async with store.database.read() as connection:
        for table in ("gateway_terms", "gateway_ranges"):
            rows = await connection.execute(text(f"SELECT * FROM {table}"))
            found[table] = sorted(map(tuple, rows))
    return found


async def _filled(store: Store) -> None:
    items = [
        Incoming(
            resource={
                "resourceType": "Patient",
                "id": f"p-{n}",
                "birthDate": "1970-01-02",
                "name": [{"family": f"Name{n}"}],
            }
        )
        for n in range(BATCH + 3)
    ]
    for tenant in ("north", "south"):
        async with store.resources.writing(tenant) as writing:
            await writing.save_many(items)
            await writing.save({"resourceType": "Patient", "id": "p-1", "active": True})
            await writing.remove("Patient", "p-2")


@pytest.mark.requirement("DX-STO-09")
async def test_index_of_earlier_rules_is_filled_anew_once(store: Store) -> None:
    await _filled(store)
    before = await _index(store)
    assert before["gateway_ranges"]
    async with store.database.begin() as connection:
        await connection.execute(text("DELETE FROM gateway_terms WHERE tenant = 'north'"))
        await connection.execute(text("UPDATE gateway_ranges SET high = high + 1"))
        await connection.execute(text("UPDATE gateway_tenants SET indexed = 0"))
    replicas = [refill(store.database, store.resources, Leases(store.database)) for _ in range(3)]
    counts = await asyncio.gather(*replicas)
    assert sorted(counts) == [0, 0, 2 * (BATCH + 2)]
    assert await _index(store) == before
    assert await refill(store.database, store.resources, store.leases) == 0


@pytest.mark.requirement("DX-STO-09")
async def test_filling_is_taken_over_from_a_replica_that_is_gone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _filled(store)
    before = await _index(store)
    async with store.database.begin() as connection:
        await connection.execute(text("UPDATE gateway_tenants SET indexed = 0"))
    assert await Leases(store.database).hold(LEASE, 0.5)
    monkeypatch.setattr("services.gateway.store.refilling.WAIT_S", 0.1)
    assert await refill(store.database, store.resources, store.leases) == 2 * (BATCH + 2)
    assert await _index(store) == before


@pytest.mark.requirement("DX-STO-09")
async def test_index_follows_the_resource(store: Store) -> None:
    async def rows() -> int:
        return sum(map(len, (await _index(store)).values()))

    async with store.resources.writing("north") as writing:
        await writing.save({"resourceType": "Patient", "id": "p", "birthDate": "1970-01-02"})
    full = await rows()
    async with store.resources.writing("north") as writing:
        await writing.save({"resourceType": "Patient", "id": "p"})
    assert 0 < await rows() < full
    async with store.resources.writing("north") as writing:
        await writing.remove("Patient", "p")
    assert await rows() == 0
