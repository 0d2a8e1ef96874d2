"""A call and a service end: deadlines, health, drain, and a refusal in the midst of an upload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from dxmesh.ingest.v1 import ingest_service_pb2 as ingest_pb
from dxmesh.ingest.v1 import ingest_service_pb2_grpc as ingest_rpc
from dxmesh.labs.v1 import labs_service_pb2 as pb
from dxmesh.labs.v1 import labs_service_pb2_grpc as rpc_pb
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.kernel import rpc
from services.kernel.errors import (
    RemoteError,
    TooLarge,
    Unavailable,
)
from services.kernel.rpc import Server, call, connect
from tests.kernel.labs_peer import NAME, PLAIN, Labs, ask, of, serving


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
