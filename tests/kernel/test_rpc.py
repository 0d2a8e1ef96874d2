"""gRPC between services: who may call, errors that cross whole, deadlines, drain."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from dxmesh.ingest.v1 import ingest_service_pb2 as ingest_pb
from dxmesh.ingest.v1 import ingest_service_pb2_grpc as ingest_rpc
from dxmesh.labs.v1 import labs_service_pb2 as pb
from dxmesh.labs.v1 import labs_service_pb2_grpc as rpc_pb
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from opentelemetry.sdk.trace import TracerProvider

from services.kernel import rpc
from services.kernel.errors import (
    Conflict,
    Damaged,
    Forbidden,
    InvalidInput,
    MeshError,
    NotFound,
    Precondition,
    RemoteError,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Violation,
)
from services.kernel.rpc import Server, call, connect
from tests.kernel.labs_peer import NAME, PLAIN, Labs, ask, of, serving


@pytest.mark.requirement("DX-RPC-01")
async def test_named_caller_is_answered_and_every_other_refused(tls: Path) -> None:
    labs = Labs()
    async with serving(labs, of(tls, "labs")) as server:
        await ask(server, of(tls, "gateway"))
        for other in ("imaging", "operator", "labs"):
            with pytest.raises(RemoteError) as refused:
                await ask(server, of(tls, other))
            assert (refused.value.reason, refused.value.issue) == ("FORBIDDEN", "forbidden")
    assert labs.calls == 1


@pytest.mark.requirement("DX-RPC-01")
async def test_caller_without_a_certificate_of_our_ca_is_not_heard(
    tls: Path, tmp_path: Path
) -> None:
    from services.cli.certificates import write_certificates

    write_certificates(tmp_path, ["gateway"])  # the right name from the wrong CA
    labs = Labs()
    async with serving(labs, of(tls, "labs")) as server:
        (tmp_path / "gateway" / "ca.crt").write_bytes((tls / "labs" / "ca.crt").read_bytes())
        for stranger in (of(tmp_path, "gateway"), PLAIN):
            with pytest.raises(Unavailable):
                await ask(server, stranger, timeout_s=1.0)
    assert labs.calls == 0


@pytest.mark.requirement("DX-RPC-01")
async def test_server_of_another_ca_is_not_trusted(tls: Path, tmp_path: Path) -> None:
    from services.cli.certificates import write_certificates

    write_certificates(tmp_path, ["labs"])
    labs = Labs()
    async with serving(labs, of(tmp_path, "labs")) as server:
        with pytest.raises(Unavailable):
            await ask(server, of(tls, "gateway"), timeout_s=1.0)
    assert labs.calls == 0


LASTING = [
    (InvalidInput("no", [Violation("Patient.id", "missing"), Violation("x[1]", "odd")]), "invalid"),
    (TooLarge("over 5 MiB", reason="NOTE_TOO_LARGE", limit="5242880"), "too-costly"),
    (NotFound("no case"), "not-found"),
    (Forbidden("no", reason="CONSENT_DENIED"), "forbidden"),
    (Unauthenticated("who"), "login"),
    (Conflict("moved on"), "conflict"),
    (Precondition("first this"), "business-rule"),
    (Damaged("cut short"), "incomplete"),
]


@pytest.mark.requirement("DX-RPC-02")
@pytest.mark.parametrize(("error", "issue"), LASTING, ids=lambda value: type(value).__name__)
async def test_lasting_error_crosses_the_wire_whole(error: MeshError, issue: str) -> None:
    labs = Labs()
    labs.error = error
    async with serving(labs) as server:
        with pytest.raises(RemoteError) as caught:
            await ask(server)
    back = caught.value
    assert (back.message, back.reason, back.facts) == (error.message, error.reason, error.facts)
    assert (back.issue, back.grpc_status) == (issue, error.grpc_status)
    assert back.violations == getattr(error, "violations", [])
    assert back.retry_after_s is None
    assert labs.calls == 1, "a lasting error is not asked for again"


@pytest.mark.requirement("DX-RPC-02")
async def test_more_problems_than_a_trailer_holds_still_say_what_is_wrong() -> None:
    labs = Labs()
    found = [Violation(f"Bundle.entry[{n}].resource.subject", "missing") for n in range(2000)]
    labs.error = InvalidInput("no", found)
    async with serving(labs) as server:
        with pytest.raises(RemoteError) as caught:
            await ask(server)
    back = caught.value.violations
    assert caught.value.grpc_status == "INVALID_ARGUMENT"
    assert 50 < len(back) < 500 and back[:-1] == found[: len(back) - 1]
    assert back[-1].problem == f"missing (and {2000 - len(back)} more problems)"


@pytest.mark.requirement("DX-RPC-02")
async def test_status_carries_error_info_bad_request_and_retry_info() -> None:
    labs = Labs()
    for error in (InvalidInput("no", [Violation("a.b", "odd")]), Unavailable("away")):
        labs.error = error
        async with (
            serving(labs) as server,
            grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await rpc_pb.LabsServiceStub(channel).InterpretPanel(pb.InterpretPanelRequest())
        status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]  # it has what is needed
        assert status is not None
        info, detail = error_details_pb2.ErrorInfo(), status.details[1]
        status.details[0].Unpack(info)
        assert (info.domain, info.reason) == ("dxmesh", error.reason)
        bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if isinstance(error, InvalidInput):
            assert detail.Unpack(bad)
            assert bad.field_violations[0].field == "a.b"
        else:
            assert detail.Unpack(retry)
            assert retry.retry_delay.seconds == 2


@pytest.mark.requirement("DX-RPC-03")
async def test_peer_that_is_away_is_asked_four_times_and_then_unavailable() -> None:
    labs = Labs()
    labs.error = Unavailable("the store is away", reason="STORE_AWAY")
    async with serving(labs) as server:
        with pytest.raises(Unavailable) as caught:
            await ask(server)
    assert labs.calls == 4
    assert caught.value.reason == "STORE_AWAY"
    assert caught.value.retry_after_s is not None


@pytest.mark.requirement("DX-RPC-03")
async def test_channel_finds_a_peer_that_comes_back_on_its_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = dataclasses.replace(PLAIN, grpc_listen=f"127.0.0.1:{port}")
    async with connect(f"127.0.0.1:{port}", settings) as channel:
        method = rpc_pb.LabsServiceStub(channel).InterpretPanel
        with pytest.raises(Unavailable):
            await call(method, pb.InterpretPanelRequest(), timeout_s=2.0)
        for _ in range(2):
            async with serving(Labs(), settings):
                await _found(method)


async def _found(method: grpc.aio.UnaryUnaryMultiCallable) -> None:
    """Ask until the peer answers: the channel waits up to 2 s before it tries to connect again."""
    async with asyncio.timeout(30):
        while True:
            try:
                await call(method, pb.InterpretPanelRequest(), timeout_s=10.0)
            except Unavailable:
                await asyncio.sleep(0.2)
            else:
                return


@pytest.mark.requirement("DX-RPC-04")
async def test_call_ends_at_its_deadline() -> None:
    labs = Labs()
    labs.takes_s = 30
    began = asyncio.get_running_loop().time()
    async with serving(labs) as server:
        with pytest.raises(Unavailable) as caught:
            await ask(server, timeout_s=0.5)
    assert asyncio.get_running_loop().time() - began < 3
    assert caught.value.reason == "DEADLINE_EXCEEDED"


@pytest.mark.requirement("DX-RPC-04")
async def test_call_without_a_deadline_is_ended_by_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rpc, "HANDLER_LIMIT_S", 0.2)
    labs = Labs()
    labs.takes_s = 30
    async with (
        serving(labs) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc_pb.LabsServiceStub(channel).InterpretPanel(pb.InterpretPanelRequest())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.requirement("DX-RPC-05")
async def test_unforeseen_error_leaks_no_text(caplog: pytest.LogCaptureFixture) -> None:
    labs = Labs()
    labs.error = ValueError("Zhang San 110101199003078515")
    with caplog.at_level(logging.DEBUG):
        async with serving(labs) as server:
            with pytest.raises(Unavailable) as caught:
                await ask(server)
    assert "Zhang" not in f"{caught.value.message}{caught.value.__cause__}{caplog.text}"
    assert "InterpretPanel" in caplog.text
    assert "labs_peer.py" in caplog.text, "the log has the place"


@pytest.mark.requirement("DX-RPC-06")
async def test_health_and_reflection_answer_any_certificate_of_the_mesh(tls: Path) -> None:
    async with (
        serving(Labs(), of(tls, "labs")) as server,
        connect(f"127.0.0.1:{server.port}", of(tls, "operator")) as channel,
    ):
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", NAME):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        ask_names = reflection_pb2.ServerReflectionRequest(list_services="")
        async for answer in stub.ServerReflectionInfo(iter([ask_names])):
            listed = {one.name for one in answer.list_services_response.service}
    assert NAME in listed


@pytest.mark.requirement("DX-RPC-07")
async def test_draining_says_so_and_lets_the_call_in_flight_finish() -> None:
    labs = Labs()
    labs.takes_s = 1.0
    async with serving(labs) as server, connect(f"127.0.0.1:{server.port}", PLAIN) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        method = rpc_pb.LabsServiceStub(channel).InterpretPanel
        running = asyncio.create_task(call(method, pb.InterpretPanelRequest(), timeout_s=5.0))
        await asyncio.sleep(0.3)
        watching = health.Watch(health_pb2.HealthCheckRequest())
        first = await watching.read()
        stopping = asyncio.create_task(server.stop(5.0))
        second = await watching.read()
        watching.cancel()
        await running
        await stopping
    states = health_pb2.HealthCheckResponse
    assert (first.status, second.status) == (states.SERVING, states.NOT_SERVING)
    assert labs.calls == 1


@pytest.mark.requirement("DX-RPC-08")
async def test_trace_goes_on_from_caller_to_handler() -> None:
    labs = Labs()
    tracer = TracerProvider().get_tracer("test")
    async with serving(labs) as server:
        with tracer.start_as_current_span("request") as span:
            await ask(server)
    assert labs.trace == span.get_span_context().trace_id


class _Refuses(ingest_rpc.IngestServiceServicer):
    """Refuses an upload after its first chunks."""

    async def StoreInstances(self, request_iterator: Any, context: Any) -> Any:
        async for message in request_iterator:
            if message.WhichOneof("part") == "chunk":
                raise TooLarge("over the limit", reason="INSTANCE_TOO_LARGE")


@pytest.mark.requirement("DX-RPC-02")
async def test_refusal_in_the_midst_of_an_upload_keeps_its_reason() -> None:
    async def upload() -> AsyncIterator[ingest_pb.StoreInstancesRequest]:
        yield ingest_pb.StoreInstancesRequest(header=ingest_pb.ContentHeader(tenant="t"))
        for _ in range(100):
            yield ingest_pb.StoreInstancesRequest(chunk=bytes(rpc.CHUNK_BYTES))

    server = Server("ingest", PLAIN)
    register = ingest_rpc.add_IngestServiceServicer_to_server
    server.add(register, _Refuses(), "dxmesh.ingest.v1.IngestService", callers=("gateway",))
    await server.start()
    try:
        async with connect(f"127.0.0.1:{server.port}", PLAIN) as channel:
            method = ingest_rpc.IngestServiceStub(channel).StoreInstances
            for _ in range(20):
                with pytest.raises(RemoteError) as refused:
                    await call(method, upload(), timeout_s=30.0)
                assert refused.value.reason == "INSTANCE_TOO_LARGE"
    finally:
        await server.stop(0)
