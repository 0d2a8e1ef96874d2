"""The directories of a TIFF or BigTIFF file: tags and where their values lie, within limits.

Source: TIFF 6.0 (Adobe 1992), section 2; the BigTIFF layout of libtiff.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from services.imaging.pathology.slides.pieces import piece
from services.imaging.pathology.slides.refusals import DamagedSlide, NotASlide, SlideTooLarge

DIRECTORIES_MAX = 512
ENTRIES_MAX = 512
VALUES_MAX = 4_100_000
"""Of one tag: an offset for each tile of the largest level."""

KINDS = {
    1: "B", 2: "s", 3: "H", 4: "I", 5: "2I", 6: "b", 7: "B", 8: "h", 9: "i", 10: "2i",
    11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
"""TIFF's types as struct writes them."""

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION = 256, 257, 258, 259, 262, 270
SAMPLES, X_RESOLUTION, PLANAR, RESOLUTION_UNIT, PREDICTOR = 277, 282, 284, 296, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SUB_IFDS = 322, 323, 324, 325, 330
JPEG_TABLES, DEPTH = 347, 32997

Numbers = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Directory:
    """One picture of the file: its tags, each (type, count, where its values lie)."""

    file: BinaryIO
    order: str
    entries: dict[int, tuple[int, int, int]]

    def numbers(self, tag: int) -> list[int]:
        """Return a tag's whole numbers, [] when it is absent."""
        return [int(value) for value in self.array(tag)]

    def number(self, tag: int, otherwise: int) -> int:
        """Return a tag's first number."""
        found = self.array(tag, limit=1)
        return int(found[0]) if len(found) else otherwise

    def ratio(self, tag: int) -> float | None:
        """Return a rational, or None."""
        entry = self.entries.get(tag)
        if entry is None or entry[0] != 5:
            return None
        above, below = struct.unpack(f"{self.order}2I", self._bytes(tag, 8))
        return above / below if below else None

    def content(self, tag: int) -> bytes:
        """Return a tag's bytes, b"" when it is absent."""
        entry = self.entries.get(tag)
        return self._bytes(tag, entry[1]) if entry else b""

    def array(self, tag: int, limit: int = VALUES_MAX) -> Numbers:
        """Return a tag's numbers as they lie in the file, at most `limit` of them."""
        entry = self.entries.get(tag)
        if entry is None:
            return np.empty(0, np.uint64)
        kind, count, _ = entry
        code = KINDS[kind]
        if code in ("s", "2I", "2i"):
            raise DamagedSlide("a tag has the wrong type", tag=tag, type=kind)
        count = min(count, limit)
        size = struct.calcsize(code)
        return np.frombuffer(self._bytes(tag, count * size), np.dtype(self.order + code), count)

    def _bytes(self, tag: int, length: int) -> bytes:
        _, count, at = self.entries[tag]
        if count > VALUES_MAX:
            raise SlideTooLarge("a tag has too many values", tag=tag, values=count)
        return piece(self.file, at, length)


def directories(file: BinaryIO) -> list[Directory]:
    """Return every directory, those below others too, in the order of the file.

    Raises
    ------
    NotASlide
        It is no TIFF.
    DamagedSlide, SlideTooLarge
    """
    order, big, first = _header(file)
    found: list[Directory] = []
    waiting, seen = [first], set()
    while waiting:
        at = waiting.pop(0)
        while at:
            if at in seen:
                raise DamagedSlide("directories of the file form a circle")
            seen.add(at)
            if len(found) >= DIRECTORIES_MAX:
                raise SlideTooLarge("a file has too many pictures", limit=DIRECTORIES_MAX)
            directory, at = _directory(file, order, big, at)
            found.append(directory)
            waiting += directory.numbers(SUB_IFDS)[:DIRECTORIES_MAX]
    return found


def _header(file: BinaryIO) -> tuple[str, bool, int]:
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise NotASlide("the file is no TIFF")
    (version,) = struct.unpack(f"{order}H", head[2:4])
    if version == 42:
        return order, False, int(struct.unpack(f"{order}I", head[4:8])[0])
    if version == 43 and len(head) == 16:
        return order, True, int(struct.unpack(f"{order}Q", head[8:16])[0])
    raise NotASlide("the file is no TIFF", version=version)


def _directory(file: BinaryIO, order: str, big: bool, at: int) -> tuple[Directory, int]:
    """Return the directory at an offset, and the offset of the next."""
    count_code, entry_code, next_code = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    (count,) = _unpacked(file, at, order + count_code)
    if not 0 < count <= ENTRIES_MAX:
        raise DamagedSlide("a directory without a sensible number of tags", tags=count)
    start = at + struct.calcsize(order + count_code)
    size = struct.calcsize(order + entry_code)
    listed = piece(file, start, size * count)
    entries = {}
    for number, (tag, kind, values, inline) in enumerate(
        struct.iter_unpack(order + entry_code, listed)
    ):
        if kind not in KINDS:
            continue
        length = struct.calcsize(order + KINDS[kind]) * values
        where = start + number * size + size - len(inline)
        if length > len(inline):
            (where,) = struct.unpack(order + next_code, inline)
        entries[int(tag)] = (int(kind), int(values), int(where))
    (following,) = _unpacked(file, start + size * count, order + next_code)
    return Directory(file, order, entries), int(following)


def _unpacked(file: BinaryIO, at: int, code: str) -> tuple[int, ...]:
    return struct.unpack(code, piece(file, at, struct.calcsize(code)))


def tiled(found: list[Directory]) -> Iterator[Directory]:
    """Yield the pictures that lie in tiles."""
    for directory in found:
        if TILE_OFFSETS in directory.entries and TILE_BYTES in directory.entries:
            yield directory
