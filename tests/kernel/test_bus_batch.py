"""A worker with several free slots asks for several messages, and waits for none in vain."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.client import Client

from services.kernel.pull import WAIT_S, Puller
from tests.servers.nats import NatsServer


@pytest.mark.requirement("DX-BUS-09")
async def test_fewer_messages_than_slots_come_at_once(nats_server: NatsServer) -> None:
    client = Client()
    await client.connect(nats_server.url)
    stream = client.jetstream()
    await stream.add_stream(name="S", subjects=["s.>"])
    for name in ("stat", "routine"):
        await stream.add_consumer("S", durable_name=name, filter_subject=f"s.{name}")
    for number in range(5):
        await stream.publish("s.routine", str(number).encode())
    puller = Puller(client, "S", ["stat", "routine"])
    async with asyncio.timeout(WAIT_S / 2):
        found = await puller.next(16)
    assert [message.data for message in found] == [b"0", b"1", b"2", b"3", b"4"]
    await stream.publish("s.stat", b"now")
    await stream.publish("s.routine", b"later")
    async with asyncio.timeout(WAIT_S):
        found = await puller.next(1)
    assert [message.data for message in found] == [b"now"]
    await puller.stop()
    await client.close()
