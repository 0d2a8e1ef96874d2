"""What a compressed frame says of itself, read before any decoder sees it.

A decoder allocates what the stream asks for; so the stream must agree with the header first,
and be there to its end: some decoders return a picture for half a stream.

Sources: ITU-T T.81 B.2 (JPEG), T.87 C.2 (JPEG-LS), T.800 A.5 and I.5 (JPEG 2000), PS3.5 G (RLE).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pydicom.uid import UID, RLELossless

from services.imaging.series.refusals import DamagedSeries, LyingTransferSyntax

JPEG, JPEG_LS, JPEG_2000, RLE, UNKNOWN = "JPEG", "JPEG-LS", "JPEG 2000", "RLE", "unknown"
FRAME_HEADERS = {
    **dict.fromkeys((0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB), JPEG),
    0xF7: JPEG_LS,
}
ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers without a segment."""

TILES_MAX = 65_535
END, END_WITHIN, PADDED_MAX = b"\xff\xd9", 4, 1 << 16
"""The last marker; some writers pad after it, with zeros or one byte of ones."""

BOX_SIGNATURE = b"\x00\x00\x00\x0cjP  "
RLE_SEGMENTS_MAX = 15


@dataclass(frozen=True, slots=True)
class Stream:
    """A codestream's own statement of what it holds."""

    kind: str
    rows: int = 0
    columns: int = 0
    samples: int = 0
    bits: int = 0
    tiles: int = 1


def stream_of(content: bytes) -> Stream:
    """Return what a compressed frame says of itself; of an unknown kind when nothing."""
    try:
        if content[:8] == BOX_SIGNATURE:
            content = content[content.index(b"jp2c") + 4 :]
        if content[:4] == b"\xff\x4f\xff\x51":
            return _jpeg_2000(content)
        if content[:2] == b"\xff\xd8":
            return _jpeg(content)
        if len(content) >= 64 and _is_rle(content):
            return Stream(RLE)
    except (struct.error, IndexError, ValueError, ZeroDivisionError):
        pass
    return Stream(UNKNOWN)


def _jpeg_2000(content: bytes) -> Stream:
    x, y, x0, y0, tx, ty, tx0, ty0, samples, depth = struct.unpack_from(">8IHB", content, 8)
    tiles = -(-(x - tx0) // tx) * -(-(y - ty0) // ty)
    return Stream(JPEG_2000, y - y0, x - x0, samples, (depth & 0x7F) + 1, tiles)


def _jpeg(content: bytes) -> Stream:
    at = 2
    while at + 4 <= len(content):
        if content[at] != 0xFF:
            return Stream(UNKNOWN)
        marker = content[at + 1]
        if marker == 0xFF or marker in ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in FRAME_HEADERS:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", content, at + 4)
            return Stream(FRAME_HEADERS[marker], rows, columns, samples, bits)
        at += 2 + struct.unpack_from(">H", content, at + 2)[0]
    return Stream(UNKNOWN)


def _is_rle(content: bytes) -> bool:
    count, *offsets = struct.unpack_from("<16I", content)
    used, rest = offsets[:count], offsets[count:]
    return (
        1 <= count <= RLE_SEGMENTS_MAX
        and used[0] == 64
        and used == sorted(used)
        and used[-1] <= len(content)
        and not any(rest)
    )


def kind_of(syntax: str) -> str:
    """Return the kind of stream that a transfer syntax stands for."""
    uid = UID(syntax)
    if uid == RLELossless:
        return RLE
    name = uid.name.upper()
    if "JPEG 2000" in name:
        return JPEG_2000
    return JPEG_LS if "JPEG-LS" in name else JPEG


def check(content: bytes, syntax: str, rows: int, columns: int, samples: int, bits: int) -> None:
    """Make sure that a frame's stream is what the header says, and complete.

    Raises
    ------
    LyingTransferSyntax
        Another kind of stream than stated, or none.
    DamagedSeries
        Other dimensions than the header's, or no end.
    """
    found, stated = stream_of(content), kind_of(syntax)
    if found.kind != stated:
        raise LyingTransferSyntax(
            "the pixels are not compressed as stated", stated=stated, found=found.kind
        )
    if found.kind == RLE:
        return
    if (found.rows, found.columns, found.samples) != (rows, columns, samples) or found.bits > bits:
        raise DamagedSeries(
            "a compressed image has other dimensions than its header says",
            **{"rows": found.rows, "columns": found.columns, "samples": found.samples},
            **{"bits": found.bits, "stated_rows": rows, "stated_columns": columns},
        )
    if found.tiles > TILES_MAX:
        raise DamagedSeries("a compressed image has too many tiles", tiles=found.tiles)
    if END not in content[-PADDED_MAX:].rstrip(b"\x00")[-END_WITHIN:]:
        raise DamagedSeries("a compressed image is cut short", bytes=len(content))
