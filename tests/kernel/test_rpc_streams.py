"""Content in pieces, and methods that stream."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from services.kernel import rpc


async def test_content_is_cut_into_pieces_that_fit_a_message() -> None:
    content = bytes(range(256)) * 9000
    pieces = [piece async for piece in rpc.chunks(content)]
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= rpc.CHUNK_BYTES < rpc.MESSAGE_BYTES_MAX


def test_method_that_streams_its_answer_is_guarded_too() -> None:
    """Every kind of handler passes the check of the caller, or is refused outright."""
    kinds = {"unary_unary", "stream_unary", "unary_stream", "stream_stream"}

    async def run(kind: str) -> str:
        callers = {"a.B": frozenset({"gateway"})}
        guard = rpc._Guard("labs", callers, secure=True)
        make = getattr(grpc, f"{kind}_rpc_method_handler")

        async def open_to_all(request: Any, context: Any) -> str:
            return "answered"

        class Details:
            method = "/a.B/Do"

        async def continuation(details: Any) -> Any:
            return make(open_to_all)

        class Context:
            def auth_context(self) -> dict[str, list[bytes]]:
                return {"x509_common_name": [b"imaging"]}

            def invocation_metadata(self) -> tuple[()]:
                return ()

            async def abort_with_status(self, status: Any) -> None:
                raise PermissionError(status.code)

        handler = await guard.intercept_service(continuation, Details())
        return str(await getattr(handler, kind)(None, Context()))

    for kind in kinds:
        with pytest.raises((PermissionError, NotImplementedError)):
            asyncio.run(run(kind))
