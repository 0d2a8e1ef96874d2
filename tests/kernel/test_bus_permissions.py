"""What NATS itself lets each service do: its own subjects and consumers, nothing more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from dxmesh.event.v1.case_received_pb2 import CaseReceived
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.kernel import subjects
from services.kernel.bus import Bus
from services.kernel.subjects import (
    CASE_RECEIVED,
    CONSENT_WITHDRAWN,
    IDENTITY_STREAM,
    SERVICES,
    STREAMS,
    TOPICS,
)
from tests.kernel.messages import until
from tests.servers.nats import NatsServer

pytestmark = pytest.mark.flow
ANALYSIS = ("imaging", "labs", "nlp", "reporting")


@dataclass
class Intruder:
    """A bare client signed in as a service, with every refusal it was told."""

    nats: Client
    refusals: list[str] = field(default_factory=list)

    async def refused(self, subject: str) -> bool:
        """Flush, then tell whether the server refused that subject."""
        await self.nats.flush()
        await asyncio.sleep(0.01)
        found = [text for text in self.refusals if f'"{subject.lower()}"' in text]
        self.refusals.clear()
        return bool(found)

    async def may_publish(self, subject: str, request: object = "x") -> bool:
        await self.nats.publish(subject, json.dumps(request).encode())
        return not await self.refused(subject)

    async def may_subscribe(self, subject: str) -> bool:
        subscription = await self.nats.subscribe(subject)
        refused = await self.refused(subject)
        if not refused:
            await subscription.unsubscribe()
        return not refused


@dataclass
class World:
    """A server, and whoever wants more of it than is due."""

    server: NatsServer
    stack: AsyncExitStack

    async def as_(self, service: str) -> Intruder:
        intruder = Intruder(None)  # type: ignore[arg-type]  # set in the next line
        client = self.server.client(service, on_error=intruder.refusals.append)
        intruder.nats = await self.stack.enter_async_context(client)
        return intruder


@pytest.fixture
async def world(signed_nats_server: NatsServer) -> AsyncIterator[World]:
    """A server where every service may sign in."""
    async with AsyncExitStack() as stack:
        yield World(signed_nats_server, stack)


@pytest.fixture
async def busy(world: World) -> World:
    """Every service has made its streams and consumers; one case was received."""

    async def nothing(event: object) -> None:
        await asyncio.sleep(3600)

    server = world.server
    connecting = (Bus.connect(name, server.settings(name, drain_s=0.1)) for name in SERVICES)
    buses = {bus.service: bus for bus in await asyncio.gather(*connecting)}
    for service in ANALYSIS:
        for topic in subjects.CONSUMES[service]:
            await buses[service].consume(topic, nothing)
    event = CaseReceived(subject_key="planted-secret")
    event.case.tenant, event.case.case_id = "demo", "planted-case"
    await buses["ingest"].publish(CASE_RECEIVED, event, message_id="one")
    await asyncio.gather(*(bus.drain() for bus in buses.values()))
    return world


@pytest.mark.requirement("DX-BUS-11")
@pytest.mark.parametrize("service", SERVICES)
async def test_service_publishes_its_own_topics_alone(world: World, service: str) -> None:
    client = await world.as_(service)
    own = {topic.name for topic in subjects.PUBLISHES[service]}
    if service in subjects.OPERATES:
        own = {topic.name for topic in TOPICS}  # it puts dead letters back
    for topic in TOPICS:
        for priority in (1, 2, 3) if topic.prioritised else (0,):
            subject = topic.subject("demo", priority)
            assert await client.may_publish(subject) == (topic.name in own), subject
    for other in SERVICES:
        subject = subjects.dead_subject("demo", other)
        assert await client.may_publish(subject) == (other == service), subject


@pytest.mark.requirement("DX-BUS-11")
@pytest.mark.parametrize("service", SERVICES)
async def test_service_subscribes_to_its_own_inbox_alone(world: World, service: str) -> None:
    client = await world.as_(service)
    assert await client.may_subscribe(f"_INBOX_{service}.x")
    foreign = [f"_INBOX_{other}.>" for other in SERVICES if other != service]
    patterns = [pattern for stream in STREAMS.values() for pattern in stream]
    for subject in (*foreign, *patterns, ">", "dx.>", "$JS.>", "$SYS.>", "_INBOX.>", "*.>"):
        assert not await client.may_subscribe(subject), subject


@pytest.mark.requirement("DX-BUS-11")
@pytest.mark.parametrize("service", ANALYSIS)
async def test_analysis_service_cannot_ask_jetstream_for_the_identity_stream(
    world: World, service: str
) -> None:
    client = await world.as_(service)
    name, api = IDENTITY_STREAM, "$JS.API"
    own = subjects.durable("anonymization", CASE_RECEIVED, "routine")
    case, consent = "dx.v1.*.case.received.*", CONSENT_WITHDRAWN.subject("*")
    consumer = {"stream_name": name, "config": {"name": "x", "filter_subject": case}}
    ways: list[tuple[str, object]] = [
        (f"{api}.CONSUMER.CREATE.{name}", consumer),
        (f"{api}.CONSUMER.CREATE.{name}.x", consumer),
        (f"{api}.CONSUMER.CREATE.{name}.x.{case}", consumer),
        (f"{api}.CONSUMER.CREATE.{name}.x.{consent}", consumer),
        (f"{api}.CONSUMER.DURABLE.CREATE.{name}.x", consumer),
        (f"{api}.CONSUMER.MSG.NEXT.{name}.{own}", {"batch": 1}),
        (f"{api}.CONSUMER.INFO.{name}.{own}", None),
        (f"{api}.CONSUMER.DELETE.{name}.{own}", None),
        (f"{api}.CONSUMER.LIST.{name}", None),
        (f"{api}.CONSUMER.NAMES.{name}", None),
        (f"{api}.STREAM.MSG.GET.{name}", {"last_by_subj": "dx.v1.demo.case.received.routine"}),
        (f"{api}.STREAM.MSG.DELETE.{name}", {"seq": 1}),
        (f"{api}.DIRECT.GET.{name}", {"seq": 1}),
        (f"{api}.DIRECT.GET.{name}.dx.v1.demo.case.received.routine", None),
        (f"{api}.STREAM.INFO.{name}", None),
        (f"{api}.STREAM.CREATE.{name}", {"name": name}),
        (f"{api}.STREAM.UPDATE.{name}", {"name": name}),
        (f"{api}.STREAM.PURGE.{name}", None),
        (f"{api}.STREAM.SNAPSHOT.{name}", {"deliver_subject": f"_INBOX_{service}.x"}),
        (f"{api}.STREAM.DELETE.{name}", None),
        (f"{api}.STREAM.CREATE.COPY", {"name": "COPY", "mirror": {"name": name}}),
        (f"{api}.STREAM.CREATE.COPY", {"name": "COPY", "sources": [{"name": name}]}),
        (f"{api}.STREAM.LIST", None),
        (f"{api}.STREAM.NAMES", None),
    ]
    for subject, request in ways:
        assert not await client.may_publish(subject, request), subject


@pytest.mark.requirement("DX-BUS-11")
@pytest.mark.parametrize("service", ANALYSIS)
async def test_analysis_service_cannot_take_another_services_work(
    world: World, service: str
) -> None:
    client = await world.as_(service)
    for other in SERVICES:
        if other == service:
            continue
        for topic in subjects.CONSUMES[other]:
            for priority, _ in topic.filters():
                durable = f"{topic.stream}.{subjects.durable(other, topic, priority)}"
                for verb in ("MSG.NEXT", "DELETE"):
                    assert not await client.may_publish(f"$JS.API.CONSUMER.{verb}.{durable}")
                assert not await client.may_publish(f"$JS.ACK.{durable}.1.1.1.1.1")


@pytest.mark.requirement("DX-BUS-11")
@pytest.mark.parametrize("service", ANALYSIS)
async def test_analysis_service_makes_no_stream_for_it_could_be_a_copy_of_another(
    world: World, service: str
) -> None:
    """`sources` would copy the identity stream, `republish` send it to the maker's inbox."""
    client = await world.as_(service)
    for stream in STREAMS:
        request = {"name": stream, "sources": [{"name": IDENTITY_STREAM}]}
        assert not await client.may_publish(f"$JS.API.STREAM.CREATE.{stream}", request), stream


@pytest.mark.requirement("DX-BUS-11")
async def test_consumer_of_a_service_cannot_be_widened_to_another_subject(busy: World) -> None:
    client = await busy.as_("labs")
    own, other = "dx.v1.*.part.labs.stat", "dx.v1.*.part.nlp.stat"
    for config in ({"filter_subject": other}, {"filter_subjects": [own, other]}, {}):
        name = "labs-part-labs-stat"
        request = {"stream_name": "DX_ANALYSIS", "config": {"durable_name": name, **config}}
        subject = f"$JS.API.CONSUMER.CREATE.DX_ANALYSIS.{name}.{own}"
        answer = await client.nats.request(subject, json.dumps(request).encode(), timeout=5)
        assert "error" in json.loads(answer.data), config


@pytest.mark.requirement("DX-BUS-11")
async def test_answer_of_nats_sent_to_an_identity_subject_reaches_no_handler(busy: World) -> None:
    """NATS answers to any reply subject, so an answer can be made to look like an event."""
    client, got = await busy.as_("labs"), list[str]()
    async with busy.server.client("auditor") as auditor:
        await client.nats.publish(
            "$JS.API.STREAM.INFO.DX_ANALYSIS", b"", reply="dx.v1.demo.case.received.stat"
        )
        js = auditor.jetstream()
        while (await js.stream_info(IDENTITY_STREAM)).state.messages < 2:
            pass
        # An answer that happens to parse is no event either: it carries no message id.
        forged = CaseReceived(subject_key="forged").SerializeToString()
        await js.publish("dx.v1.demo.case.received.stat", forged)

    async def handle(event: CaseReceived) -> None:
        got.append(event.subject_key)

    bus = await Bus.connect("anonymization", busy.server.settings("anonymization"))
    await bus.consume(CASE_RECEIVED, handle)
    try:
        await until(lambda: "planted-secret" in got)
    finally:
        await bus.drain()
    assert got == ["planted-secret"]


@pytest.mark.requirement("DX-BUS-11")
async def test_identity_events_reach_no_inbox_of_an_analysis_service(busy: World) -> None:
    """It listens wherever it may while identity events pass by."""
    heard: list[bytes] = []

    async def note(message: Msg) -> None:
        heard.append(message.data)

    for service in ANALYSIS:
        client = await busy.as_(service)
        await client.nats.subscribe(f"_INBOX_{service}.>", cb=note)
        await client.nats.flush()
    bus = await Bus.connect("anonymization", busy.server.settings("anonymization"))
    got: list[str] = []

    async def handle(event: CaseReceived) -> None:
        got.append(event.subject_key)

    await bus.consume(CASE_RECEIVED, handle)
    await until(lambda: got == ["planted-secret"])
    await bus.drain()
    assert not any(b"planted-secret" in data for data in heard)
