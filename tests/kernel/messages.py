"""Events, handlers and waiting for the tests of the bus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from dxmesh.event.v1.case_ref_pb2 import CaseRef
from dxmesh.event.v1.part_ready_pb2 import PartReady

from services.kernel.bus import Bus
from services.kernel.errors import MeshError
from services.kernel.subjects import DEAD_STREAM

Connect = Callable[..., Awaitable[Bus]]
ROUTINE, URGENT, STAT = 1, 2, 3


def part(number: int = 1, priority: int = ROUTINE) -> PartReady:
    """Return a labs part of its own case."""
    case = CaseRef(tenant="demo", case_id=f"case-{number}", priority=priority)
    return PartReady(case=case, part_id=f"labs-{number}")


async def until(true: Callable[[], bool], limit_s: float = 15.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


async def letters(bus: Bus, count: int = 1) -> None:
    """Wait until so many dead letters lie in the stream."""
    end = time.monotonic() + 15
    while (await bus.nats.jetstream().stream_info(DEAD_STREAM)).state.messages < count:
        assert time.monotonic() < end, "no dead letter was laid"


class Seen:
    """A handler that notes what it is given, when, and fails as told."""

    def __init__(self, *failures: Exception) -> None:
        self.events: list[str] = []
        self.times: list[float] = []
        self.given_up: list[tuple[str, MeshError]] = []
        self._failures = list(failures)

    async def handle(self, event: PartReady) -> None:
        self.events.append(event.part_id)
        self.times.append(time.monotonic())
        if self._failures:
            raise self._failures.pop(0)

    async def on_dead(self, event: PartReady, error: MeshError) -> None:
        self.given_up.append((event.part_id, error))
