"""Requests over kept connections, one at a time on each, with as little of Python as can be."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Make = Callable[[int], bytes]
"""Returns the bytes of the n-th request."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a number of requests."""

    per_s: float
    p50_ms: float
    p99_ms: float
    statuses: dict[int, int]


class _Connection(asyncio.Protocol):
    def __init__(self, take: Callable[[], bytes | None], note: Callable[[float, int], None]):
        self._take, self._note = take, note
        self._buffer = bytearray()
        self._sent = 0.0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        request = self._take()
        if request is None:
            self._transport.close()
            if not self.ended.done():
                self.ended.set_result(None)
            return
        self._sent = time.perf_counter()
        self._transport.write(request)  # type: ignore[attr-defined]  # a TCP transport writes

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._buffer, 0, head + 2)
        size = head + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < size:
            return
        self._note(time.perf_counter() - self._sent, int(self._buffer[9:12]))
        del self._buffer[:size]
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error or ConnectionError("the server closed the connection"))


def request(
    method: str, path: str, token: str = "", content: bytes = b"", headers: str = ""
) -> bytes:
    """Return an HTTP/1.1 request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{headers}"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if method in ("POST", "PUT"):
        head += f"Content-Type: application/fhir+json\r\nContent-Length: {len(content)}\r\n"
    return head.encode() + b"\r\n" + content


async def send(port: int, make: Make, count: int, connections: int) -> Load:
    """Send requests 0 to `count` - 1 over so many connections."""
    seconds: list[float] = []
    statuses: dict[int, int] = {}
    numbers = iter(range(count))

    def take() -> bytes | None:
        number = next(numbers, None)
        return None if number is None else make(number)

    def note(took: float, status: int) -> None:
        seconds.append(took)
        statuses[status] = statuses.get(status, 0) + 1

    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    opened = [
        await loop.create_connection(lambda: _Connection(take, note), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.ended for _, connection in opened))
    whole = time.perf_counter() - start
    cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else seconds * 99
    return Load(count / whole, 1000 * cuts[49], 1000 * cuts[98], statuses)
