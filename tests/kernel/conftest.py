"""Services connected to a real nats-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.kernel.bus import Bus
from tests.kernel.messages import Connect
from tests.servers.nats import NatsServer


@pytest.fixture
async def connect(nats_server: NatsServer) -> AsyncIterator[Connect]:
    """Connects a service to the server; every bus is drained afterwards."""
    buses: list[Bus] = []

    async def signed_in(service: str, **changes: object) -> Bus:
        buses.append(await Bus.connect(service, nats_server.settings(service, **changes)))
        return buses[-1]

    yield signed_in
    await asyncio.gather(*(bus.drain() for bus in buses))
