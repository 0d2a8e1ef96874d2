"""How large a compressed frame says it is, read before a decoder believes it. Pure.

A decoder allocates what the stream asks for and works as long as it asks for; the limits of the
gateway are held against the header. So both must say the same (docs/adr/0024).

Source: ITU-T T.81 B.2 (JPEG), T.87 C.2 (JPEG-LS), T.800 A.5 and I.5 (JPEG 2000).
"""

from __future__ import annotations

import struct

from pydicom.dataset import Dataset
from pydicom.uid import UID, RLELossless

from services.kernel.errors import Damaged

BOX_SIGNATURE = b"\x00\x00\x00\x0cjP  "
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers without a segment."""
TILES_MAX = 65_535
Size = tuple[int, int, int]
"""Rows, columns and samples per pixel."""


def check(content: bytes, head: Dataset, syntax: str) -> None:
    """Let a frame pass that is as large as the header says.

    Raises
    ------
    Damaged
    """
    if not UID(syntax).is_encapsulated or syntax == RLELossless:
        return  # what RLE unpacks to is as long as the header says
    stated = tuple(int(head.get(k) or 0) for k in ("Rows", "Columns", "SamplesPerPixel"))
    try:
        found = size_of(content)
    except (struct.error, IndexError, ValueError, ZeroDivisionError) as error:
        raise Damaged("a compressed frame does not say how large it is") from error
    if found != stated:
        raise Damaged("a compressed frame is of another size than its header says")


def size_of(content: bytes) -> Size:
    """Return what a stream of JPEG, JPEG-LS or JPEG 2000 says of itself.

    Raises
    ------
    ValueError, IndexError, struct.error, ZeroDivisionError
        It is none, or broken.
    """
    at = content.index(b"jp2c") + 4 if content[:8] == BOX_SIGNATURE else 0
    if content[at : at + 4] == b"\xff\x4f\xff\x51":
        return _jpeg_2000(content, at)
    if content[:2] != b"\xff\xd8":
        raise ValueError
    at = 2
    while content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF or marker in ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in FRAME_HEADERS:
            _, rows, columns, samples = struct.unpack_from(">BHHB", content, at + 4)
            return rows, columns, samples
        at += 2 + int(struct.unpack_from(">H", content, at + 2)[0])
    raise ValueError


def _jpeg_2000(content: bytes, at: int) -> Size:
    x, y, x0, y0, tx, ty, tx0, ty0, samples = struct.unpack_from(">8IH", content, at + 8)
    if -(-(x - tx0) // tx) * -(-(y - ty0) // ty) > TILES_MAX:
        raise ValueError
    return y - y0, x - x0, samples
