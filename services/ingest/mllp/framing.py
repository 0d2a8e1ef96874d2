"""Blocks of MLLP from a stream: nothing is held beyond a limit, nobody waits for ever.

A block is <VT> content <FS><CR>. What stands between blocks is skipped up to a limit: some
senders put line ends there. A header that begins after a <VT> within a block begins it anew: a
sender that gave up half-way sends the whole again.

Source: HL7 Transport Specification: MLLP, Release 1, 2.
"""

from __future__ import annotations

import asyncio
import re

from services.kernel.errors import TooLarge

START, END = b"\x0b", b"\x1c\r"
PIECE = 64 << 10
_ANEW = re.compile(rb"\x0b(?=(?:\xef\xbb\xbf|\x84\x31\x95\x33)?MSH[^A-Za-z0-9])")
BETWEEN_BYTES_MAX = 4096


class Garbage(Exception):
    """What arrives is no MLLP."""


class Blocks:
    """The blocks of one connection."""

    def __init__(self, reader: asyncio.StreamReader, bytes_max: int, block_s: float) -> None:
        self._reader = reader
        self._bytes_max = bytes_max
        self._block_s = block_s
        self._held = bytearray()

    async def next(self, idle_s: float) -> bytes | None:
        """Return the next block's content; None when the sender closed between blocks.

        Raises
        ------
        TimeoutError
            Nothing came for `idle_s`, or a block did not end within its time.
        TooLarge
            The block is over the limit; its beginning is in `beginning`.
        Garbage
            No block begins, or the connection ended within one.
        """
        async with asyncio.timeout(idle_s):
            if not await self._begin():
                return None
        async with asyncio.timeout(self._block_s):
            return await self._content()

    @property
    def beginning(self) -> bytes:
        """What is held of a block that is too large."""
        return bytes(self._held[:PIECE])

    async def _begin(self) -> bool:
        """Read up to the content of a block; False when the sender closed."""
        while True:
            at = self._held.find(START)
            if at >= 0:
                del self._held[: at + 1]
                return True
            if len(self._held) > BETWEEN_BYTES_MAX:
                raise Garbage
            if not (piece := await self._reader.read(PIECE)):
                return False
            self._held += piece

    async def _content(self) -> bytes:
        searched = 0
        while True:
            at = self._held.find(END, searched)
            if at >= 0 and at <= self._bytes_max:
                content = bytes(self._held[:at])
                del self._held[: at + len(END)]
                return _ANEW.split(content)[-1]
            if len(self._held) > self._bytes_max:
                raise TooLarge(
                    f"the message is over {self._bytes_max} bytes; send it in parts",
                    reason="MESSAGE_TOO_LARGE",
                )
            searched = max(0, len(self._held) - 1)
            if not (piece := await self._reader.read(PIECE)):
                raise Garbage
            self._held += piece


def framed(content: bytes) -> bytes:
    """Return a block."""
    return START + content + END
