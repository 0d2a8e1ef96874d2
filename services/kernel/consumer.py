"""Pulling one topic's messages and answering each: done, later, or given up.

Used by `kernel.bus` alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import APIError
from opentelemetry.trace import SpanKind

from services.kernel import subjects, telemetry
from services.kernel.errors import MeshError, as_outage, is_passing
from services.kernel.settings import MeshSettings
from services.kernel.subjects import Topic

log = logging.getLogger(__name__)

EventT = TypeVar("EventT", bound=Message)
Handler = Callable[[EventT], Awaitable[None]]
OnDead = Callable[[EventT, MeshError], Awaitable[None]]

PULL_WAIT_S = 2.0
BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
UNEXPECTED_TRIES = 5
"""Deliveries of a message whose handler fails with an error nobody foresaw."""


class Connection(Protocol):
    """What a consumer needs of the bus."""

    nats: Client
    service: str
    settings: MeshSettings

    async def store(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        """Publish until it is confirmed."""


class Consumer:
    """Pulls one topic's messages, most pressing first, and runs the handler."""

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
        self._durables = durables
        self._handler = handler
        self._on_dead = on_dead
        self._free = asyncio.Semaphore(concurrency)
        self._running: set[asyncio.Task[None]] = set()
        self._held: dict[int, Msg] = {}
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to pull."""
        self._loop = asyncio.create_task(self._pump())

    async def stop(self, drain_s: float) -> None:
        """Pull nothing more; give what runs `drain_s` seconds to finish."""
        if self._loop:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        if self._running:
            await asyncio.wait(self._running, timeout=drain_s)
        for task in self._running:
            task.cancel()

    async def _pump(self) -> None:
        while True:
            await self._free.acquire()
            try:
                message = await self._next()
            except (NatsError, APIError, TimeoutError, OSError):
                message = None
                await asyncio.sleep(0.5)
            except BaseException:
                self._free.release()
                raise
            if message is None:
                self._free.release()
                continue
            task = asyncio.create_task(self._take(message))
            self._running.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free.release()

    async def _next(self) -> Msg | None:
        """Return the most pressing message there is, or wait a little for any."""
        for rank, name in enumerate(self._durables):
            if rank in self._held:
                return self._held.pop(rank)
            if message := await self._pull(name, wait_s=0.0):
                return message
        pulls = {
            asyncio.create_task(self._pull(name, wait_s=PULL_WAIT_S)): rank
            for rank, name in enumerate(self._durables)
        }
        try:
            done, _ = await asyncio.wait(pulls, return_when=asyncio.FIRST_COMPLETED)
            # The rest end by themselves within PULL_WAIT_S; what they bring is held.
            for task, rank in pulls.items():
                task.add_done_callback(partial(self._hold, rank))
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            for task in pulls:
                task.cancel()
            raise
        return self._held.pop(min(self._held)) if self._held and done else None

    def _hold(self, rank: int, task: asyncio.Task[Msg | None]) -> None:
        if task.cancelled() or task.exception() or task.result() is None:
            return
        self._held[rank] = task.result()  # type: ignore[assignment]  # None was ruled out above

    async def _pull(self, name: str, *, wait_s: float) -> Msg | None:
        """Ask for one message; None when there is none within `wait_s`."""
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._topic.stream}.{name}"
        ask: dict[str, object] = {"batch": 1}
        ask |= {"expires": int(wait_s * 1e9)} if wait_s else {"no_wait": True}
        message = await self._bus.nats.request(
            subject, json.dumps(ask).encode(), timeout=wait_s + PULL_WAIT_S, old_style=True
        )
        return message if message.reply else None  # a status (404, 408) has no reply subject

    async def _take(self, message: Msg) -> None:
        headers: Mapping[str, str] = message.headers or {}
        case_id = headers.get("Dx-Case", "")
        beat = asyncio.create_task(self._keep(message))
        name = f"{self._bus.service} {self._topic.name}"
        try:
            with (
                telemetry.case(case_id),
                telemetry.span(name, kind=SpanKind.CONSUMER, parent=headers, case=case_id),
            ):
                await self._run(message, headers)
        finally:
            beat.cancel()

    async def _run(self, message: Msg, headers: Mapping[str, str]) -> None:
        event = self._topic.event()
        delivered = message.metadata.num_delivered
        try:
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
        foreseen = isinstance(error, MeshError)
        tries = self._bus.settings.max_deliveries if foreseen else UNEXPECTED_TRIES
        if is_passing(error) and delivered < tries:
            delay = _delay(error, delivered)
            log.warning("trying again in %.0f s: %s", delay, telemetry.frames(error))
            await self._answer(message.nak(delay=delay))
            return
        log.error("given up: %s", telemetry.frames(error))
        reason = error if isinstance(error, MeshError) else _Unexpected(type(error).__name__)
        await self._give_up(message, headers, event, reason)

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
                    "Dx-Error": error.message[:500].replace("\n", " "),
                    "Dx-Service": self._bus.service,
                },
            )
        except Exception as failure:  # noqa: BLE001 - it stays in the queue until it can be laid
            log.warning("a dead letter could not be laid: %s", telemetry.frames(failure))
            await self._answer(message.nak(delay=BACKOFF_S[-1]))
            return
        await self._answer(message.term())

    async def _keep(self, message: Msg) -> None:
        """Tell NATS that the work goes on, three times in each ack wait."""
        while True:
            await asyncio.sleep(self._bus.settings.ack_wait_s / 3)
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
