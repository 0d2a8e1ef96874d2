"""A ZIP archive of instances, read entry by entry; nothing is written under its names. Pure.

Central directory first: its size and every name, size and flag are judged before a byte is
unpacked, and unpacking stops at the size that was stated.

Source: PKWARE APPNOTE 6.3.10, 4.3.12 to 4.3.16 and 4.4.4.
"""

from __future__ import annotations

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from services.ingest.elements import UnusableInstance
from services.ingest.limits import ArchiveLimits
from services.kernel.errors import InvalidInput, TooLarge

PIECE = 1 << 20
DIRECTORY_BYTES_PER_ENTRY = 1024
"""Central directory bytes allowed per entry: name, extra field and comment."""
SYSTEM_NAMES = frozenset((".ds_store", "thumbs.db", "desktop.ini", "dicomdir", "dicomdir.bak"))
ARCHIVE_SUFFIXES = frozenset((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".iso"))
_END, _END64, _LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_BYTES, _COMMENT_MAX = 22, 0xFFFF
_ENCRYPTED, _UTF8 = 0x1 | 0x40 | 0x2000, 0x800
_UNPACK_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError),
    *(NotImplementedError, RuntimeError, struct.error),
)
"""What zipfile raises on a damaged entry, or on a method it does not know."""


class BadArchive(InvalidInput):
    """An upload that is no ZIP archive that can be read."""


class ArchiveTooLarge(TooLarge):
    """An archive over a limit; nothing of it is kept."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive, or why it is not opened."""

    name: str
    info: zipfile.ZipInfo
    refusal: UnusableInstance | None


class Archive:
    """An archive whose directory was judged."""

    def __init__(self, source: BinaryIO, size: int, limits: ArchiveLimits) -> None:
        """Read the central directory.

        Raises
        ------
        BadArchive
            NOT_A_ZIP.
        ArchiveTooLarge
            TOO_MANY_ENTRIES, ARCHIVE_TOO_LARGE or ZIP_BOMB.
        """
        if _directory_bytes(source, size) > limits.entries * DIRECTORY_BYTES_PER_ENTRY:
            raise _too_many(limits)
        try:
            self._zip = zipfile.ZipFile(source)
        except _UNPACK_ERRORS as error:
            raise BadArchive("the upload is no ZIP archive", reason="NOT_A_ZIP") from error
        self._limits = limits
        self._judge(size)

    def entries(self) -> Iterator[Entry]:
        """Yield every file, in the archive's order; folders are left out."""
        for info in self._zip.infolist():
            if not info.orig_filename.endswith("/"):
                name = _name(info)
                yield Entry(name, info, self._refusal(info, name))

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Yield an entry's bytes in pieces.

        Raises
        ------
        UnusableInstance
            DAMAGED_ENTRY: it does not unpack, or not to its size and checksum.
        """
        try:
            with self._zip.open(entry.info) as packed:  # ends at the stated size, checks the CRC
                while piece := packed.read(PIECE):
                    yield piece
        except _UNPACK_ERRORS as error:
            raise UnusableInstance(
                "the entry does not unpack; pack it again", reason="DAMAGED_ENTRY"
            ) from error

    def _judge(self, size: int) -> None:
        infos, limits = self._zip.infolist(), self._limits
        if len(infos) > limits.entries:
            raise _too_many(limits)
        total = sum(info.file_size for info in infos)
        if total > limits.total_bytes:
            raise ArchiveTooLarge(
                f"the archive unpacks to over {limits.total_bytes} bytes; send it in parts",
                reason="ARCHIVE_TOO_LARGE",
            )
        if total > limits.ratio_free_bytes and total > size * limits.ratio:
            raise ArchiveTooLarge(
                f"the archive grows over {limits.ratio:g} times when unpacked", reason="ZIP_BOMB"
            )

    def _refusal(self, info: zipfile.ZipInfo, name: str) -> UnusableInstance | None:
        """Return why an entry is not opened."""
        limits = self._limits
        if reason := _name_reason(name):
            return _REFUSALS[reason]
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            return _REFUSALS["SPECIAL_FILE"]
        if info.flag_bits & _ENCRYPTED:
            return _REFUSALS["ENCRYPTED_ENTRY"]
        if info.file_size > limits.entry_bytes:
            return UnusableInstance(
                f"the file is over {limits.entry_bytes} bytes", reason="INSTANCE_TOO_LARGE"
            )
        grows = info.file_size > info.compress_size * limits.ratio
        if info.file_size > limits.ratio_free_bytes and grows:
            return UnusableInstance(
                f"the file grows over {limits.ratio:g} times when unpacked", reason="ZIP_BOMB"
            )
        return None


_REFUSALS = {
    reason: UnusableInstance(message, reason=reason)
    for reason, message in {
        "UNSAFE_NAME": "the name points outside the archive; pack it with plain names",
        "SYSTEM_FILE": "a file of the operating system or of the medium, not an instance",
        "NESTED_ARCHIVE": "an archive within the upload is not opened; send its files",
        "SPECIAL_FILE": "a link or device is not followed; pack the file itself",
        "ENCRYPTED_ENTRY": "the entry is encrypted; pack it without a password",
    }.items()
}


def _name(info: zipfile.ZipInfo) -> str:
    """Return an entry's name; what is not marked as UTF-8 is mostly that or GB 18030."""
    if info.flag_bits & _UTF8:
        return info.orig_filename
    for codec in ("utf-8", "gb18030"):
        try:
            return info.orig_filename.encode("cp437").decode(codec)
        except UnicodeError:
            continue
    return info.orig_filename


def _name_reason(name: str) -> str:
    """Return why a name is refused; empty when it is not."""
    plain = name.replace("\\", "/")
    parts = PurePosixPath(plain).parts
    unsafe = not parts or ".." in parts or plain.startswith("/") or parts[0].endswith(":")
    if unsafe or ":" in parts[0][:2] or not name.isprintable():
        return "UNSAFE_NAME"
    last = parts[-1].lower()
    if parts[0] == "__MACOSX" or last in SYSTEM_NAMES or last.startswith("._"):
        return "SYSTEM_FILE"
    return "NESTED_ARCHIVE" if PurePosixPath(last).suffix in ARCHIVE_SUFFIXES else ""


def _directory_bytes(source: BinaryIO, size: int) -> int:
    """Return the size of the central directory, before anything reads it whole."""
    source.seek(max(0, size - _END_BYTES - _COMMENT_MAX))
    tail = source.read(_END_BYTES + _COMMENT_MAX)
    at = tail.rfind(_END)
    if at < 0 or at + _END_BYTES > len(tail):
        raise BadArchive("the upload is no ZIP archive, or ends too early", reason="NOT_A_ZIP")
    found = int(struct.unpack_from("<L", tail, at + 12)[0])
    locator = at - 20
    if locator < 0 or tail[locator : locator + 4] != _LOCATOR:
        return found
    source.seek(min(size, struct.unpack_from("<Q", tail, locator + 8)[0]))
    record = source.read(56)
    if len(record) < 56 or record[:4] != _END64:
        raise BadArchive("the archive's directory is damaged", reason="NOT_A_ZIP")
    return max(found if found != 0xFFFFFFFF else 0, int(struct.unpack_from("<Q", record, 40)[0]))


def _too_many(limits: ArchiveLimits) -> ArchiveTooLarge:
    return ArchiveTooLarge(
        f"the archive has over {limits.entries} entries; send it in parts",
        reason="TOO_MANY_ENTRIES",
    )
