"""One DICOM file: whole or not, and which study, series and instance it is. Pure.

Our own walk (`elements`) finds where a file is cut or broken; pydicom, which the analysis
reads with, must then see the same UIDs.

Source: DICOM PS3.10, 7.1 (file meta information); PS3.5, 9.1 (UIDs).
"""

from __future__ import annotations

import io
import logging
import re
import struct
import warnings
from dataclasses import dataclass
from typing import BinaryIO

from pydicom import config, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID

from services.ingest.elements import (
    BytesCursor,
    FileCursor,
    InflatingCursor,
    UnusableInstance,
    Walk,
    looks_explicit,
    malformed,
)

PREAMBLE = 128
MARK = b"DICM"
MEDIA_CLASS, TRANSFER_SYNTAX = 0x00020002, 0x00020010
SOP_CLASS, SOP_INSTANCE = 0x00080016, 0x00080018
STUDY, SERIES = 0x0020000D, 0x0020000E
UIDS = {
    STUDY: "StudyInstanceUID",
    SERIES: "SeriesInstanceUID",
    SOP_CLASS: "SOPClassUID",
    SOP_INSTANCE: "SOPInstanceUID",
}
IMPLICIT, BIG, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
DIRECTORY = "1.2.840.10008.1.3.10"
"""Media Storage Directory: a DICOMDIR names instances and is none."""
INFLATED_BYTES_MAX = 512 << 20
UID_CHARS_MAX = 64
# PS3.5 forbids leading zeros, but devices in use write them and nothing here depends on it.
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"BZh")
_UNREADABLE = (
    *(AttributeError, KeyError, IndexError, TypeError, ValueError, EOFError, OSError),
    *(NotImplementedError, LookupError, OverflowError, RecursionError, AssertionError),
    *(BytesLengthException, InvalidDicomError, struct.error),
)
"""What pydicom raises on a malformed file."""


@dataclass(frozen=True, slots=True)
class Header:
    """Which instance a file is; UIDs as received, without padding."""

    study: str
    series: str
    sop_class: str
    sop_instance: str


def silence_pydicom() -> None:
    """Keep pydicom from judging values: its warnings and log lines quote them.

    Called once by whoever starts a process; files are read in several threads at once.
    """
    config.settings.reading_validation_mode = config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="pydicom")


def read(source: BinaryIO, size: int) -> Header:
    """Return which instance a file holds, after walking it to its end.

    Parameters
    ----------
    source : seekable; read from its beginning
    size : bytes

    Raises
    ------
    UnusableInstance
        EMPTY, NOT_DICOM, NESTED_ARCHIVE, TRUNCATED, MALFORMED, TOO_DEEP, DIRECTORY_FILE,
        UID_MISSING, UID_INVALID or INSTANCE_TOO_LARGE.
    """
    return _read(FileCursor(source, size), source, size)


def read_bytes(content: bytes) -> Header:
    """Return which instance a file in memory holds; see `read`."""
    return _read(BytesCursor(content), io.BytesIO(content), len(content))


def _read(cursor: FileCursor | BytesCursor, source: BinaryIO, size: int) -> Header:
    if size == 0:
        raise UnusableInstance("the file is empty", reason="EMPTY")
    bare = cursor.peek(PREAMBLE + len(MARK))[PREAMBLE:] != MARK
    if bare:
        _sniff(cursor)
    else:
        cursor.skip(PREAMBLE + len(MARK))
    kept = _walk(cursor, source, bare)
    header = _header(kept)
    if bare and UID(header.sop_class).type != "SOP Class":
        raise _not_dicom()
    _agree(source, header)
    return header


def _sniff(cursor: FileCursor | BytesCursor) -> None:
    """Refuse what can not be a data set without a preamble."""
    head = cursor.peek(8)
    if head.startswith(_ARCHIVES):
        raise UnusableInstance(
            "an archive within the upload is not opened; send its files", reason="NESTED_ARCHIVE"
        )
    groups = {int.from_bytes(head[:2], "little"), int.from_bytes(head[:2], "big")}
    if len(head) < 8 or not groups & {0x0002, 0x0008}:
        raise _not_dicom()


def _walk(cursor: FileCursor | BytesCursor, source: BinaryIO, bare: bool) -> dict[int, bytes]:
    """Return the UIDs' values; encodings are found as pydicom finds them."""
    meta = Walk(cursor, frozenset((MEDIA_CLASS, TRANSFER_SYNTAX)))
    try:
        meta.group(0x0002)
        if _text(meta.kept.get(MEDIA_CLASS, b"")) == DIRECTORY:
            raise UnusableInstance("a DICOMDIR is no instance", reason="DIRECTORY_FILE")
        syntax = _text(meta.kept.get(TRANSFER_SYNTAX, b""))
        if syntax == DEFLATED:
            source.seek(cursor.position)
            walk = Walk(InflatingCursor(source, INFLATED_BYTES_MAX), frozenset(UIDS))
            walk.whole(implicit=False)
            return walk.kept
        implicit, little = _encoding(syntax, cursor.peek(6))
        walk = Walk(cursor, frozenset(UIDS), little=little)
        walk.whole(implicit=implicit)
    except UnusableInstance:
        if bare and not meta.kept and cursor.position == 0:
            raise _not_dicom() from None
        raise
    return walk.kept


def _encoding(syntax: str, head: bytes) -> tuple[bool, bool]:
    """Return (implicit VR, little endian): what the first element shows goes first."""
    explicit = looks_explicit(head)
    if not syntax:
        return not explicit, not (explicit and int.from_bytes(head[:2], "little") >= 1024)
    return not explicit, syntax != BIG


def _header(kept: dict[int, bytes]) -> Header:
    values = {tag: _text(kept.get(tag, b"")) for tag in UIDS}
    for tag, name in UIDS.items():
        if not values[tag]:
            raise UnusableInstance(f"the file has no {name}", reason="UID_MISSING")
        if len(values[tag]) > UID_CHARS_MAX or not _UID.fullmatch(values[tag]):
            raise UnusableInstance(f"its {name} is no UID", reason="UID_INVALID")
    return Header(values[STUDY], values[SERIES], values[SOP_CLASS], values[SOP_INSTANCE])


def _agree(source: BinaryIO, header: Header) -> None:
    """Refuse a file that pydicom reads otherwise."""
    source.seek(0)
    try:
        found = dcmread(
            source, stop_before_pixels=True, force=True, specific_tags=list(UIDS.values())
        )
        seen = [str(found.get(name, "")) for name in UIDS.values()]
    except _UNREADABLE as error:
        raise malformed(0) from error
    if seen != [header.study, header.series, header.sop_class, header.sop_instance]:
        raise malformed(0)


def _text(value: bytes) -> str:
    return value.decode("latin-1").rstrip("\0 ").strip(" ")


def _not_dicom() -> UnusableInstance:
    return UnusableInstance("the file is not DICOM", reason="NOT_DICOM")
