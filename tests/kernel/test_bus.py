"""The bus over a real nats-server: publishing, answering, giving up."""

from __future__ import annotations

import asyncio

import pytest
from dxmesh.event.v1.part_ready_pb2 import PartReady
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from services.kernel import subjects
from services.kernel.bus import Bus
from services.kernel.errors import Forbidden, InvalidInput, MeshError, Unavailable
from services.kernel.subjects import DEAD_STREAM, PART_LABS
from tests.kernel.messages import Connect, Seen, letters, part, until
from tests.servers.nats import NatsServer

pytestmark = pytest.mark.flow


async def dead(bus: Bus) -> int:
    info = await bus.nats.jetstream().stream_info(DEAD_STREAM)
    return int(info.state.messages)


@pytest.mark.requirement("DX-BUS-01")
async def test_services_that_start_at_once_make_the_same_streams(connect: Connect) -> None:
    names = [*subjects.SERVICES, *subjects.SERVICES]
    buses = await asyncio.gather(*(connect(name) for name in names))
    for bus in buses:
        for topic in subjects.CONSUMES[bus.service]:
            await bus.consume(topic, Seen().handle)
    streams = await buses[0].nats.jetstream().streams_info()
    assert {s.config.name for s in streams} == set(subjects.STREAMS)


@pytest.mark.requirement("DX-BUS-02")
async def test_event_published_again_under_its_id_is_handled_once(connect: Connect) -> None:
    sender, worker, seen = await connect("anonymization"), await connect("labs"), Seen()
    await worker.consume(PART_LABS, seen.handle)
    for _ in range(3):
        await sender.publish(PART_LABS, part(1), message_id="one")
    await sender.publish(PART_LABS, part(2), message_id="two")
    await until(lambda: "labs-2" in seen.events)
    assert seen.events == ["labs-1", "labs-2"]


@pytest.mark.requirement("DX-BUS-03")
async def test_handler_that_returned_is_not_called_again(connect: Connect) -> None:
    sender = await connect("anonymization")
    worker, seen = await connect("labs", ack_wait_s=0.5), Seen()
    await worker.consume(PART_LABS, seen.handle)
    await sender.publish(PART_LABS, part(), message_id="one")
    await until(lambda: len(seen.events) == 1)
    await asyncio.sleep(1.5)
    assert seen.events == ["labs-1"]
    assert await worker.waiting(PART_LABS) == 0


class Soon(MeshError):
    """Away for now."""

    retry_after_s = 1.5


@pytest.mark.requirement("DX-BUS-04")
async def test_passing_error_is_tried_again_after_its_delay_not_at_once(connect: Connect) -> None:
    sender, worker = await connect("anonymization"), await connect("labs")
    seen = Seen(Soon("away"), Soon("away"))
    await worker.consume(PART_LABS, seen.handle)
    await sender.publish(PART_LABS, part(), message_id="one")
    await until(lambda: len(seen.events) == 3)
    first, second = (b - a for a, b in zip(seen.times, seen.times[1:], strict=False))
    assert 1.4 < first < 3.5
    assert 1.9 < second < 4.5, "the second delay is the back-off, longer than the error's"
    assert await dead(worker) == 0


@pytest.mark.requirement("DX-BUS-05")
async def test_lasting_error_becomes_a_dead_letter_with_its_reason(connect: Connect) -> None:
    sender, worker = await connect("anonymization"), await connect("labs")
    seen = Seen(InvalidInput("not a panel", reason="NOT_A_PANEL"))
    await worker.consume(PART_LABS, seen.handle, on_dead=seen.on_dead)
    await sender.publish(PART_LABS, part(), message_id="one")
    await until(lambda: bool(seen.given_up))
    assert [(name, error.reason) for name, error in seen.given_up] == [("labs-1", "NOT_A_PANEL")]
    await letters(worker)
    letter = await worker.nats.jetstream().get_last_msg(DEAD_STREAM, "dx.v1.demo.dead.labs")
    headers = letter.headers or {}
    assert headers["Dx-Reason"] == "NOT_A_PANEL"
    assert headers["Dx-Error"] == "not a panel"
    assert headers["Dx-Case"] == "case-1"
    assert headers["Dx-Subject"] == "dx.v1.demo.part.labs.routine"
    assert PartReady.FromString(letter.data or b"").part_id == "labs-1"
    assert seen.events == ["labs-1"], "a lasting error is not tried again"
    assert await worker.waiting(PART_LABS) == 0


@pytest.mark.requirement("DX-BUS-05")
async def test_what_is_no_event_becomes_a_dead_letter_and_the_next_is_handled(
    connect: Connect,
) -> None:
    sender, worker, seen = await connect("anonymization"), await connect("labs"), Seen()
    await worker.consume(PART_LABS, seen.handle, on_dead=seen.on_dead)
    await sender.store(
        PART_LABS.subject("demo", 1), b"\xff\xff\xff", {"Nats-Msg-Id": "x", "Dx-Tenant": "demo"}
    )
    await sender.publish(PART_LABS, part(2), message_id="two")
    await until(lambda: seen.events == ["labs-2"])
    letter = await worker.nats.jetstream().get_last_msg(DEAD_STREAM, "dx.v1.demo.dead.labs")
    assert (letter.headers or {})["Dx-Reason"] == "NOT_AN_EVENT"
    assert not seen.given_up, "there is no event to tell of"


@pytest.mark.requirement("DX-BUS-05")
async def test_unforeseen_errors_are_tried_five_times_and_their_text_stays_out(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.kernel.consumer.BACKOFF_S", (0.01,))
    sender, worker = await connect("anonymization"), await connect("labs")
    outage, bug = [Unavailable("away") for _ in range(2)], [KeyError("Zhang") for _ in range(9)]
    for error in outage:
        error.retry_after_s = 0.01
    seen = Seen(*outage, *bug)
    await worker.consume(PART_LABS, seen.handle, on_dead=seen.on_dead)
    await sender.publish(PART_LABS, part(), message_id="one")
    await letters(worker)
    assert len(seen.events) == 7, "an outage before it does not count"
    letter = await worker.nats.jetstream().get_last_msg(DEAD_STREAM, "dx.v1.demo.dead.labs")
    assert "Zhang" not in str(letter.headers)
    assert (letter.headers or {})["Dx-Error"] == "KeyError"


@pytest.mark.requirement("DX-BUS-05")
async def test_message_that_crashes_its_worker_is_given_up_after_the_limit(
    connect: Connect, nats_server: NatsServer
) -> None:
    """A crash leaves the message unanswered: it comes back after ack_wait, only so often."""
    sender = await connect("anonymization")
    worker, seen = await connect("labs", ack_wait_s=1.0, max_deliveries=3), Seen()
    await worker.consume(PART_LABS, seen.handle)
    await worker.drain()
    await sender.publish(PART_LABS, part(), message_id="one")
    async with nats_server.client() as crashing:
        for _ in range(3):
            sub = await crashing.jetstream().pull_subscribe_bind(
                "labs-part-labs-routine", PART_LABS.stream
            )
            await sub.fetch(1, timeout=5)
    again = await connect("labs", ack_wait_s=1.0, max_deliveries=3)
    await again.consume(PART_LABS, seen.handle, on_dead=seen.on_dead)
    await until(lambda: bool(seen.given_up))
    assert seen.given_up[0][1].reason == "DELIVERED_TOO_OFTEN"
    assert not seen.events


@pytest.mark.requirement("DX-BUS-06")
async def test_long_work_keeps_its_message_beyond_the_ack_wait(connect: Connect) -> None:
    sender = await connect("anonymization")
    workers = [await connect("labs", ack_wait_s=0.6) for _ in range(2)]
    started: list[str] = []

    async def slow(event: PartReady) -> None:
        started.append(event.part_id)
        await asyncio.sleep(2.5)

    for worker in workers:
        await worker.consume(PART_LABS, slow)
    await sender.publish(PART_LABS, part(), message_id="one")
    await asyncio.sleep(4)
    assert started == ["labs-1"]
    assert await sender.waiting(PART_LABS, "labs") == 0


@pytest.mark.requirement("DX-BUS-07")
async def test_draining_finishes_what_is_in_hand_and_takes_nothing_more(connect: Connect) -> None:
    sender, worker = await connect("anonymization"), await connect("labs")
    done: list[str] = []

    async def slow(event: PartReady) -> None:
        await asyncio.sleep(0.7)
        done.append(event.part_id)

    await worker.consume(PART_LABS, slow, concurrency=2)
    for number in range(5):
        await sender.publish(PART_LABS, part(number), message_id=str(number))
    await asyncio.sleep(0.3)
    await worker.drain()
    assert len(done) == 2
    assert await sender.waiting(PART_LABS, "labs") == 3
    info = await sender.nats.jetstream().consumer_info(PART_LABS.stream, "labs-part-labs-routine")
    assert info.num_ack_pending == 0, "nothing is left in a hand that is gone"


@pytest.mark.requirement("DX-BUS-07")
async def test_work_that_outlasts_the_drain_goes_to_another_replica_at_once(
    connect: Connect,
) -> None:
    sender, seen = await connect("anonymization"), Seen()
    worker = await connect("labs", drain_s=0.3)

    async def endless(event: PartReady) -> None:
        await asyncio.sleep(60)

    await worker.consume(PART_LABS, endless)
    await sender.publish(PART_LABS, part(), message_id="one")
    await asyncio.sleep(0.5)
    await worker.drain()
    await (await connect("labs")).consume(PART_LABS, seen.handle)
    await until(lambda: seen.events == ["labs-1"], limit_s=5)


@pytest.mark.requirement("DX-BUS-13")
async def test_trace_goes_on_from_publisher_to_handler(connect: Connect) -> None:
    sender, worker = await connect("anonymization"), await connect("labs")
    traces: list[int] = []

    async def handle(event: PartReady) -> None:
        traces.append(trace.get_current_span().get_span_context().trace_id)

    await worker.consume(PART_LABS, handle)
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("request") as span:
        await sender.publish(PART_LABS, part(), message_id="one")
    await until(lambda: bool(traces))
    assert traces == [span.get_span_context().trace_id]


@pytest.mark.requirement("DX-BUS-11")
async def test_publishing_where_the_service_may_not_is_forbidden(
    signed_nats_server: NatsServer,
) -> None:
    owner = await Bus.connect("anonymization", signed_nats_server.settings("anonymization"))
    bus = await Bus.connect("labs", signed_nats_server.settings("labs"))
    with pytest.raises(Forbidden):
        await bus.publish(PART_LABS, part(), message_id="one")
    await bus.drain()
    await owner.drain()
