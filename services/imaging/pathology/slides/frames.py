"""Where the frames of a multi-frame DICOM file lie, without reading its pixels.

Source: DICOM PS3.5 A.4 (encapsulated pixel data, offset tables).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from services.imaging.pathology.slides.pieces import piece
from services.imaging.pathology.slides.refusals import DamagedSlide, SlideTooLarge

FRAME_BYTES_MAX = 64 << 20
FRAMES_MAX = 4_000_000
PIXEL_DATA = b"\xe0\x7f\x10\x00"
ITEM, END = 0xFFFEE000, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Frames:
    """Start and length in the file of every frame; fragments of one frame lie in a row."""

    starts: Places
    lengths: Places
    encapsulated: bool

    def read(self, file: BinaryIO, frame: int) -> bytes:
        """Return the bytes of a frame, from 0; compressed ones without their item tags."""
        if not 0 <= frame < len(self.starts):
            raise DamagedSlide("the file has too few frames", frames=len(self.starts))
        length = int(self.lengths[frame])
        if not 0 < length <= FRAME_BYTES_MAX:
            raise DamagedSlide("a frame has no sensible length", bytes=length)
        content = piece(file, int(self.starts[frame]), length)
        return _joined(content) if self.encapsulated else content


def locate(file: BinaryIO, dataset: Dataset, frame_bytes: int, frames: int) -> Frames:
    """Return where the frames lie; `file` stands at the Pixel Data element.

    Raises
    ------
    DamagedSlide, SlideTooLarge
    """
    if not 0 < frames <= FRAMES_MAX:
        raise SlideTooLarge("a file has too many frames", frames=frames, limit=FRAMES_MAX)
    head = file.read(12)
    if len(head) < 12 or head[:4] != PIXEL_DATA:
        raise DamagedSlide("the file holds no pixels")
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        start = file.tell() - (4 if dataset.file_meta.TransferSyntaxUID.is_implicit_VR else 0)
        starts = start + np.arange(frames, dtype=np.int64) * frame_bytes
        return Frames(starts, np.full(frames, frame_bytes, np.int64), False)
    table_tag, table_length = _item(file, file.tell())
    if table_tag != ITEM or table_length > 8 * FRAMES_MAX:
        raise DamagedSlide("the offset table is missing")
    table = np.frombuffer(piece(file, file.tell(), table_length), "<u4").astype(np.int64)
    first = file.tell()
    if "ExtendedOffsetTable" in dataset:
        table = np.frombuffer(dataset.ExtendedOffsetTable, "<u8").astype(np.int64)
    if len(table) == frames:
        ends = np.append(table[1:], _end(file, first, int(table[-1])) - first)
        return Frames(first + table, ends - table, True)
    return _scanned(file, first, frames)


def _scanned(file: BinaryIO, first: int, frames: int) -> Frames:
    """Return frames that are one item each, found by walking along the items."""
    starts = np.empty(frames, np.int64)
    lengths = np.empty(frames, np.int64)
    at = first
    for number in range(frames):
        tag, length = _item(file, at)
        if tag != ITEM:
            raise DamagedSlide("the file has too few frames", frames=number, wanted=frames)
        starts[number], lengths[number] = at, 8 + length
        at += 8 + length
    if _item(file, at)[0] == ITEM:
        raise DamagedSlide("frames lie in pieces, and no table says where", frames=frames)
    return Frames(starts, lengths, True)


def _end(file: BinaryIO, first: int, last: int) -> int:
    """Return where the last frame ends: its items up to the end of the sequence."""
    at = first + last
    for _ in range(1 << 16):
        tag, length = _item(file, at)
        if tag != ITEM:
            break
        at += 8 + length
    return at


def _item(file: BinaryIO, at: int) -> tuple[int, int]:
    group, element, length = struct.unpack("<HHI", piece(file, at, 8))
    if length == UNDEFINED:
        raise DamagedSlide("a frame without a length")
    return (group << 16) | element, length


def _joined(content: bytes) -> bytes:
    """Return a frame of one or more items without their tags."""
    parts, at = [], 0
    while at + 8 <= len(content):
        tag_low, tag_high, length = struct.unpack_from("<HHI", content, at)
        if (tag_low << 16) | tag_high != ITEM:
            break
        parts.append(content[at + 8 : at + 8 + length])
        at += 8 + length
    return parts[0] if len(parts) == 1 else b"".join(parts)
