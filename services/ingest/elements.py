"""The structure of a DICOM data set, walked to its end without holding its values.

Every length is held against the end of its item and of the file, and every undefined
length against its delimiter, so that a file cut anywhere is told from a whole one.

Source: DICOM PS3.5, 7 (The Data Set), 7.5 (Nesting), A.4 (encapsulated pixel data),
A.5 (deflated).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from services.kernel.errors import InvalidInput

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
_LONG = b"OB OD OF OL OV OW SQ SV UC UN UR UT UV"
_SHORT = b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US"
LONG_VRS, SHORT_VRS = frozenset(_LONG.split()), frozenset(_SHORT.split())
"""Value representations with lengths of 32 and of 16 bits (PS3.5, 7.1.2)."""
BYTE_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"))
PIXEL_DATA = 0x7FE00010
DEPTH_MAX = 32
ELEMENTS_MAX = 1_000_000
"""Elements and items of one file: the largest real ones have a tenth of it."""
KEPT_BYTES_MAX = 256
SKIP = 1 << 20


class UnusableInstance(InvalidInput):
    """A file that is not kept; its reason says why."""


class Cursor(Protocol):
    """A place in a data set."""

    position: int

    def peek(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end, and stay."""

    def take(self, count: int) -> bytes:
        """Return the next bytes and go on; raises UnusableInstance at the end."""

    def skip(self, count: int) -> None:
        """Go on; raises UnusableInstance past the end."""


class FileCursor:
    """A place in a file of known size."""

    def __init__(self, source: BinaryIO, size: int) -> None:
        self._source = source
        self._size = size
        self.position = 0
        source.seek(0)

    def peek(self, count: int) -> bytes:
        """Return the next bytes and stay."""
        found = self._source.read(count)
        self._source.seek(self.position)
        return found

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        found = self._source.read(count)
        if len(found) < count:
            raise truncated(self.position)
        self.position += count
        return found

    def skip(self, count: int) -> None:
        """Go on without reading."""
        if self.position + count > self._size:
            raise truncated(self.position)
        self.position += count
        self._source.seek(self.position)


class BytesCursor:
    """A place in a file that is in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.position = 0

    def peek(self, count: int) -> bytes:
        """Return the next bytes and stay."""
        return self._content[self.position : self.position + count]

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        found = self._content[self.position : self.position + count]
        if len(found) < count:
            raise truncated(self.position)
        self.position += count
        return found

    def skip(self, count: int) -> None:
        """Go on."""
        if self.position + count > len(self._content):
            raise truncated(self.position)
        self.position += count


class InflatingCursor:
    """A place in a deflated data set; holds about one piece of it.

    `bytes_max` ends a stream that inflates without end.
    """

    def __init__(self, source: BinaryIO, bytes_max: int) -> None:
        self._source = source
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._bytes_max = bytes_max
        self._held = bytearray()
        self._at = 0
        self.position = 0

    def peek(self, count: int) -> bytes:
        """Return the next bytes and stay."""
        while len(self._held) - self._at < count and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._source.read(SKIP)
            if not packed:
                raise truncated(self.position)
            try:
                del self._held[: self._at]
                self._at = 0
                self._held += self._inflate.decompress(packed, SKIP)
            except zlib.error as error:
                raise malformed(self.position) from error
            if self.position + len(self._held) > self._bytes_max:
                raise UnusableInstance(
                    f"a deflated file inflates to over {self._bytes_max} bytes",
                    reason="INSTANCE_TOO_LARGE",
                )
        return bytes(self._held[self._at : self._at + count])

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        found = self.peek(count)
        if len(found) < count:
            raise truncated(self.position)
        self._at += count
        self.position += count
        return found

    def skip(self, count: int) -> None:
        """Inflate and drop."""
        while count:
            piece = min(count, SKIP)
            self.take(piece)
            count -= piece


class Walk:
    """One walk through a data set; `kept` holds the wanted values of its top level."""

    def __init__(self, cursor: Cursor, wanted: frozenset[int], *, little: bool = True) -> None:
        self._cursor = cursor
        self._wanted = wanted
        order = "<" if little else ">"
        self._tag = struct.Struct(f"{order}HH").unpack
        self._u16 = struct.Struct(f"{order}H").unpack
        self._u32 = struct.Struct(f"{order}L").unpack
        self._left = ELEMENTS_MAX
        self.kept: dict[int, bytes] = {}

    def group(self, number: int) -> None:
        """Walk the elements of one group, explicit VR or not, and stop before the next."""
        implicit = not looks_explicit(self._cursor.peek(6))
        while len(head := self._cursor.peek(8)) == 8 and self._tag(head[:4])[0] == number:
            self._element(implicit, 0)

    def whole(self, *, implicit: bool) -> None:
        """Walk to the end of the file.

        Raises
        ------
        UnusableInstance
            TRUNCATED or MALFORMED, with the offset.
        """
        while head := self._cursor.peek(8):
            if len(head) < 8 or head == bytes(8):
                self._padding()
                return
            self._element(implicit, 0)

    def _element(self, implicit: bool, depth: int) -> int:
        """Walk one element; return its tag."""
        start = self._cursor.position
        tag, vr, length = self._head(implicit)
        if tag == ITEM_END:
            if depth:
                return tag
            raise malformed(start)
        if tag >> 16 == 0xFFFE:
            raise malformed(start)
        if length == UNDEFINED:
            if vr in BYTE_VRS or (tag == PIXEL_DATA and vr != b"SQ"):
                self._fragments()
            elif vr in (b"SQ", b"UN", b""):
                self._sequence(implicit or vr == b"UN", depth + 1)
            else:
                raise malformed(start)
            return tag
        if depth == 0 and tag in self._wanted:
            if length > KEPT_BYTES_MAX:
                raise UnusableInstance("a UID is too long", reason="UID_INVALID")
            self.kept[tag] = self._cursor.take(length)
        else:
            self._cursor.skip(length)
        return tag

    def _head(self, implicit: bool) -> tuple[int, bytes, int]:
        self._left -= 1
        if self._left < 0:
            raise UnusableInstance(
                f"the file has over {ELEMENTS_MAX} elements", reason="TOO_MANY_ELEMENTS"
            )
        head = self._cursor.take(8)
        group, element = self._tag(head[:4])
        tag, vr = group << 16 | element, head[4:6]
        if implicit or tag >> 16 == 0xFFFE:
            return tag, b"", self._u32(head[4:])[0]
        if vr in LONG_VRS:
            return tag, vr, self._u32(self._cursor.take(4))[0]
        if vr in SHORT_VRS or b"AA" <= vr <= b"ZZ":
            return tag, vr, self._u16(head[6:])[0]
        return tag, b"", self._u32(head[4:])[0]  # writers that change to implicit VR within

    def _sequence(self, implicit: bool, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise UnusableInstance(f"sequences nest deeper than {DEPTH_MAX}", reason="TOO_DEEP")
        for length in self._items():
            if length != UNDEFINED:
                self._cursor.skip(length)
                continue
            # Real files mix encodings; each item's first element shows which one it is in.
            within = implicit if self._ends_here() else not looks_explicit(self._cursor.peek(6))
            while self._element(within, depth) != ITEM_END:
                continue

    def _ends_here(self) -> bool:
        head = self._cursor.peek(4)
        return len(head) == 4 and self._tag(head)[0] == 0xFFFE

    def _fragments(self) -> None:
        for length in self._items():
            if length == UNDEFINED:
                raise malformed(self._cursor.position)
            self._cursor.skip(length)

    def _items(self) -> Iterator[int]:
        """Yield each item's length, up to the delimiter."""
        while True:
            start = self._cursor.position
            tag, _, length = self._head(True)
            if tag == SEQUENCE_END:
                return
            if tag != ITEM:
                raise malformed(start)
            yield length

    def _padding(self) -> None:
        """Let zeros after the last element pass."""
        start = self._cursor.position
        while piece := self._cursor.peek(SKIP):
            if piece.strip(b"\0"):
                raise truncated(start) if len(piece) < 8 else malformed(start)
            self._cursor.skip(len(piece))


def looks_explicit(head: bytes) -> bool:
    """Tell whether an element's first six bytes carry a value representation."""
    return head[4:6] in LONG_VRS or head[4:6] in SHORT_VRS


def truncated(offset: int) -> UnusableInstance:
    """Return the refusal of a file that ends too early."""
    return UnusableInstance(
        "the file ends within an element; send it whole", reason="TRUNCATED", offset=str(offset)
    )


def malformed(offset: int) -> UnusableInstance:
    """Return the refusal of a file whose structure is broken."""
    return UnusableInstance(
        "the file is not built as DICOM has it", reason="MALFORMED", offset=str(offset)
    )
