"""Writers that wait for one another share a commit; each fails, or goes away, on its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event, text

from services.gateway.store import Store, convoy
from services.kernel.errors import Unavailable


def flag(number: int) -> dict[str, Any]:
    return {"resourceType": "Flag", "id": f"f-{number}"}


async def save(store: Store, number: int) -> int:
    async with store.resources.writing("north") as writing:
        stored, _ = await writing.save(flag(number))
    return stored.seq


async def stored(store: Store) -> list[tuple[int, str]]:
    found = await store.resources.history("north", count=500)
    return sorted((s.seq, s.id) for s in found)


@pytest.mark.requirement("DX-STO-11")
async def test_writers_that_wait_share_a_commit(store: Store) -> None:
    await save(store, 1000)
    commits: list[Any] = []
    event.listen(store.database.engine.sync_engine, "commit", commits.append)
    seqs = await asyncio.wait_for(asyncio.gather(*(save(store, n) for n in range(40))), 60)
    assert sorted(seqs) == list(range(2, 42))
    assert len(commits) < 40
    assert len(await stored(store)) == 41


@pytest.mark.requirement("DX-STO-11")
async def test_one_that_fails_takes_back_its_own_part_alone(store: Store) -> None:
    async def write(number: int) -> None:
        async with store.resources.writing("north") as writing:
            await writing.save(flag(number))
            if number % 3 == 0:
                raise LookupError
            if number % 7 == 0:  # PostgreSQL refuses every further statement of the transaction
                await writing.connection.execute(text("SELECT nothing FROM nowhere"))

    tasks = (write(number) for number in range(30))
    done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
    kept = [n for n in range(30) if n % 3 and n % 7]
    assert [n for n, error in enumerate(done) if error is None] == kept
    found = await stored(store)
    assert [seq for seq, _ in found] == list(range(1, len(kept) + 1))
    assert {name for _, name in found} == {f"f-{n}" for n in kept}


@pytest.mark.requirement("DX-STO-11")
async def test_those_who_go_away_hold_nobody_up(store: Store) -> None:
    tasks = [asyncio.create_task(save(store, number)) for number in range(30)]
    for turn, task in enumerate(tasks):
        if turn % 2:
            await asyncio.sleep(0.001 * (turn % 5))
            task.cancel()
    done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
    stayed = {f"f-{n}" for n in range(30) if not isinstance(done[n], BaseException)}
    assert {f"f-{n}" for n in range(0, 30, 2)} <= stayed
    found = await stored(store)
    assert stayed <= {name for _, name in found}
    assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
    assert await asyncio.wait_for(save(store, 99), 20) == len(found) + 1


@pytest.mark.requirement("DX-STO-11")
async def test_last_in_line_that_goes_away_leaves_the_commit_to_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before saw somebody waiting and did not commit: it must be done all the same."""
    monkeypatch.setattr(convoy, "OPEN_S", 1000.0)
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with store.resources.writing("north") as writing:
            await writing.save(flag(0))
            inside.set()
            await go_on.wait()

    writer = asyncio.create_task(first())
    await inside.wait()
    waiter = asyncio.create_task(save(store, 1))
    await asyncio.sleep(0.01)
    turn = store.resources._convoys["north"]._turn
    release = turn.release

    def release_to_nobody() -> None:
        release()
        waiter.cancel()

    turn.release = release_to_nobody  # type: ignore[method-assign]
    go_on.set()
    await asyncio.wait_for(writer, 20)
    assert waiter.cancelled()
    assert await stored(store) == [(1, "f-0")]


@pytest.mark.requirement("DX-STO-11")
async def test_turn_that_never_comes_is_an_outage(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convoy, "TURN_S", 0.1)
    async with store.resources.writing("north") as writing:
        await writing.save(flag(0))
        with pytest.raises(Unavailable):
            await asyncio.create_task(save(store, 1))
    assert await stored(store) == [(1, "f-0")]
