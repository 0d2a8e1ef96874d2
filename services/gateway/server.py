"""The HTTP server inside the service's own event loop: granian, embedded."""

from __future__ import annotations

import asyncio

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.types import ASGIApp

from services.gateway.settings import Settings

HEADER_TIMEOUT_MS = 15_000
"""A connection that sends no complete request head is closed after this."""


def make(app: ASGIApp, settings: Settings) -> Server:
    """Return a server for the application; `serve()` runs it, `stop()` ends it."""
    host, _, port = settings.http_listen.rpartition(":")
    tls = settings.http_tls_dir
    return Server(
        app,
        address=host,
        port=int(port),
        interface=Interfaces.ASGINL,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT_MS),
        log_enabled=False,  # its log would write addresses; the gate has spans
        ssl_cert=tls / "tls.crt" if tls else None,
        ssl_key=tls / "tls.key" if tls else None,
    )


async def run(server: Server) -> None:
    """Serve until the surrounding task is cancelled, then let requests in flight end."""
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.stop()  # type: ignore[no-untyped-call]  # granian leaves it untyped
        await serving
        raise
