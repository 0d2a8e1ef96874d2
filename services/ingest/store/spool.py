"""Content while it is checked: in memory, or sealed in a temporary file when there is much of it.

The key of the file is never stored: a crash leaves bytes that nobody can read. Chunks of
256 KiB, AES-256-GCM; the key lives as long as the spool, so a chunk's number is its nonce.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, cast

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.kernel.errors import TooLarge

CHUNK = 256 << 10
TAG = 16
READ_BYTES = 64 << 10
MEMORY_BYTES = 4 << 20
"""Up to here content stays in memory: almost every DICOM file."""


class Spool:
    """One file's content; write it, then `finish`, then read it as often as needed."""

    def __init__(self, folder: Path | None, bytes_max: int, too_large: TooLarge) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._aead = AESGCM(os.urandom(32))
        self._rest = bytearray()
        self._hash = hashlib.sha256()
        self._bytes_max = bytes_max
        self._too_large = too_large
        self.size = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()

    def write(self, piece: bytes) -> None:
        """Add content; raises the error it was made with when there is too much of it."""
        self.size += len(piece)
        if self.size > self._bytes_max:
            raise self._too_large
        self._hash.update(piece)
        self._rest += piece
        if not self._file and self.size > MEMORY_BYTES:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed in exit
        while self._file and len(self._rest) >= CHUNK:
            self._seal(self._file, bytes(self._rest[:CHUNK]))
            del self._rest[:CHUNK]

    def finish(self) -> None:
        """Seal what is left."""
        if self._rest and self._file:
            self._seal(self._file, bytes(self._rest))
            self._rest.clear()

    @property
    def sha256(self) -> str:
        """Hash of the content, 64 hex digits."""
        return self._hash.hexdigest()

    def stays_in_memory(self, more: int) -> bool:
        """Tell whether the content stays in memory when so many bytes are added."""
        return self._file is None and self.size + more <= MEMORY_BYTES

    def in_memory(self) -> bytes | None:
        """Return the content if it was little enough to stay in memory."""
        return None if self._file else bytes(self._rest)

    def reader(self) -> BinaryIO:
        """Return the content as a seekable file."""
        return cast(BinaryIO, io.BufferedReader(_Reader(self), READ_BYTES))

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the content in order."""
        for number in range(-(-self.size // CHUNK)):
            yield self.chunk(number)

    def chunk(self, number: int) -> bytes:
        """Return one chunk's content."""
        if not self._file:
            return bytes(self._rest[number * CHUNK : (number + 1) * CHUNK])
        self._file.seek(number * (CHUNK + TAG))
        return self._aead.decrypt(_nonce(number), self._file.read(CHUNK + TAG), None)

    def _seal(self, file: IO[bytes], plain: bytes) -> None:
        number = file.tell() // (CHUNK + TAG)
        file.write(self._aead.encrypt(_nonce(number), plain, None))


class _Reader(io.RawIOBase):
    """A spool as Python's file reading wants it; holds one chunk."""

    name = "spool"  # pydicom asks for it

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._at = 0
        self._held: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._spool.size}[whence]
        if start + offset < 0:
            raise OSError("a position before the beginning")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        number, offset = divmod(self._at, CHUNK)
        if self._at >= self._spool.size:
            return 0
        if self._held[0] != number:
            self._held = (number, self._spool.chunk(number))
        piece = self._held[1][offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
