"""The bus: JetStream behind `publish` and `consume`.

Handlers read one event and return. `consume` acks on return, redelivers after a passing
error with back-off, and lays a lasting error, or one delivered too often, in the dead
letters with its reason. Publishing carries an id and is retried, so a repeat is harmless.
A worker holds at most `concurrency` messages, and takes stat before urgent before routine.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import nats
from dxmesh.event.v1.case_ref_pb2 import CaseRef
from google.protobuf.message import DecodeError, Message
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, BadRequestError
from opentelemetry.trace import SpanKind

from services.kernel import subjects, telemetry
from services.kernel.errors import Forbidden, MeshError, Unavailable, is_passing
from services.kernel.settings import MeshSettings
from services.kernel.subjects import Topic

log = logging.getLogger(__name__)

EventT = TypeVar("EventT", bound=Message)
Handler = Callable[[EventT], Awaitable[None]]
OnDead = Callable[[EventT, MeshError], Awaitable[None]]

PUBLISH_TRY_S = 5.0
PUBLISH_LIMIT_S = 60.0
PULL_WAIT_S = 2.0
BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
UNEXPECTED_TRIES = 5
"""Deliveries of a message whose handler fails with an error nobody foresaw."""
DUPLICATES_S = 600.0
KEEP_S = 30 * 86_400.0


class EventBus(Protocol):
    """What a worker needs of the bus; `kernel.testing.MemoryBus` is the fake."""

    async def publish(self, topic: Topic, event: Message, *, message_id: str) -> None:
        """Store the event under its id, once."""

    async def consume(
        self,
        topic: Topic,
        handler: Handler[Any],
        *,
        concurrency: int = 1,
        on_dead: OnDead[Any] | None = None,
    ) -> None:
        """Begin to hand events of a topic to `handler`; returns at once."""


class Bus:
    """One service's connection to NATS."""

    def __init__(self, client: Client, service: str, settings: MeshSettings) -> None:
        self._nats = client
        self._service = service
        self._settings = settings
        self._js = client.jetstream(timeout=PUBLISH_TRY_S)
        self._consumers: list[_Consumer] = []
        self.refused: set[str] = set()

    @classmethod
    async def connect(cls, service: str, settings: MeshSettings) -> Bus:
        """Sign in as `service` and make sure of its streams; waits until NATS answers."""
        client = Client()
        bus = cls(client, service, settings)
        options: dict[str, Any] = {
            "servers": settings.nats_url.split(","),
            "name": f"dxmesh-{service}",
            "inbox_prefix": f"_INBOX_{service}".encode(),
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": 0.5,
            "error_cb": bus._on_error,
        }
        if settings.nats_seed_file:
            options["nkeys_seed_str"] = Path(settings.nats_seed_file).read_text().strip()
        while True:
            try:
                await client.connect(**options)
                break
            except (OSError, NatsError, TimeoutError) as error:
                log.warning("the bus does not answer yet: %s", type(error).__name__)
                await asyncio.sleep(1.0)
        await bus.ensure_streams()
        return bus

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        return bool(self._nats.is_connected)

    async def ensure_streams(self) -> None:
        """Create the streams this service uses; one that is there already is left alone."""
        for name in subjects.streams_of(self._service):
            config = StreamConfig(
                name=name,
                subjects=subjects.STREAMS[name],
                retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE,
                num_replicas=self._settings.nats_replicas,
                duplicate_window=DUPLICATES_S,
                max_age=0 if name == subjects.FEEDBACK_STREAM else KEEP_S,
            )
            await self._until_done(lambda config=config: self._add_stream(config))

    async def publish(self, topic: Topic, event: Message, *, message_id: str) -> None:
        """Store an event; returns when NATS has it.

        Raises
        ------
        Unavailable
            NATS did not confirm within a minute; the caller is tried again later.
        Forbidden
            This service may not publish here.
        """
        tenant, priority, case_id = _address(event)
        subject = topic.subject(tenant, priority)
        headers = {"Nats-Msg-Id": message_id, "Dx-Tenant": tenant, "Dx-Case": case_id}
        with telemetry.span(f"publish {topic.name}", kind=SpanKind.PRODUCER):
            telemetry.inject(headers)
            await self._store(subject, event.SerializeToString(), headers)

    async def consume(
        self,
        topic: Topic,
        handler: Handler[Any],
        *,
        concurrency: int = 1,
        on_dead: OnDead[Any] | None = None,
    ) -> None:
        """Hand events of `topic` to `handler`, at most `concurrency` at once.

        `on_dead` hears of an event that was given up, before it becomes a dead letter.
        """
        durables: list[str] = []
        for priority, subject in topic.filters():
            name = subjects.durable(self._service, topic, priority)
            config = ConsumerConfig(
                durable_name=name,
                filter_subject=subject,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=self._settings.ack_wait_s,
                max_deliver=-1,
                max_ack_pending=1000,
            )
            await self._until_done(
                lambda config=config: self._js.add_consumer(topic.stream, config=config)
            )
            durables.append(name)
        consumer = _Consumer(self, topic, durables, handler, on_dead, concurrency)
        consumer.start()
        self._consumers.append(consumer)

    async def waiting(self, topic: Topic, service: str = "") -> int:
        """Return how many messages of a topic wait for a service, unanswered ones included."""
        total = 0
        for priority, _ in topic.filters():
            name = subjects.durable(service or self._service, topic, priority)
            try:
                info = await self._js.consumer_info(topic.stream, name)
            except (NatsError, APIError, TimeoutError):
                continue
            total += (info.num_pending or 0) + (info.num_ack_pending or 0)
        return total

    async def drain(self) -> None:
        """Take nothing more, finish what is in hand within the drain time, then leave."""
        await asyncio.gather(*(c.stop(self._settings.drain_s) for c in self._consumers))
        if not self._nats.is_closed:
            await self._nats.close()

    async def _store(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PUBLISH_LIMIT_S
        pause = 0.1
        while True:
            try:
                await self._js.publish(
                    subject, payload, timeout=PUBLISH_TRY_S, headers=dict(headers)
                )
                return
            except (NatsError, APIError, TimeoutError, OSError) as error:
                if subject in self.refused:
                    raise Forbidden(f"{self._service} may not publish {subject}") from error
                if loop.time() > give_up:
                    raise Unavailable("the bus does not confirm a message") from error
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    async def _until_done(self, action: Callable[[], Awaitable[Any]]) -> None:
        while True:
            try:
                await action()
                return
            except (NatsError, APIError, TimeoutError, OSError) as error:
                log.warning("the bus is not ready: %s", type(error).__name__)
                await asyncio.sleep(1.0)

    async def _add_stream(self, config: StreamConfig) -> None:
        try:
            await self._js.add_stream(config)
        except BadRequestError as error:
            if error.err_code != 10058:  # in use with another configuration: an operator's choice
                raise

    async def _on_error(self, error: Exception) -> None:
        text = str(error)
        if "permissions violation" in text.lower():
            subject = text.split('"')[1] if '"' in text else text
            self.refused.add(subject)
            log.error("the bus refuses a subject to %s: %s", self._service, subject)
        else:
            log.warning("bus: %s", type(error).__name__)


class _Consumer:
    """Pulls one topic's messages, most pressing first, and runs the handler."""

    def __init__(
        self,
        bus: Bus,
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
        self._loop = asyncio.create_task(self._pump())

    async def stop(self, drain_s: float) -> None:
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
                task.add_done_callback(lambda t, rank=rank: self._hold(rank, t))
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
        message = await self._bus._nats.request(
            subject, json.dumps(ask).encode(), timeout=wait_s + PULL_WAIT_S, old_style=True
        )
        return message if message.reply else None  # a status (404, 408) has no reply subject

    async def _take(self, message: Msg) -> None:
        headers: Mapping[str, str] = message.headers or {}
        case_id = headers.get("Dx-Case", "")
        beat = asyncio.create_task(self._keep(message))
        name = f"{self._bus._service} {self._topic.name}"
        try:
            with (
                telemetry.case(case_id),
                telemetry.span(
                    name, kind=SpanKind.CONSUMER, parent=headers, case=case_id
                ),
            ):
                await self._run(message, headers)
        finally:
            beat.cancel()

    async def _run(self, message: Msg, headers: Mapping[str, str]) -> None:
        event = self._topic.event()
        delivered = message.metadata.num_delivered
        try:
            event.ParseFromString(message.data)
            if delivered > self._bus._settings.max_deliveries:
                raise _DeliveredTooOften("delivered too often", delivered=delivered)
            with telemetry.step(f"{self._bus._service}.{self._topic.name}"):
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
        foreseen = isinstance(error, MeshError)
        tries = self._bus._settings.max_deliveries if foreseen else UNEXPECTED_TRIES
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
            await self._bus._store(
                subjects.dead_subject(tenant, self._bus._service),
                message.data,
                {
                    **headers,
                    "Nats-Msg-Id": f"dead/{self._bus._service}/{message.metadata.sequence.stream}"
                    f"/{headers.get('Dx-Retry', '0')}",
                    "Dx-Subject": message.subject,
                    "Dx-Message-Id": headers.get("Nats-Msg-Id", ""),
                    "Dx-Reason": error.reason,
                    "Dx-Error": error.message[:500].replace("\n", " "),
                    "Dx-Service": self._bus._service,
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
            await asyncio.sleep(self._bus._settings.ack_wait_s / 3)
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


def _address(event: Message) -> tuple[str, int, str]:
    """Return tenant, priority and case id of an event."""
    case: CaseRef | None = getattr(event, "case", None)
    if case is not None:
        return case.tenant, case.priority, case.case_id
    return getattr(event, "tenant", "") or "unknown", 0, ""
