"""The HTTP server inside the service's own event loop: granian, embedded, with limits.

| a client that | is ended after |
|---|---|
| is silent, or sends a head byte by byte | `head_s` since it connected or was last answered |
| sends a body slowly | `pause_s` between pieces, or below `body_rate`: 408 |
| does not read its answer | `unread_s` |
| comes with thousands of others | `connections` that are open, `requests` worked on: 503 |

HTTP/1.1 alone: granian's automatic mode waits for ever for a first byte, and HTTP/2 is the
proxy's business. TCP_USER_TIMEOUT, which ends connections whose peer takes nothing (Linux,
tcp(7)), can be set only on a socket of our own, so granian is handed one.
"""

from __future__ import annotations

import asyncio
import re
import resource
import socket
import sys
from dataclasses import dataclass
from time import monotonic
from typing import Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server as Embedded
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.fhir import outcome
from services.gateway.settings import Settings
from services.kernel.errors import InvalidInput, MeshError, Unavailable

BACKLOG = 2048
HOST = re.compile(rb"[A-Za-z0-9._:\[\]-]{1,255}")
"""One, as RFC 9112, 3.2 asks, and such that it may stand in a link."""
SPARE_FILES = 256
"""File descriptors kept for the database, the peers and the bus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client, or all of them, may take of the server."""

    connections: int = 12_000
    """Open at once; fewer where the process may not open so many files."""
    requests: int = 1000
    """Worked on at once."""
    head_s: float = 15.0
    """For a whole request head; also how long an idle connection is kept."""
    head_bytes: int = 64 << 10
    pause_s: float = 20.0
    """Longest pause while a body is on its way."""
    body_rate: float = 32 << 10
    """Bytes a second a body must come with on average, after the first `pause_s`."""
    unread_s: float = 60.0
    """For how long a client may take nothing of its answer."""


class RequestTimeout(MeshError):
    """The body came too slowly."""

    issue = "timeout"


class Server(Embedded):
    """granian on a socket that is already bound."""

    def __init__(self, app: ASGIApp, bound: socket.socket, **options: Any) -> None:
        super().__init__(app, interface=Interfaces.ASGINL, **options)
        self._bound = bound

    def _init_shared_socket(self) -> None:
        # granian's stub knows neither the arguments nor the attribute's type.
        held = SocketHolder(self._bound.detach(), False, BACKLOG)  # type: ignore[call-arg]
        self._ssp, self._shd = None, held  # type: ignore[assignment]


def make(app: ASGIApp, settings: Settings, limits: Limits | None = None) -> Server:
    """Return a server for the application; `serve()` runs it, `stop()` ends it."""
    limits = limits or Limits()
    host, _, port = settings.http_listen.rpartition(":")
    tls = settings.http_tls_dir
    head = HTTP1Settings(
        header_read_timeout=round(limits.head_s * 1000), max_buffer_size=limits.head_bytes
    )
    return Server(
        Patience(app, limits),
        listening(host, int(port), limits),
        http=HTTPModes.http1,
        http1_settings=head,
        websockets=False,
        backpressure=min(limits.connections, files_allowed() - SPARE_FILES),
        log_enabled=False,  # its log would write addresses; the gate has spans
        ssl_cert=tls / "tls.crt" if tls else None,
        ssl_key=tls / "tls.key" if tls else None,
    )


def listening(host: str, port: int, limits: Limits) -> socket.socket:
    """Return a bound socket, whose connections end when nothing of an answer is taken."""
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
    if sys.platform == "linux":
        unread_ms = round(limits.unread_s * 1000)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unread_ms)
    bound.setblocking(False)
    return bound


def files_allowed() -> int:
    """Let the process open as many files as the system allows, and return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


async def run(server: Server) -> None:
    """Serve until the surrounding task is cancelled, then let requests in flight end."""
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.stop()  # type: ignore[no-untyped-call]  # granian leaves it untyped
        await serving
        raise


class Patience:
    """An ASGI application that waits for a client only so long, and for so many at once."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits, self._running = app, limits, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
            await _refuse(send, InvalidInput("one Host header is needed", reason="BAD_REQUEST"))
            return
        if self._running >= self._limits.requests:
            await _refuse(send, Unavailable("the server is busy", reason="BUSY"))
            return
        self._running += 1
        try:
            body = _Body(receive, send, self._limits)
            await self._app(scope, body.receive, body.send)
        finally:
            self._running -= 1


class _Body:
    """One request's body, which must keep coming; a late one is answered 408."""

    def __init__(self, receive: Receive, send: Send, limits: Limits) -> None:
        self._receive, self._send, self._limits = receive, send, limits
        self._began, self._bytes = monotonic(), 0
        self._whole = self._late = self._answered = False

    async def receive(self) -> Message:
        """Return the next piece; a disconnect when it is late."""
        if self._whole or self._late:
            return {"type": "http.disconnect"} if self._late else await self._receive()
        allowed = self._limits.pause_s + self._bytes / self._limits.body_rate
        left = self._began + allowed - monotonic()
        try:
            async with asyncio.timeout(min(self._limits.pause_s, left)):
                message = await self._receive()
        except TimeoutError:
            self._late = True
            return {"type": "http.disconnect"}
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Pass the answer on, or the one of a late body in its place."""
        if not self._late or self._answered:
            self._answered = True
            await self._send(message)
        elif message["type"] == "http.response.start":
            await _refuse(self._send, RequestTimeout("the content came too slowly"))


async def _refuse(send: Send, error: MeshError) -> None:
    """Answer an error and close: what follows on the connection is not to be read."""
    answer = outcome.respond(error, headers={"Connection": "close", "Cache-Control": "no-store"})
    status = 408 if isinstance(error, RequestTimeout) else answer.status_code
    start = {"type": "http.response.start", "status": status, "headers": answer.raw_headers}
    await send(start)
    await send({"type": "http.response.body", "body": bytes(answer.body)})
