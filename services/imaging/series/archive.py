"""The files of a series out of its archive, within limits."""

from __future__ import annotations

import contextlib
import io
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.imaging.series.refusals import DamagedSeries, SeriesTooLarge

FILES_MAX = 20_000
FILE_BYTES_MAX = 16 << 30
PIECE = 1 << 20
LOCAL_HEADER = struct.Struct("<26xHH")
"""Of an entry (PKWARE APPNOTE 4.3.7): the lengths of its name and extra field end it."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of an archive: on disk, or a view of the archive in memory."""

    source: Path | memoryview

    @property
    def path(self) -> Path | None:
        """Where it lies on disk, or None."""
        return self.source if isinstance(self.source, Path) else None

    @property
    def size(self) -> int:
        """Bytes."""
        return self.source.stat().st_size if isinstance(self.source, Path) else self.source.nbytes

    def open(self) -> BinaryIO:
        """Return the file, to be read and closed."""
        if isinstance(self.source, Path):
            return self.source.open("rb")
        return io.BytesIO(self.source)


def held(content: bytes) -> list[File]:
    """Return the files of an uncompressed ZIP that is in memory.

    Raises
    ------
    DamagedSeries
        No ZIP, an entry that is compressed, encrypted or cut short.
    SeriesTooLarge
        More files, or a larger file, than a series has.
    """
    with _opened(io.BytesIO(content)) as (_, entries):
        return [File(_view(content, entry)) for entry in entries]


def spooled(archive: bytes | Path, folder: Path) -> list[File]:
    """Return the files of an archive, written to `folder` as 0001.dcm, 0002.dcm …

    Holds one megabyte at a time where the archive is a file. See `held` for what is raised.
    """
    source = io.BytesIO(archive) if isinstance(archive, bytes) else archive.open("rb")
    found: list[File] = []
    with source, _opened(source) as (opened, entries):
        for number, entry in enumerate(entries, start=1):
            path = folder / f"{number:04}.dcm"
            with opened.open(entry) as stream, path.open("wb") as target:
                shutil.copyfileobj(stream, target, PIECE)
            found.append(File(path))
    return found


@contextlib.contextmanager
def _opened(source: BinaryIO) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    try:
        with zipfile.ZipFile(source) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _check(entries, source.seek(0, io.SEEK_END))
            yield archive, entries
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, struct.error) as error:
        raise DamagedSeries("the archive of a series cannot be read") from error


def _view(content: bytes, entry: zipfile.ZipInfo) -> memoryview:
    """Return an entry's bytes without a copy."""
    name, extra = LOCAL_HEADER.unpack_from(content, entry.header_offset)
    start = entry.header_offset + LOCAL_HEADER.size + name + extra
    view = memoryview(content)[start : start + entry.file_size]
    if len(view) != entry.file_size or zlib.crc32(view) != entry.CRC:
        raise DamagedSeries("a file of the archive is damaged")
    return view


def _check(entries: list[zipfile.ZipInfo], size: int) -> None:
    if not entries:
        raise DamagedSeries("the archive of a series is empty")
    if len(entries) > FILES_MAX:
        raise SeriesTooLarge("a series has too many files", files=len(entries), limit=FILES_MAX)
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise DamagedSeries("the archive of a series holds a compressed or encrypted file")
        if entry.file_size > FILE_BYTES_MAX:
            raise SeriesTooLarge(
                "a file of a series is too large", bytes=entry.file_size, limit=FILE_BYTES_MAX
            )
    if (total := sum(entry.file_size for entry in entries)) > size:
        raise DamagedSeries("the archive is shorter than its files", bytes=size, stated=total)
