"""The bus: JetStream behind `publish` and `consume`.

Handlers read one event and return. `consume` acks on return, redelivers after a passing
error with back-off, and lays a lasting error, or one delivered too often, in the dead
letters with its reason. Publishing carries an id and is retried, so a repeat is harmless.
A worker holds at most `concurrency` messages, and takes stat before urgent before routine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from dxmesh.event.v1.case_ref_pb2 import CaseRef
from google.protobuf.message import Message
from nats.aio.client import Client
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
from services.kernel.consumer import Consumer, Handler, OnDead
from services.kernel.errors import Forbidden, Unavailable
from services.kernel.settings import MeshSettings
from services.kernel.subjects import Topic

log = logging.getLogger(__name__)

PUBLISH_TRY_S = 2.0
PUBLISH_LIMIT_S = 60.0
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
        self.nats = client
        self.service = service
        self.settings = settings
        self._js = client.jetstream(timeout=PUBLISH_TRY_S)
        self._consumers: list[Consumer] = []
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
            options["nkeys_seed_str"] = _seed(settings.nats_seed_file)
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
        return bool(self.nats.is_connected)

    async def ensure_streams(self) -> None:
        """Create the streams that are this service's to make, and wait for the others it uses.

        One that is there already is left alone.
        """
        for name in subjects.makes(self.service):
            config = StreamConfig(
                name=name,
                subjects=subjects.STREAMS[name],
                retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE,
                num_replicas=self.settings.nats_replicas,
                duplicate_window=DUPLICATES_S,
                max_age=0 if name == subjects.FEEDBACK_STREAM else KEEP_S,
            )
            await self._until_done(partial(self._add_stream, config))
        for name in subjects.streams_of(self.service):
            await self._until_done(partial(self._js.stream_info, name))

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
            await self.store(subject, event.SerializeToString(), headers)

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
            name = subjects.durable(self.service, topic, priority)
            config = ConsumerConfig(
                name=name,  # makes nats-py name the filter in the subject, where permissions see it
                durable_name=name,
                filter_subject=subject,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=self.settings.ack_wait_s,
                max_deliver=-1,
                max_ack_pending=1000,
            )
            await self._until_done(partial(self._js.add_consumer, topic.stream, config))
            durables.append(name)
        consumer = Consumer(self, topic, durables, handler, on_dead, concurrency)
        consumer.start()
        self._consumers.append(consumer)

    async def waiting(self, topic: Topic, service: str = "") -> int:
        """Return how many messages of a topic wait for a service, unanswered ones included."""
        total = 0
        for priority, _ in topic.filters():
            name = subjects.durable(service or self.service, topic, priority)
            try:
                info = await self._js.consumer_info(topic.stream, name)
            except (NatsError, APIError, TimeoutError):
                continue
            total += (info.num_pending or 0) + (info.num_ack_pending or 0)
        return total

    async def drain(self) -> None:
        """Take nothing more, finish what is in hand within the drain time, then leave."""
        await asyncio.gather(*(c.stop(self.settings.drain_s) for c in self._consumers))
        if not self.nats.is_closed:
            await self.nats.close()

    async def store(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        """Publish to a subject until JetStream confirms it; see `publish`."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PUBLISH_LIMIT_S
        pause = 0.1
        while True:
            try:
                await self._js.publish(
                    subject, payload, timeout=PUBLISH_TRY_S, headers=dict(headers)
                )
                self.refused.discard(subject)
                return
            except (NatsError, APIError, TimeoutError, OSError) as error:
                if subject in self.refused:
                    raise Forbidden(f"{self.service} may not publish {subject}") from error
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
            log.error("the bus refuses a subject to %s: %s", self.service, subject)
        else:
            log.warning("bus: %s", type(error).__name__)


def _address(event: Message) -> tuple[str, int, str]:
    """Return tenant, priority and case id of an event."""
    case: CaseRef | None = getattr(event, "case", None)
    if case is not None:
        return case.tenant, case.priority, case.case_id
    return getattr(event, "tenant", "") or "unknown", 0, ""


def _seed(path: Path) -> str:
    return path.read_text().strip()
