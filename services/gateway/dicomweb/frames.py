"""Single frames out of an instance, without reading the others.

Uncompressed frames lie one after another. Compressed ones are told apart by the offset table
of the instance; where it has none, its fragments are counted once, and the count is kept.

Source: DICOM PS3.5 A.4 (encapsulation), 8.1.1 (bits); PS3.3 C.7.6.3.1.8 (extended offsets).
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from services.gateway.store.dicom import Instance
from services.kernel.errors import Damaged, NotFound, TooLarge
from services.kernel.pieces import BlobReader

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_HEAD = (0xFFFE, 0xE000), 8
FRAME_BYTES_MAX = 512 << 20
TABLES_KEPT, FRAGMENTS_KEPT = 64, 1_000_000
FRAGMENTS_MAX = 1_000_000
"""Of one instance; a slide has 400,000 tiles at most, each of one fragment."""
LONG_VRS = (b"OB", b"OW", b"OF", b"OD", b"OV", b"UN")


@dataclass(frozen=True, slots=True)
class Pixels:
    """Where the pixels of an instance lie, bytes within its blob."""

    at: int
    """First byte of the value."""
    length: int
    """Of the value; `UNDEFINED` when it is encapsulated."""
    end: int
    """One past the last byte of the file."""
    little: bool

    @property
    def encapsulated(self) -> bool:
        """Whether the frames are compressed."""
        return self.length == UNDEFINED


Fragments = list[tuple[int, int]]
"""First byte and length of each fragment of a frame, within the blob."""


class Tables:
    """Offset tables that had to be counted, kept for the next frame."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], list[Fragments]] = OrderedDict()

    async def of(
        self, instance: Instance, reader: BlobReader, head: Dataset, pixels: Pixels
    ) -> list[Fragments]:
        """Return the fragments of every frame."""
        key = (reader.path, instance.at)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = await _counted(instance, reader, head, pixels)
            while len(self._kept) > 1 and not self._fit():
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return found

    def _fit(self) -> bool:
        fragments = sum(len(frame) for table in self._kept.values() for frame in table)
        return len(self._kept) <= TABLES_KEPT and fragments <= FRAGMENTS_KEPT


async def locate(instance: Instance, reader: BlobReader, head: Dataset) -> Pixels:
    """Return where an instance's pixels lie.

    Raises
    ------
    NotFound
        It has none.
    Damaged
    """
    if not instance.pixels:
        raise NotFound("the instance has no pixels of its own", reason="NO_PIXELS")
    start = instance.at + instance.pixels
    raw = await reader.read(start, 12)
    implicit, little = _encoding(instance.syntax)
    order = "<" if little else ">"
    if len(raw) < 12:
        raise Damaged("an instance ends within its pixels")
    if not implicit and raw[4:6] in LONG_VRS:
        begin, (length,) = start + 12, struct.unpack(order + "I", raw[8:12])
    else:
        begin, (length,) = start + 8, struct.unpack(order + "I", raw[4:8])
    end = instance.at + instance.size
    if length != UNDEFINED and begin + length > end:
        raise Damaged("an instance ends within its pixels")
    return Pixels(begin, length, end, little)


def _encoding(syntax: str) -> tuple[bool, bool]:
    return syntax == "1.2.840.10008.1.2", syntax != "1.2.840.10008.1.2.2"


def frame_bits(head: Dataset) -> int:
    """Return the size of one uncompressed frame, bits."""
    samples = int(head.get("SamplesPerPixel") or 1)
    area = int(head.get("Rows") or 0) * int(head.get("Columns") or 0)
    return area * samples * int(head.get("BitsAllocated") or 0)


async def stored(
    tables: Tables,
    instance: Instance,
    reader: BlobReader,
    head: Dataset,
    number: int,
) -> bytes:
    """Return frame `number` (from 1) as it is stored; frames of single bits begin with a byte.

    Raises
    ------
    NotFound
        There is no such frame.
    Damaged, TooLarge
    """
    if not 1 <= number <= instance.frames:
        raise NotFound("there is no such frame", reason="NO_SUCH_FRAME")
    pixels = await locate(instance, reader, head)
    if not pixels.encapsulated:
        return await _native(reader, pixels, frame_bits(head), number)
    table = await tables.of(instance, reader, head, pixels)
    if number > len(table) or not table[number - 1]:
        raise Damaged("an instance has fewer frames than it says")
    if sum(length for _, length in table[number - 1]) > FRAME_BYTES_MAX:
        raise TooLarge("a frame is too large to be sent alone", reason="FRAME_TOO_LARGE")
    return b"".join([await reader.read(at, length) for at, length in table[number - 1]])


async def _native(reader: BlobReader, pixels: Pixels, bits: int, number: int) -> bytes:
    first, last = (number - 1) * bits, number * bits
    size = -(-last // 8) - first // 8
    if not bits or -(-last // 8) > pixels.length:
        raise Damaged("an instance has fewer frames than it says")
    if size > FRAME_BYTES_MAX:
        raise TooLarge("a frame is too large to be sent alone", reason="FRAME_TOO_LARGE")
    content = await reader.read(pixels.at + first // 8, size)
    if first % 8 == 0 and last % 8 == 0:
        return content
    # Frames of single bits follow one another without padding (PS3.5 8.1.1).
    unpacked = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
    return np.packbits(unpacked[first % 8 :][:bits], bitorder="little").tobytes()


async def _counted(
    instance: Instance, reader: BlobReader, head: Dataset, pixels: Pixels
) -> list[Fragments]:
    table_at, table_length = await _item(reader, pixels.at, pixels)
    begin = table_at + table_length
    starts: list[int] = []
    if extended := head.get("ExtendedOffsetTable"):
        starts = [int(n) for n in np.frombuffer(extended[: len(extended) // 8 * 8], "<u8")]
    elif table_length:
        raw = await reader.read(table_at, min(table_length, 4 * instance.frames))
        starts = [int(n) for n in np.frombuffer(raw[: len(raw) // 4 * 4], "<u4")]
    if len(starts) == instance.frames and starts == sorted(starts):
        ends = [*(begin + n for n in starts[1:]), pixels.end]
        return await _by_offsets(reader, pixels, [begin + n for n in starts], ends)
    fragments = await _listed(reader, begin, pixels.end, pixels)
    if len(fragments) == instance.frames:
        return [[one] for one in fragments]
    if instance.frames == 1:
        return [fragments]
    return await _by_markers(reader, fragments)


async def _by_offsets(
    reader: BlobReader, pixels: Pixels, starts: list[int], ends: list[int]
) -> list[Fragments]:
    return [
        await _listed(reader, start, end, pixels) for start, end in zip(starts, ends, strict=True)
    ]


async def _listed(reader: BlobReader, start: int, end: int, pixels: Pixels) -> Fragments:
    """Return the fragments from `start` to `end`, which is what a file says and may be anywhere.

    Raises
    ------
    TooLarge
        More than can be held: empty ones take 8 bytes in a file.
    """
    found: Fragments = []
    async for one in _fragments(reader, start, min(end, pixels.end), pixels):
        found.append(one)
        if len(found) > FRAGMENTS_MAX:
            raise TooLarge("an instance is in too many pieces", reason="TOO_MANY_FRAGMENTS")
    return found


async def _by_markers(reader: BlobReader, fragments: Fragments) -> list[Fragments]:
    """Return frames that begin where a code stream does (JPEG, JPEG-LS SOI; JPEG 2000 SOC)."""
    frames: list[Fragments] = []
    for at, length in fragments:
        begins = await reader.read(at, 2) in (b"\xff\xd8", b"\xff\x4f")
        if begins or not frames:
            frames.append([])
        frames[-1].append((at, length))
    return frames


async def _fragments(
    reader: BlobReader, start: int, end: int, pixels: Pixels
) -> AsyncIterator[tuple[int, int]]:
    while start + ITEM_HEAD <= end:
        raw = await reader.read(start, ITEM_HEAD)
        group, element, length = struct.unpack("<HHI", raw)
        if (group, element) != ITEM or start + ITEM_HEAD + length > pixels.end:
            return  # the sequence's end, or a file that is cut short
        yield start + ITEM_HEAD, length
        start += ITEM_HEAD + length


async def _item(reader: BlobReader, at: int, pixels: Pixels) -> tuple[int, int]:
    raw = await reader.read(at, ITEM_HEAD)
    if len(raw) < ITEM_HEAD:
        raise Damaged("an instance ends within its pixels")
    group, element, length = struct.unpack("<HHI", raw)
    if (group, element) != ITEM or at + ITEM_HEAD + length > pixels.end:
        raise Damaged("compressed pixels do not begin with an item")
    return at + ITEM_HEAD, length
