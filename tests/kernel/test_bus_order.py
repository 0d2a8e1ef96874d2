"""What a worker takes first, and how much it holds, over a real nats-server."""

from __future__ import annotations

import asyncio

import pytest
from dxmesh.event.v1.part_ready_pb2 import PartReady

from services.kernel.subjects import PART_LABS
from tests.kernel.messages import ROUTINE, STAT, URGENT, Connect, Seen, part, until

pytestmark = pytest.mark.flow


class Gate:
    """A handler that holds each event until it is let through; counts what it holds."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.holding = self.most = 0
        self._open = asyncio.Semaphore(0)

    async def handle(self, event: PartReady) -> None:
        self.taken.append(event.case.priority)
        self.holding += 1
        self.most = max(self.most, self.holding)
        await self._open.acquire()
        self.holding -= 1

    def let(self, count: int) -> None:
        for _ in range(count):
            self._open.release()


@pytest.mark.requirement("DX-BUS-08")
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_stat_is_next_although_300_routine_messages_wait(
    connect: Connect, concurrency: int
) -> None:
    sender, worker, gate = await connect("anonymization"), await connect("labs"), Gate()
    await asyncio.gather(
        *(sender.publish(PART_LABS, part(n), message_id=f"r{n}") for n in range(300))
    )
    await worker.consume(PART_LABS, gate.handle, concurrency=concurrency)
    await until(lambda: len(gate.taken) == concurrency)
    gate.let(10)
    await until(lambda: len(gate.taken) == concurrency + 10)
    await sender.publish(PART_LABS, part(1, URGENT), message_id="u")
    await sender.publish(PART_LABS, part(2, STAT), message_id="s")
    before = len(gate.taken)
    gate.let(1)
    await until(lambda: len(gate.taken) == before + 1)
    gate.let(1)
    await until(lambda: len(gate.taken) == before + 2)
    gate.let(1)
    await until(lambda: len(gate.taken) == before + 3)
    assert gate.taken[before:] == [STAT, URGENT, ROUTINE]
    gate.let(400)
    await until(lambda: len(gate.taken) == 302, limit_s=30)
    await until(lambda: gate.holding == 0)


@pytest.mark.requirement("DX-BUS-09")
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_worker_never_holds_more_than_it_can_do(connect: Connect, concurrency: int) -> None:
    sender, worker, gate = await connect("anonymization"), await connect("labs"), Gate()
    await worker.consume(PART_LABS, gate.handle, concurrency=concurrency)
    await asyncio.sleep(0.2)  # it waits for work, with every request open
    for number, priority in enumerate((ROUTINE, STAT, URGENT) * 5):
        await sender.publish(PART_LABS, part(number, priority), message_id=str(number))
    await until(lambda: len(gate.taken) == concurrency)
    await asyncio.sleep(0.3)
    assert gate.holding == concurrency
    replica, seen = await connect("labs"), Seen()
    await replica.consume(PART_LABS, seen.handle)
    await until(lambda: len(seen.events) == 15 - concurrency, limit_s=5)
    gate.let(100)
    await until(lambda: gate.holding == 0)
    assert gate.most == concurrency


@pytest.mark.requirement("DX-BUS-09")
async def test_busy_worker_leaves_a_stat_message_to_an_idle_replica(connect: Connect) -> None:
    """While idle it had asked for stat work too; it must not keep what comes when busy."""
    sender, busy, gate = await connect("anonymization"), await connect("labs"), Gate()
    await busy.consume(PART_LABS, gate.handle)
    await asyncio.sleep(0.3)
    await sender.publish(PART_LABS, part(1), message_id="r")
    await until(lambda: gate.taken == [ROUTINE])
    idle, seen = await connect("labs"), Seen()
    await idle.consume(PART_LABS, seen.handle)
    await sender.publish(PART_LABS, part(2, STAT), message_id="s")
    await until(lambda: seen.events == ["labs-2"], limit_s=2)
    gate.let(1)


@pytest.mark.requirement("DX-BUS-09")
async def test_nothing_waits_unanswered_beyond_the_ack_wait_nor_is_done_twice(
    connect: Connect,
) -> None:
    """One slow slot, messages of every priority arriving at the moments the worker turns idle."""
    sender, done = await connect("anonymization"), list[str]()
    worker = await connect("labs", ack_wait_s=0.8)

    async def slow(event: PartReady) -> None:
        await asyncio.sleep(1.2 if event.case.priority == ROUTINE else 0.01)
        done.append(event.part_id)

    await worker.consume(PART_LABS, slow)
    numbers = iter(range(100))
    for _ in range(3):
        for priority in (ROUTINE, STAT, URGENT, STAT):
            number = next(numbers)
            await sender.publish(PART_LABS, part(number, priority), message_id=str(number))
        await asyncio.sleep(0.4)
    await until(lambda: len(done) >= 12, limit_s=20)
    await asyncio.sleep(1.5)
    assert sorted(done) == sorted({f"labs-{n}" for n in range(12)})
    assert await worker.waiting(PART_LABS) == 0


@pytest.mark.requirement("DX-BUS-09")
async def test_idle_workers_share_a_burst_and_each_event_is_done_once(connect: Connect) -> None:
    sender, seen = await connect("anonymization"), Seen()
    for _ in range(3):
        await (await connect("labs")).consume(PART_LABS, seen.handle, concurrency=2)
    for round_ in range(20):  # bursts smaller than the open requests, so that they race
        for priority in (STAT, URGENT, ROUTINE):
            number = 10 * round_ + priority
            await sender.publish(PART_LABS, part(number, priority), message_id=str(number))
        await asyncio.sleep(0.05)
    await until(lambda: len(seen.events) >= 60)
    await asyncio.sleep(0.5)
    assert len(seen.events) == len(set(seen.events)) == 60
    assert await sender.waiting(PART_LABS, "labs") == 0
