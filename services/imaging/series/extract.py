"""The bytes of each frame out of a file, one held at a time.

Sources: DICOM PS3.5 7.1 (data elements), A.4 (encapsulation).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

from pydicom.encaps import generate_frames

from services.imaging.series.attributes import UNREADABLE
from services.imaging.series.refusals import DamagedSeries, LyingTransferSyntax
from services.imaging.series.stored import Stored

PIXEL_DATA = (0x7FE0, 0x0010)
UNDEFINED = 0xFFFFFFFF
EXCESS_BYTES_MAX = 1
"""More than padding to an even length: then the stated size is not that of the pixels."""

ROOM_BYTES = 16 << 20
"""What a compressed frame may be larger than uncompressed, headers included."""

LONG_VRS = frozenset((b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN"))


def frames_of(stream: BinaryIO, stored: Stored, frames: int) -> Iterator[bytes]:
    """Yield the bytes of each frame in order, as encoded.

    Raises
    ------
    DamagedSeries
        There are no pixels, or fewer or more than stated.
    LyingTransferSyntax
        Encapsulated pixels under an uncompressed syntax, or the reverse.
    """
    length = _length(stream, stored)
    if (length == UNDEFINED) != stored.compressed:
        found = "encapsulated" if length == UNDEFINED else "native"
        raise LyingTransferSyntax(
            "the pixels are not encoded as stated",
            stated="encapsulated" if stored.compressed else "native",
            found=found,
        )
    needed = stored.frame_bytes * frames
    if stored.compressed:
        _check_room(stream, needed)
        yield from _encapsulated(stream, frames)
        return
    if length < needed or length > needed + EXCESS_BYTES_MAX:
        raise DamagedSeries(
            "the pixels have another length than stated", bytes=length, needed=needed
        )
    for _ in range(frames):
        content = stream.read(stored.frame_bytes)
        if len(content) != stored.frame_bytes:
            raise DamagedSeries(
                "the pixels are cut short", bytes=len(content), needed=stored.frame_bytes
            )
        yield content


def _length(stream: BinaryIO, stored: Stored) -> int:
    """Return the length of the Pixel Data element; the stream stands at its value."""
    stream.seek(stored.pixels_at)
    order = "<" if stored.little else ">"
    try:
        group, element = struct.unpack(order + "HH", stream.read(4))
        if (group, element) != PIXEL_DATA:
            raise DamagedSeries("an image holds no pixels that can be read")
        if stored.implicit:
            return int(struct.unpack(order + "L", stream.read(4))[0])
        vr = stream.read(2)
        if vr in LONG_VRS:
            return int(struct.unpack(order + "2xL", stream.read(6))[0])
        return int(struct.unpack(order + "H", stream.read(2))[0])
    except struct.error as error:
        raise DamagedSeries("an image holds no pixels") from error


def _check_room(stream: BinaryIO, needed: int) -> None:
    """Refuse fragments that take far more room than the pixels they hold: they are joined."""
    at = stream.tell()
    left = stream.seek(0, io.SEEK_END) - at
    stream.seek(at)
    if left > (limit := 2 * needed + ROOM_BYTES):
        raise DamagedSeries(
            "compressed pixels are larger than uncompressed ones", bytes=left, limit=limit
        )


def _encapsulated(stream: BinaryIO, frames: int) -> Iterator[bytes]:
    found = 0
    try:
        for content in generate_frames(stream, number_of_frames=frames):
            found += 1
            yield content
            if found == frames:
                return
    except UNREADABLE as error:
        raise DamagedSeries("the fragments of the pixels cannot be read", frames=found) from error
    if found < frames:
        raise DamagedSeries("frames are missing", frames=found, needed=frames)
