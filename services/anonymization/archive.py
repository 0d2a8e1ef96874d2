"""A ZIP written as it is read: entries stored, not compressed, one held at a time."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterable, AsyncIterator, Iterator

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Every entry's time: the archive says nothing of when it was made."""


class _Sink(io.RawIOBase):
    """Takes what zipfile writes; it cannot seek, so zipfile writes sizes after each entry."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, content: object) -> int:
        part = bytes(content)  # type: ignore[call-overload]  # zipfile passes bytes-like objects
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def unpacked(content: bytes) -> Iterator[bytes]:
    """Yield the files of an archive that `stored` made, in order."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            yield archive.read(entry)


async def stored(contents: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the bytes of an archive of `0001.dcm`, `0002.dcm` … with the contents given."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        number = 0
        async for content in contents:
            number += 1
            archive.writestr(zipfile.ZipInfo(f"{number:04}.dcm", EPOCH), content)
            yield sink.take()
    yield sink.take()
