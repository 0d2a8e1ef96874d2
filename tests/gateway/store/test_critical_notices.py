"""Notices of critical results on both databases: an escalation is counted by one replica."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.gateway.store import Store
from services.gateway.store.critical import NEVER_US, OPEN, READ, Notice


def notice(number: int = 1, **changes: Any) -> Notice:
    values: dict[str, Any] = {
        "tenant": "north", "id": f"n-{number}", "case_id": "c", "part_id": "labs-1",
        "about_hash": f"h-{number}", "same_hash": "", "state": OPEN, "found_us": 1,
        "sent_us": 1, "read_us": 0,
        "next_us": 5, "escalations": 0,
    }  # fmt: skip
    return Notice(**(values | changes))


async def add(store: Store, *notices: Notice) -> None:
    async with store.cases.transaction() as connection:
        await store.critical.add(connection, notices)


@pytest.mark.requirement("DX-CRI-11")
async def test_one_of_many_takes_what_is_due(store: Store) -> None:
    await add(store, notice(1), notice(2, next_us=NEVER_US), notice(3, state=READ))
    (due,) = await store.critical.due(10)

    async def take() -> bool:
        async with store.cases.transaction() as connection:
            return await store.critical.take(connection, due, 9)

    assert sorted(await asyncio.gather(*(take() for _ in range(6)))) == [False] * 5 + [True]
    (now,) = await store.critical.due(10)
    assert (now.escalations, now.next_us, now.communications) == (1, 9, ["n-1", "n-1-1"])
    assert await store.critical.of_communication("north", "n-1-1") == now
    assert await store.critical.of_communication("north", "n-1-2") is None


@pytest.mark.requirement("DX-CRI-08")
async def test_a_case_forgets_its_notices_and_no_others(store: Store) -> None:
    await add(store, notice(1), notice(2, case_id="other"), notice(3, tenant="south"))
    async with store.cases.transaction() as connection:
        dropped = await store.critical.drop(connection, "north", "c")
    assert [each.id for each in dropped] == ["n-1"]
    assert [each.id for each in await store.critical.due(10)] == ["n-2", "n-3"]
