"""Running one topic's handler and answering each message: done, later, or given up.

Used by `kernel.bus` alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import APIError
from opentelemetry.trace import SpanKind

from services.kernel import subjects, telemetry
from services.kernel.errors import MeshError, as_outage, is_passing
from services.kernel.pull import Puller, give_back
from services.kernel.settings import MeshSettings
from services.kernel.subjects import Topic

log = logging.getLogger(__name__)

EventT = TypeVar("EventT", bound=Message)
Handler = Callable[[EventT], Awaitable[None]]
OnDead = Callable[[EventT, MeshError], Awaitable[None]]

PAUSE_S = 0.5
BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
UNEXPECTED_TRIES = 5
"""Times a handler may fail on one message with an error nobody foresaw."""
UNFORESEEN_KEPT = 10_000


class Connection(Protocol):
    """What a consumer needs of the bus."""

    nats: Client
    service: str
    settings: MeshSettings

    async def store(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        """Publish until it is confirmed."""


class Consumer:
    """Pulls one topic's messages, most pressing first, and runs the handler.

    A message is pulled only for a free slot.
    """

    def __init__(
        self,
        bus: Connection,
        topic: Topic,
        durables: list[str],
        handler: Handler[Any],
        on_dead: OnDead[Any] | None,
        concurrency: int,
    ) -> None:
        self._bus = bus
        self._topic = topic
        self._handler = handler
        self._on_dead = on_dead
        self._free = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._running: set[asyncio.Task[None]] = set()
        self._held: dict[int, Msg] = {}
        self._puller = Puller(bus.nats, topic.stream, durables)
        self._unforeseen: Counter[int] = Counter()
        self._stopping = False
        self._loop: asyncio.Task[None] | None = None
        self._beat: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to pull."""
        self._loop = asyncio.create_task(self._pump())
        self._beat = asyncio.create_task(self._keep())

    async def stop(self, drain_s: float) -> None:
        """Pull nothing more; give what runs `drain_s` seconds to finish, then give it back."""
        self._stopping = True
        self._free.release()  # wakes the pump where it waits for a slot
        await self._puller.stop()
        if self._loop:
            await asyncio.wait([self._loop], timeout=PAUSE_S)
            self._loop.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=drain_s)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._beat:
            self._beat.cancel()

    async def _pump(self) -> None:
        while True:
            await self._free.acquire()
            if self._stopping:
                return
            try:
                messages = await self._puller.next(self._concurrency - len(self._running))
            except (NatsError, APIError, TimeoutError, OSError) as error:
                log.warning("the bus does not answer: %s", type(error).__name__)
                messages = []
                await asyncio.sleep(PAUSE_S)
            self._free.release()
            for message in messages:
                if self._stopping or self._free.locked():
                    await give_back(message)
                    continue
                await self._free.acquire()
                task = asyncio.create_task(self._take(message))
                self._running.add(task)
                task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free.release()

    async def _take(self, message: Msg) -> None:
        headers: Mapping[str, str] = message.headers or {}
        case_id = headers.get("Dx-Case", "")
        self._held[id(message)] = message
        name = f"{self._bus.service} {self._topic.name}"
        try:
            with (
                telemetry.case(case_id),
                telemetry.span(name, kind=SpanKind.CONSUMER, parent=headers, case=case_id),
            ):
                await self._run(message, headers)
        except asyncio.CancelledError:
            await give_back(message)  # the drain time is over: another replica goes on
            raise
        finally:
            del self._held[id(message)]

    async def _run(self, message: Msg, headers: Mapping[str, str]) -> None:
        event = self._topic.event()
        delivered = message.metadata.num_delivered
        try:
            if "Nats-Msg-Id" not in headers:  # no service published it, see `Bus.publish`
                raise DecodeError
            event.ParseFromString(message.data)
            if delivered > self._bus.settings.max_deliveries:
                raise _DeliveredTooOften("delivered too often", delivered=delivered)
            with telemetry.step(f"{self._bus.service}.{self._topic.name}"):
                await self._handler(event)
        except DecodeError:
            await self._give_up(message, headers, None, _NotAnEvent("not an event of this topic"))
        except Exception as error:  # noqa: BLE001 - every failure is answered to the bus
            await self._failed(message, headers, event, error, delivered)
        else:
            await self._answer(message.ack())

    async def _failed(
        self,
        message: Msg,
        headers: Mapping[str, str],
        event: Message,
        error: Exception,
        delivered: int,
    ) -> None:
        error = as_outage(error) or error
        if is_passing(error) and not self._enough(message, error, delivered):
            delay = _delay(error, delivered)
            log.warning("trying again in %.0f s: %s", delay, telemetry.frames(error))
            await self._answer(message.nak(delay=delay))
            return
        log.error("given up: %s", telemetry.frames(error))
        reason = error if isinstance(error, MeshError) else _Unexpected(type(error).__name__)
        await self._give_up(message, headers, event, reason)

    def _enough(self, message: Msg, error: Exception, delivered: int) -> bool:
        """Tell whether trying again is over; only unforeseen errors count for their limit."""
        if not isinstance(error, MeshError):
            if len(self._unforeseen) > UNFORESEEN_KEPT:
                self._unforeseen.clear()
            sequence = message.metadata.sequence.stream
            self._unforeseen[sequence] += 1
            if self._unforeseen[sequence] >= UNEXPECTED_TRIES:
                del self._unforeseen[sequence]
                return True
        return delivered >= self._bus.settings.max_deliveries

    async def _give_up(
        self, message: Msg, headers: Mapping[str, str], event: Message | None, error: MeshError
    ) -> None:
        tenant = headers.get("Dx-Tenant", "unknown")
        try:
            if self._on_dead and event is not None:
                await self._on_dead(event, error)
            await self._bus.store(
                subjects.dead_subject(tenant, self._bus.service),
                message.data,
                {
                    **headers,
                    "Nats-Msg-Id": f"dead/{self._bus.service}/{message.metadata.sequence.stream}"
                    f"/{headers.get('Dx-Retry', '0')}",
                    "Dx-Subject": message.subject,
                    "Dx-Message-Id": headers.get("Nats-Msg-Id", ""),
                    "Dx-Reason": error.reason,
                    "Dx-Error": " ".join(error.message[:500].split()),
                    "Dx-Service": self._bus.service,
                },
            )
        except Exception as failure:  # noqa: BLE001 - it stays in the queue until it can be laid
            log.warning("a dead letter could not be laid: %s", telemetry.frames(failure))
            await self._answer(message.nak(delay=BACKOFF_S[-1]))
            return
        await self._answer(message.term())

    async def _keep(self) -> None:
        """Tell NATS that the work in hand goes on, three times in each ack wait."""
        while True:
            await asyncio.sleep(self._bus.settings.ack_wait_s / 3)
            for message in list(self._held.values()):
                await self._answer(message.in_progress())

    async def _answer(self, answer: Awaitable[None]) -> None:
        try:
            await answer
        except (NatsError, OSError) as error:
            log.warning("an answer to the bus was lost: %s", type(error).__name__)


class _NotAnEvent(MeshError):
    """A message that is not of its topic's type."""


class _DeliveredTooOften(MeshError):
    """Every delivery ended without an answer: the message may crash its handler."""


class _Unexpected(MeshError):
    """An error nobody foresaw, named by its type."""


def _delay(error: Exception, delivered: int) -> float:
    wanted = getattr(error, "retry_after_s", None) or 0.0
    return max(wanted, BACKOFF_S[min(delivered - 1, len(BACKOFF_S) - 1)])
