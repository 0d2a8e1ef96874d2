"""Comments inside compressed pixels: JPEG, JPEG-LS and JPEG 2000 streams may carry text.

Comments and application data are overwritten in place, so no length and no offset changes.
What a decoder needs stays: JFIF (APP0), colour (APP8, APP14).

A JPEG 2000 stream may come within the boxes of a JP2 file, against DICOM's rules; decoders take it.

Sources: ITU-T T.81 B.1.1.2 (fill bytes), B.2.4.5 and B.2.4.6; ITU-T T.87; ITU-T T.800 A.9.2, I.4
(boxes); DICOM PS3.5 A.4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

ITEM = 0xFFFEE000
JPEG_START, JPEG2000_START = b"\xff\xd8", b"\xff\x4f"
COMMENT, COMMENT_2000 = 0xFE, 0x64
BOXES_START = b"\x00\x00\x00\x0cjP  "
BOXES_KEPT = frozenset((b"jP  ", b"ftyp", b"jp2h", b"jp2c"))
"""Signature, file type, header of the image, its stream; the others may say anything."""
START_OF_SCAN, START_OF_TILE = 0xDA, 0x90
APPLICATION_KEPT = frozenset((0xE0, 0xE8, 0xEE))


def without_comments(pixels: bytes) -> bytes:
    """Return encapsulated pixel data (PS3.5 A.4) with every comment overwritten by spaces.

    Returns the same object when there is none.
    """
    found = [
        segment for start, end in _fragments(pixels) for segment in _comments(pixels, start, end)
    ]
    if not found:
        return pixels
    cleaned = bytearray(pixels)
    for start, end in found:
        cleaned[start:end] = b" " * (end - start)
    return bytes(cleaned)


def _fragments(pixels: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each fragment after the offset table begins and ends."""
    at, first = 0, True
    while at + 8 <= len(pixels):
        group, element, length = struct.unpack_from("<HHI", pixels, at)
        if (group << 16 | element) != ITEM:
            return
        if not first:
            yield at + 8, min(at + 8 + length, len(pixels))
        first = False
        at += 8 + length


def _comments(pixels: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the contents of the comment and application segments of a stream's header."""
    if pixels[start : start + len(BOXES_START)] == BOXES_START:
        yield from _in_boxes(pixels, start, end)
        return
    if pixels[start : start + 2] == JPEG_START:
        last = START_OF_SCAN
    elif pixels[start : start + 2] == JPEG2000_START:
        last = START_OF_TILE
    else:
        return
    at = start + 2
    while at + 4 <= end and pixels[at] == 0xFF:
        marker = pixels[at + 1]
        if marker == 0xFF:
            at += 1  # a marker may be preceded by any number of fill bytes
            continue
        length = int.from_bytes(pixels[at + 2 : at + 4], "big")
        if marker == last or length < 2:
            return
        if last == START_OF_SCAN:
            text = marker == COMMENT or (0xE0 <= marker <= 0xEF and marker not in APPLICATION_KEPT)
            if text:
                yield at + 4, min(at + 2 + length, end)
        elif marker == COMMENT_2000:
            yield at + 6, min(at + 2 + length, end)  # two bytes say whether it is text
        at += 2 + length


def _in_boxes(pixels: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield what may hold text of a JP2 file: in its stream, and in boxes no decoder needs."""
    at = start
    while at + 8 <= end:
        length, kind = struct.unpack_from(">I4s", pixels, at)
        head = 8
        if length == 1 and at + 16 <= end:
            head, (length,) = 16, struct.unpack_from(">Q", pixels, at + 8)
        until = min(at + length, end) if length else end  # 0: to the end
        if until < at + head:
            return
        if kind == b"jp2c":
            if pixels[at + head : at + head + 2] == JPEG2000_START:
                yield from _comments(pixels, at + head, until)
        elif kind not in BOXES_KEPT:
            yield at + head, until
        at = until
