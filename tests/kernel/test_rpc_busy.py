"""A method with a limit refuses what is over it unread, and says when to come again."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from dxmesh.labs.v1 import labs_service_pb2 as pb
from dxmesh.labs.v1 import labs_service_pb2_grpc as rpc_pb

from services.kernel.errors import MeshError, NotFound, RemoteError, Unavailable
from tests.kernel.labs_peer import Labs, ask, serving


class Limited(Labs):
    """Answers two calls at once."""

    calls_at_once = {"InterpretPanel": 2}  # noqa: RUF012 - never changed


async def asked(server: Any, times: int, timeout_s: float = 5.0) -> list[MeshError]:
    """Return the errors of calls that are made at once."""
    found = await asyncio.gather(
        *(ask(server, timeout_s=timeout_s) for _ in range(times)), return_exceptions=True
    )
    return [each for each in found if isinstance(each, MeshError)]


@pytest.mark.requirement("DX-RPC-13")
async def test_what_is_over_the_limit_is_refused_and_the_rest_answered() -> None:
    labs = Limited()
    labs.takes_s = 0.5
    async with serving(labs) as server:
        refused = await asked(server, 6)
        assert [(each.reason, each.retry_after_s) for each in refused] == [("BUSY", 2.0)] * 4
        assert all(isinstance(each, Unavailable) for each in refused)
        assert labs.calls == 2, "nothing is asked for again, and nothing over the limit is heard"
        labs.takes_s = 0.0
        assert await asked(server, 2) == [], "there is room again"


@pytest.mark.requirement("DX-RPC-13")
async def test_room_is_given_back_whatever_became_of_a_call() -> None:
    labs = Limited()
    async with serving(labs) as server:
        labs.error = NotFound("no")
        for _ in range(3):
            (lasting,) = await asked(server, 1)
            assert isinstance(lasting, RemoteError)
        labs.error = ValueError("a bug")
        assert [each.reason for each in await asked(server, 2)] == ["MESH_ERROR"] * 2
        labs.error, labs.takes_s = None, 5.0
        assert len(await asked(server, 2, timeout_s=0.2)) == 2
        labs.takes_s = 0.0
        assert await asked(server, 2) == []


@pytest.mark.requirement("DX-RPC-13")
async def test_a_message_over_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    labs, read = Limited(), list[int]()
    labs.takes_s = 0.5
    parse = pb.InterpretPanelRequest.FromString

    def counted(content: bytes) -> Any:
        read.append(len(content))
        return parse(content)

    monkeypatch.setattr(pb.InterpretPanelRequest, "FromString", staticmethod(counted))
    async with serving(labs) as server, to(server) as channel:
        method = rpc_pb.LabsServiceStub(channel).InterpretPanel
        request = pb.InterpretPanelRequest(panel_json=bytes(2 << 20))
        calls = [method(request, timeout=5) for _ in range(8)]
        codes = [await call.code() for call in calls]
    assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 6
    assert codes.count(grpc.StatusCode.OK) == 2 == len(read)


def to(server: Any) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
