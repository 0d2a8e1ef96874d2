"""A labs service that answers as a test wants, and calls to it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from dxmesh.labs.v1 import labs_service_pb2 as pb
from dxmesh.labs.v1 import labs_service_pb2_grpc as rpc_pb
from opentelemetry import trace

from services.kernel.rpc import Server, call, connect
from services.kernel.settings import MeshSettings

NAME = "dxmesh.labs.v1.LabsService"
PLAIN = MeshSettings(nats_url="", grpc_listen="127.0.0.1:0")


class Labs(rpc_pb.LabsServiceServicer):
    """Answers as it is told; counts the calls."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.takes_s = 0.0
        self.calls = 0
        self.trace = 0

    async def InterpretPanel(self, request: Any, context: Any) -> Any:
        self.calls += 1
        self.trace = trace.get_current_span().get_span_context().trace_id
        await asyncio.sleep(self.takes_s)
        if self.error:
            raise self.error
        return pb.InterpretPanelResponse()


def of(tls: Path, service: str) -> MeshSettings:
    return dataclasses.replace(PLAIN, tls_dir=tls / service)


@contextlib.asynccontextmanager
async def serving(
    labs: Labs, settings: MeshSettings = PLAIN, callers: tuple[str, ...] = ("gateway",)
) -> AsyncIterator[Server]:
    server = Server("labs", settings)
    server.add(rpc_pb.add_LabsServiceServicer_to_server, labs, NAME, callers=callers)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


async def ask(server: Server, settings: MeshSettings = PLAIN, timeout_s: float = 5.0) -> Any:
    async with connect(f"127.0.0.1:{server.port}", settings) as channel:
        method = rpc_pb.LabsServiceStub(channel).InterpretPanel
        return await call(method, pb.InterpretPanelRequest(), timeout_s=timeout_s)
