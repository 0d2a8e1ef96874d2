"""A part of `blobs`: how a blob's chunks lie, and reading some of them without the others."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator

import obstore
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from services.kernel.errors import Damaged, Unavailable

MAGIC = b"DXB1"
CHUNK = 1 << 20
TAG = 16
PREFIX = 8
HEAD = len(MAGIC) + PREFIX


class BlobReader:
    """One blob, of which only the chunks that a range touches are fetched and opened.

    Each chunk is bound to its place and its blob, so a piece is as sure as the whole.
    """

    def __init__(self, store: ObjectStore, key: bytes, path: str, sealed: int) -> None:
        self._store, self._sealed = store, sealed
        self.path = path
        """Where the blob lies in its store, which no other does."""
        self._aead = AESGCM(key)
        self._head = b""
        self._chunks = max(1, -(-(sealed - HEAD) // (CHUNK + TAG)))
        self._last: tuple[int, bytes] = (-1, b"")
        self.size = max(0, sealed - HEAD - self._chunks * TAG)
        """Bytes of the content."""

    async def read(self, start: int, length: int) -> bytes:
        """Return at most `length` bytes from `start` on; fewer at the end."""
        return b"".join([piece async for piece in self.stream(start, length)])

    async def stream(self, start: int, length: int) -> AsyncIterator[bytes]:
        """Yield the same in pieces, none over 1 MiB.

        Raises
        ------
        Damaged, Unavailable
        """
        end = min(start + length, self.size)
        for number in range(start // CHUNK, -(-end // CHUNK)):
            chunk, first = await self._chunk(number), number * CHUNK
            yield chunk[max(0, start - first) : end - first]

    async def _chunk(self, number: int) -> bytes:
        if self._last[0] != number:
            self._head = self._head or await self._fetch(0, HEAD)
            if self._head[: len(MAGIC)] != MAGIC:
                raise Damaged("a blob does not begin as dxmesh writes it")
            at = HEAD + number * (CHUNK + TAG)
            sealed = await self._fetch(at, min(at + CHUNK + TAG, self._sealed))
            nonce = self._head[len(MAGIC) :] + number.to_bytes(4, "big")
            bound_to = bound(self.path.encode(), number, number == self._chunks - 1)
            try:
                plain = await asyncio.to_thread(self._aead.decrypt, nonce, sealed, bound_to)
            except (InvalidTag, ValueError) as error:
                raise Damaged("a blob does not decrypt: it was changed or cut short") from error
            self._last = (number, plain)
        return self._last[1]

    async def _fetch(self, start: int, end: int) -> bytes:
        try:
            return bytes(
                await obstore.get_range_async(self._store, self.path, start=start, end=end)
            )
        except (BaseError, OSError) as error:
            raise Unavailable("the blob store does not answer") from error


def bound(path: bytes, number: int, last: bool) -> bytes:
    """Return what a chunk is bound to: its blob, its number, and whether it is the last."""
    return path + number.to_bytes(4, "big") + (b"\x01" if last else b"\x00")


def sealed_whole(key: bytes, path: str, content: bytes) -> bytearray:
    """Return what a blob of this content is in the store, made in place: copies cost most here."""
    aead, bound_path, prefix = AESGCM(key), path.encode(), os.urandom(PREFIX)
    chunks = max(1, -(-len(content) // CHUNK))
    made = bytearray(HEAD + len(content) + chunks * TAG)
    made[:HEAD] = MAGIC + prefix
    plain, target = memoryview(content), memoryview(made)
    for number in range(chunks):
        piece = plain[number * CHUNK : (number + 1) * CHUNK]
        at = HEAD + number * (CHUNK + TAG)
        nonce, last = prefix + number.to_bytes(4, "big"), number == chunks - 1
        place = target[at : at + len(piece) + TAG]
        aead.encrypt_into(nonce, piece, bound(bound_path, number, last), place)
    return made


def opened_whole(key: bytes, path: str, sealed: bytes, sha256: str) -> bytes:
    """Return the content of a blob.

    Raises
    ------
    Damaged
    """
    if sealed[: len(MAGIC)] != MAGIC:
        raise Damaged("a blob does not begin as dxmesh writes it")
    aead, bound_path = AESGCM(key), path.encode()
    prefix = sealed[len(MAGIC) : len(MAGIC) + PREFIX]
    view = memoryview(sealed)[len(MAGIC) + PREFIX :]
    step = CHUNK + TAG
    plain: list[bytes] = []
    try:
        for number, start in enumerate(range(0, max(len(view), 1), step)):
            last = start + step >= len(view)
            nonce = prefix + number.to_bytes(4, "big")
            chunk = view[start : start + step]
            plain.append(aead.decrypt(nonce, chunk, bound(bound_path, number, last)))
    except (InvalidTag, ValueError) as error:
        raise Damaged("a blob does not decrypt: it was changed or cut short") from error
    content = b"".join(plain)
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise Damaged("a blob is not the one its reference names")
    return content
