"""An HTTP endpoint on a real port that keeps what it is sent and answers as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.content)

    @property
    def status(self) -> dict[str, Any]:
        """The parameters of a notification's status, by name; the last of a name."""
        first = self.json["entry"][0]["resource"]
        return {p["name"]: p for p in first["parameter"]}

    @property
    def kind(self) -> str:
        return str(self.status["type"]["valueCode"])

    @property
    def numbers(self) -> list[int]:
        """Numbers of the events that are told."""
        if not self.content or self.json["resourceType"] != "Bundle":
            return [int(self.headers["x-subscription-event"])]
        first = self.json["entry"][0]["resource"]
        return [
            int(part["valueString"])
            for p in first["parameter"]
            if p["name"] == "notification-event"
            for part in p["part"]
            if part["name"] == "event-number"
        ]


@dataclass
class Receiver:
    """`answer` says with which status line and headers to answer; `delay_s` when."""

    port: int = 0
    answer: Callable[[Received], str] = lambda _: "200 OK"
    delay_s: float = 0.0
    got: list[Received] = field(default_factory=list)
    first: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when something came."""
    server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def events(self) -> list[int]:
        """Numbers of all events it was told of, in the order they came."""
        return [
            number
            for one in self.got
            if not one.content or one.json["resourceType"] != "Bundle" or one.numbers
            for number in one.numbers
        ]

    async def changed(self) -> None:
        """Return when something more came, or after a while."""
        self.first.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await self.first.wait()

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self.server:
            self.server.close()
            await self.server.wait_closed()
            self.server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            request, *lines = head.split("\r\n")
            method, path, _ = request.split(" ")
            pairs = [line.partition(": ") for line in lines if line]
            headers = {name.lower(): value for name, _, value in pairs}
            content = await reader.readexactly(int(headers.get("content-length", "0")))
            received = Received(method, path, headers, content)
            await asyncio.sleep(self.delay_s)
            answer = self.answer(received)
            self.got.append(received)
            self.first.set()
            writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()
