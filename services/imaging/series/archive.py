"""The files of a series out of its archive, within limits."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.imaging.series.refusals import DamagedSeries, SeriesTooLarge

FILES_MAX = 2_000
FILE_BYTES_MAX = 64 << 20


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
    """Return the files of an archive that is in memory; see `files` for what is raised."""
    return [File(memoryview(one)) for one in files(content)]


def spooled(archive: bytes | Path, folder: Path) -> list[File]:
    """Return the files of an archive, written to `folder` as 0001.dcm, 0002.dcm …

    Holds one megabyte at a time where the archive is a file. See `files` for what is raised.
    """
    raise NotImplementedError


def files(content: bytes) -> Iterator[bytes]:
    """Yield each file of an uncompressed ZIP, one held at a time.

    Raises
    ------
    DamagedSeries
        No ZIP, an entry that is compressed, encrypted or cut short.
    SeriesTooLarge
        More files, or a larger file, than a series of slices has.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _check(entries)
            for entry in entries:
                yield archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise DamagedSeries("the archive of a series cannot be read") from error


def _check(entries: list[zipfile.ZipInfo]) -> None:
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
