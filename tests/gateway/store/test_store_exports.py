"""Exports and CDS Hooks in the store, on both databases: one moment, limits, tokens once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.gateway.access.rights import ANY, Permission, Rights
from services.gateway.export.job import DONE, File, Job, Progress
from services.gateway.export.request import Asked
from services.gateway.fhir.outcome import TooManyRequests
from services.gateway.store import Store
from services.gateway.store.export import Snapshot
from services.gateway.store.hooks import Feedback, SentCard, UsedToken
from services.kernel.errors import NotFound, Unauthenticated

RIGHTS = Rights((Permission(ANY, frozenset("rs"), "p", (("category", "a"),)),), restricted=True)
ASKED = Asked("group", ("Patient",), 1, 2, (("", "id"),), (("Patient", (("name", "x"),)),), ("p",))


def job(number: int = 1, owner: str = "me", tenant: str = "north") -> Job:
    return Job(
        tenant, f"j-{number}", owner, "running", 7, 1, number, 0, "http://x/fhir/$export",
        ASKED, RIGHTS,
    )  # fmt: skip


async def save(store: Store, *resources: dict[str, Any]) -> None:
    async with store.resources.writing("north") as writing:
        for resource in resources:
            await writing.save(resource)


def patient(number: int, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p-{number}"} | more


@pytest.mark.requirement("DX-BLK-02")
async def test_a_snapshot_stays_as_it_was(store: Store) -> None:
    await save(store, patient(1), patient(2), patient(3), {"resourceType": "Group", "id": "g"})
    seq, us = await store.exports.snapshot("north")
    last = await store.resources.find("north", "Group", "g")
    assert last
    assert (seq, us) == (last.seq, last.updated_us), "not the clock's time: a version's"
    await save(store, patient(1, gender="male"), patient(4))
    async with store.resources.writing("north") as writing:
        await writing.remove("Patient", "p-2")
    then = Snapshot(store.database, "north", seq)
    places = await then.places("Patient", 0, 0, 0, 10)
    assert [(p.id, p.version, p.deleted) for p in places] == [
        ("p-1", 1, False), ("p-2", 1, False), ("p-3", 1, False),
    ]  # fmt: skip
    assert await then.kinds() == ["Group", "Patient"]
    assert [p.id for p in await then.places("Patient", places[0].seq, 0, 0, 1)] == ["p-2"]
    later, _ = await store.exports.snapshot("north")
    now = Snapshot(store.database, "north", later)
    changed = await now.places("Patient", 0, us, 0, 10)
    assert [(p.id, p.deleted) for p in changed] == [
        ("p-1", False), ("p-4", False), ("p-2", True),
    ]  # fmt: skip
    assert [p.id for p in await now.places("Patient", 0, 0, us, 10)] == ["p-3"]
    [gone] = [p for p in changed if p.deleted]
    before = await now.before("Patient", gone)
    assert before
    assert before.version == 1
    assert all(p.size > 0 for p in places)


@pytest.mark.requirement("DX-BLK-05")
async def test_a_job_comes_back_as_it_was_written(store: Store) -> None:
    await store.exports.create(job(), [], of_tenant_max=9, of_owner_max=9)
    assert await store.exports.get("north", "j-1") == job()
    file = File("Patient-1.ndjson", "Patient", "output", 3, 99, "ab")
    progress = Progress(("Group",), 5, (file,), begun=True, all_kinds=2)
    assert await store.exports.save(job(), Progress(), progress)
    assert not await store.exports.save(job(), Progress(), Progress(("Patient",)))
    assert (await store.exports.get("north", "j-1")).progress == progress
    assert await store.exports.finish(job(), DONE, 60)
    assert not await store.exports.save(job(), progress, Progress()), "it does not run any more"
    with pytest.raises(NotFound):
        await store.exports.get("south", "j-1")
    await store.exports.cancel("north", "j-1")
    with pytest.raises(NotFound):
        await store.exports.get("north", "j-1")
    assert await store.exports.over(9) == [("north", "j-1")]


@pytest.mark.requirement("DX-BLK-07")
async def test_limits_hold_for_those_who_come_at_once(store: Store) -> None:
    await save(store, patient(1))

    async def start(number: int) -> bool:
        try:
            owner = f"o-{number % 3}"
            await store.exports.create(job(number, owner), [], of_tenant_max=4, of_owner_max=2)
        except TooManyRequests:
            return False
        return True

    taken = await asyncio.gather(*(start(number) for number in range(12)))
    assert sum(taken) == 4
    assert len(await store.exports.unfinished(20)) == 4


@pytest.mark.requirement("DX-CDS-02")
async def test_of_two_uses_of_a_token_at_once_one_is_answered(store: Store) -> None:
    async def use(number: int) -> bool:
        card = SentCard(f"0f0f0f0f-0000-4000-8000-00000000000{number}", "topic", "case")
        token = UsedToken("iss", "jti", 4_000_000_000)
        try:
            await store.hooks.answered("north", token, "service", "iss", [card], [])
        except Unauthenticated:
            return False
        return True

    assert sum(await asyncio.gather(*(use(number) for number in range(8)))) == 1
    assert not await use(9), "and none later"


@pytest.mark.requirement("DX-CDS-07")
async def test_feedback_is_held_against_the_card(store: Store) -> None:
    card = SentCard("0f0f0f0f-0000-4000-8000-000000000001", "topic", "case")
    await store.hooks.answered("north", UsedToken("i", "1", 4_000_000_000), "view", "i", [card], [])
    given = Feedback(card.card, "overridden", 5, "known", {"comment": "x"})
    for number in range(2):
        used = UsedToken("i", f"f-{number}", 4_000_000_000)
        await store.hooks.feedback("north", used, "view", [given], [])
    assert [c.count for c in await store.hooks.counts("north")] == [1]
    for tenant, service in (("south", "view"), ("north", "order")):
        with pytest.raises(NotFound):
            used = UsedToken("i", f"{tenant}-{service}", 4_000_000_000)
            await store.hooks.feedback(tenant, used, service, [given], [])
