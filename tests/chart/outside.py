"""What lies outside the mesh, as small as a test needs it: object storage and PostgreSQL's TLS."""

from __future__ import annotations

import asyncio
import http.server
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
"""What a client sends first: PostgreSQL protocol 3.0, 54.7 SSLRequest."""


class _Storage(http.server.BaseHTTPRequestHandler):
    """GET and PUT of S3, with `If-None-Match: *` as conditional writes have it."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    asked: list[str]

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        self.asked.append(self.headers.get("authorization", ""))
        taken = self.headers.get("if-none-match") == "*" and self.path in self.objects
        if not taken:
            self.objects[self.path] = content
        self._answer(412 if taken else 200, b"")

    def do_GET(self) -> None:
        content = self.objects.get(self.path)
        self._answer(404 if content is None else 200, content or b"")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.send_header("etag", '"1"')
        self.send_header("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def object_storage(tls: Path) -> Iterator[tuple[str, dict[str, bytes], list[str]]]:
    """Yield address, objects by path, and the Authorization header of each write."""
    objects: dict[str, bytes] = {}
    asked: list[str] = []
    handler = type("Storage", (_Storage,), {"objects": objects, "asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket = _context(tls).wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://localhost:{server.server_port}", objects, asked
    finally:
        server.shutdown()
        server.server_close()


class DatabaseDoor:
    """Answers PostgreSQL's SSLRequest and notes how far a client goes."""

    def __init__(self, tls: Path | None) -> None:
        self._tls = tls
        self.port = 0
        self.in_plain_text = b""
        self.encrypted = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[DatabaseDoor]:
        """Listen on loopback."""
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(8)
        if first != SSL_REQUEST:
            self.in_plain_text += first
        elif self._tls is None:
            writer.write(b"N")
            self.in_plain_text += await reader.read(4096)
        else:
            writer.write(b"S")
            try:
                await writer.start_tls(_context(self._tls))
                self.encrypted = bool(await reader.read(4))
            except (ssl.SSLError, ConnectionError):
                self.encrypted = False
        writer.close()


def _context(tls: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
    return context
