"""nats-server killed with SIGKILL and started again: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from dxmesh.event.v1.part_ready_pb2 import PartReady

from services.kernel import bus as bus_module
from services.kernel.bus import Bus
from services.kernel.errors import Unavailable
from services.kernel.subjects import PART_LABS
from tests.kernel.messages import Connect, Seen, part, until
from tests.servers.nats import NatsServer

pytestmark = pytest.mark.flow


@pytest.mark.requirement("DX-BUS-10")
async def test_server_killed_while_events_are_published_and_handled(
    connect: Connect, nats_server: NatsServer
) -> None:
    sender, done = await connect("anonymization"), list[str]()
    worker = await connect("labs", ack_wait_s=2.0)

    async def handle(event: PartReady) -> None:
        await asyncio.sleep(0.02)
        done.append(event.part_id)

    def reached(goal: int) -> bool:
        return len(done) >= goal

    async def publish(first: int) -> None:
        for number in range(first, first + 40):
            await sender.publish(PART_LABS, part(number), message_id=f"id-{number}")
            await asyncio.sleep(0.02)

    await worker.consume(PART_LABS, handle, concurrency=2)
    sending = asyncio.gather(*(publish(first) for first in (0, 100, 200)))
    for goal in (20, 60):
        await until(partial(reached, goal))
        nats_server.kill()
        await asyncio.sleep(0.7)
        nats_server.start()
    await sending
    expected = {f"labs-{first + n}" for first in (0, 100, 200) for n in range(40)}
    await until(lambda: set(done) == expected, limit_s=30)
    js = sender.nats.jetstream()
    assert (await js.stream_info(PART_LABS.stream)).state.messages == 120, "one of each was stored"
    await asyncio.sleep(2.5)
    assert await worker.waiting(PART_LABS) == 0
    # What was answered just before it died is handled again: handlers are idempotent by key.


@pytest.mark.requirement("DX-BUS-10")
async def test_idle_worker_goes_on_after_the_server_came_back(
    connect: Connect, nats_server: NatsServer
) -> None:
    sender, worker, seen = await connect("anonymization"), await connect("labs"), Seen()
    await worker.consume(PART_LABS, seen.handle)
    await asyncio.sleep(0.3)
    nats_server.kill()
    sending = asyncio.create_task(sender.publish(PART_LABS, part(), message_id="one"))
    await asyncio.sleep(1.0)
    assert not sending.done()
    nats_server.start()
    await until(lambda: seen.events == ["labs-1"], limit_s=10)
    await sending


@pytest.mark.requirement("DX-BUS-10")
async def test_work_that_ends_while_the_server_is_away_is_not_lost(
    connect: Connect, nats_server: NatsServer
) -> None:
    sender, done = await connect("anonymization"), list[str]()
    worker = await connect("labs", ack_wait_s=1.0)

    async def slow(event: PartReady) -> None:
        await asyncio.sleep(0.6)
        done.append(event.part_id)

    await worker.consume(PART_LABS, slow)
    await sender.publish(PART_LABS, part(1), message_id="one")
    await asyncio.sleep(0.3)
    nats_server.kill()
    await until(lambda: done == ["labs-1"])
    nats_server.start()
    await sender.publish(PART_LABS, part(2), message_id="two")
    await until(lambda: "labs-2" in done)
    await asyncio.sleep(2.0)
    assert await sender.waiting(PART_LABS, "labs") == 0


@pytest.mark.requirement("DX-BUS-10")
async def test_publishing_gives_up_as_unavailable_so_that_its_cause_is_tried_again(
    connect: Connect, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "PUBLISH_LIMIT_S", 1.0)
    sender = await connect("anonymization")
    nats_server.kill()
    with pytest.raises(Unavailable):
        await sender.publish(PART_LABS, part(), message_id="one")


@pytest.mark.requirement("DX-BUS-10")
async def test_service_that_starts_before_the_server_waits_for_it(nats_server: NatsServer) -> None:
    nats_server.kill()
    settings = nats_server.settings("anonymization")
    starting = asyncio.create_task(Bus.connect("anonymization", settings))
    await asyncio.sleep(1.0)
    assert not starting.done()
    nats_server.start()
    bus = await asyncio.wait_for(starting, 15)
    assert bus.connected
    await bus.drain()
