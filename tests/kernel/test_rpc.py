"""gRPC between services: who may call, errors that cross whole, deadlines, drain."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import socket
from pathlib import Path

import grpc
import pytest
from dxmesh.labs.v1 import labs_service_pb2 as pb
from dxmesh.labs.v1 import labs_service_pb2_grpc as rpc_pb
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from opentelemetry.sdk.trace import TracerProvider

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
from services.kernel.rpc import call, connect
from tests.kernel.labs_peer import PLAIN, Labs, ask, of, serving


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


@pytest.mark.requirement("DX-RPC-08")
async def test_trace_goes_on_from_caller_to_handler() -> None:
    labs = Labs()
    tracer = TracerProvider().get_tracer("test")
    async with serving(labs) as server:
        with tracer.start_as_current_span("request") as span:
            await ask(server)
    assert labs.trace == span.get_span_context().trace_id
