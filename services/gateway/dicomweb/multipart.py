"""A multipart/related body as a stream of parts, none of which is held in memory.

Source: DICOM PS3.18 8.6 (multipart), RFC 2387, RFC 2046 5.1.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from services.gateway.fhir.outcome import UnsupportedMediaType
from services.kernel.errors import InvalidInput, TooLarge

PARTS_MAX = 20_000
PART_HEADERS_MAX, PART_HEADER_BYTES_MAX = 16, 4 << 10
_TOKEN = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{1,70}")


@dataclass(frozen=True, slots=True)
class Part:
    """The beginning of a part."""

    number: int
    media_type: str
    label: str
    """Name to call it in an answer."""


class Multipart:
    """Reads a body; iterate `parts`, and for each part `content` to its end."""

    def __init__(self, chunks: AsyncIterator[bytes], boundary: bytes) -> None:
        self._chunks = chunks
        self._events: deque[tuple[str, bytes]] = deque()
        self._parser = MultipartParser(
            boundary,
            self._callbacks(),
            max_header_count=PART_HEADERS_MAX,
            max_header_size=PART_HEADER_BYTES_MAX,
        )
        self._ended = False
        self._in_part = False

    async def parts(self) -> AsyncIterator[Part]:
        """Yield each part; what is left unread of one is skipped.

        Raises
        ------
        InvalidInput
            Not multipart, cut short, or a part's headers are over the limits.
        TooLarge
            More parts than allowed.
        """
        number = 0
        while True:
            event, _ = await self._next()
            if event == "end":
                break
            if event != "begin":
                continue
            number += 1
            if number > PARTS_MAX:
                raise TooLarge(f"more than {PARTS_MAX} parts", reason="TOO_MANY_PARTS")
            part = _part(number, await self._headers())
            self._in_part = True
            yield part
            async for _ in self.content():
                continue
        if number == 0:
            raise InvalidInput("the multipart content has no part", reason="BAD_REQUEST")

    async def content(self) -> AsyncIterator[bytes]:
        """Yield the rest of the current part."""
        while self._in_part:
            event, data = await self._next()
            if event == "data":
                yield data
            else:
                self._in_part = False

    async def _headers(self) -> Message:
        headers, name, value = Message(), b"", b""
        while True:
            event, data = await self._next()
            if event == "name":
                name += data
            elif event == "value":
                value += data
            elif event == "header":
                headers[name.decode("latin-1")] = value.decode("latin-1")
                name = value = b""
            elif event == "headers":
                return headers
            elif event == "end":
                raise InvalidInput("a part ends within its headers", reason="BAD_REQUEST")

    async def _next(self) -> tuple[str, bytes]:
        while not self._events:
            if self._ended:
                return "end", b""
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                raise InvalidInput(
                    "the multipart content ends before its last boundary", reason="BAD_REQUEST"
                ) from None
            try:
                if chunk:
                    self._parser.write(chunk)
            except MultipartParseError as error:
                raise InvalidInput("the content is not multipart", reason="BAD_REQUEST") from error
        return self._events.popleft()

    def _callbacks(self) -> Any:
        def data(event: str) -> Any:
            return lambda content, start, end: self._events.append((event, content[start:end]))

        def mark(event: str) -> Any:
            return lambda: self._events.append((event, b""))

        def end() -> None:
            self._ended = True

        return {
            "on_part_begin": mark("begin"),
            "on_part_data": data("data"),
            "on_part_end": mark("part-end"),
            "on_header_field": data("name"),
            "on_header_value": data("value"),
            "on_header_end": mark("header"),
            "on_headers_finished": mark("headers"),
            "on_end": end,
        }


def boundary(content_type: str) -> bytes:
    """Return the boundary of a multipart/related content type, quoted or not.

    Raises
    ------
    UnsupportedMediaType
        Another type, or the boundary is missing or malformed.
    """
    header = Message()
    header["content-type"] = content_type.replace("\r", " ").replace("\n", " ")
    if header.get_content_type() != "multipart/related":
        raise UnsupportedMediaType(
            "the content must be multipart/related, application/dicom or application/zip"
        )
    found = header.get_param("boundary", "")
    if not isinstance(found, str) or not _TOKEN.fullmatch(found) or found.endswith(" "):
        raise UnsupportedMediaType("multipart/related needs a boundary")
    return found.encode()


def _part(number: int, headers: Message) -> Part:
    filename = headers.get_filename() or headers.get("Content-Location", "") or ""
    label = re.sub(r"[^\w.\- ]", "_", str(filename))[:80] or f"part-{number}"
    return Part(number, headers.get_content_type(), label)
