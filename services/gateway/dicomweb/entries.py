"""Where the files of an archive lie, and where the pixels of each begin.

An archive is a ZIP whose entries are stored, not compressed (`anonymization.archive`), so a
file is a range of its blob and a frame is a range of its file; nothing else has to be read.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from pydicom import config, dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from services.kernel.errors import Damaged
from services.kernel.pieces import BlobReader

TAIL, HEAD, GROWTH = 256 << 10, 64 << 10, 4
HEAD_BYTES_MAX = 256 << 20
ENTRIES_MAX = 200_000
LOCAL_HEADER = 30
PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
DEFLATED = "1.2.840.10008.1.2.1.99"
UNREADABLE = (
    InvalidDicomError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    OverflowError,
    RecursionError,
    struct.error,
    TypeError,
    ValueError,
    zlib.error,
)
"""What pydicom raises on a file that is not as it should be."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file within a blob, bytes."""

    at: int
    size: int


class _Tail(io.RawIOBase):
    """The end of a blob, as a file of the blob's length; what lies before cannot be read."""

    def __init__(self, content: bytes, size: int) -> None:
        self._content, self._size, self._at = content, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if self._at < 0:
            raise OSError("before the beginning")
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        begin = self._at - (self._size - len(self._content))
        if begin < 0:
            raise _TooShort
        end = len(self._content) if size < 0 else begin + size
        found = self._content[begin:end]
        self._at += len(found)
        return found


class _TooShort(Exception):
    """The end that was fetched does not hold the whole directory."""


async def entries(reader: BlobReader) -> list[Place]:
    """Return the files of an archive, in their order.

    Raises
    ------
    Damaged
        Not an archive as anonymization writes it.
    """
    length = min(TAIL, reader.size)
    while True:
        tail = await reader.read(reader.size - length, length)
        try:
            with zipfile.ZipFile(_Tail(tail, reader.size)) as archive:
                found = archive.infolist()
            break
        except _TooShort:
            length = min(length * 8, reader.size)
        except (zipfile.BadZipFile, OSError, ValueError, struct.error) as error:
            raise Damaged("an archive of images has no directory") from error
    if len(found) > ENTRIES_MAX or any(i.compress_type != zipfile.ZIP_STORED for i in found):
        raise Damaged("an archive of images is not as dxmesh writes it")
    places = []
    for info in found:
        header = await reader.read(info.header_offset, LOCAL_HEADER)
        if len(header) < LOCAL_HEADER or header[:4] != b"PK\x03\x04":
            raise Damaged("an archive of images is not as dxmesh writes it")
        name, extra = struct.unpack("<HH", header[26:30])
        places.append(Place(info.header_offset + LOCAL_HEADER + name + extra, info.file_size))
    return places


async def head(reader: BlobReader, place: Place) -> tuple[FileDataset, int]:
    """Return a file's data set up to its pixels, and where these begin (0: it has none).

    Raises
    ------
    Damaged
        Not DICOM, or a head of more than 256 MiB.
    """
    length = min(HEAD, place.size)
    while True:
        content = await reader.read(place.at, length)
        whole = len(content) >= place.size
        try:
            dataset, pixels = parse_head(content)
            if pixels or whole:
                return dataset, pixels
        except UNREADABLE as error:
            if whole:
                raise Damaged("a stored file is not DICOM") from error
        if length >= min(place.size, HEAD_BYTES_MAX):
            raise Damaged("a stored file has no end")
        length = min(length * GROWTH, place.size)


def parse_head(content: bytes) -> tuple[FileDataset, int]:
    """Return what stands before the pixels, and where these begin (0: nowhere)."""
    file, found = io.BytesIO(content), [0]
    stop = _stop_at_pixels(found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values
        dataset = read_partial(file, stop_when=stop, force=True)
        if not isinstance(dataset, FileDataset):
            raise InvalidDicomError
        if syntax_of(dataset) == DEFLATED:  # its pixels have no place of their own
            return dcmread(io.BytesIO(content), force=True), 0
    if not dataset.get("SOPInstanceUID"):
        raise InvalidDicomError
    return dataset, file.tell() if found[0] else 0


def syntax_of(dataset: FileDataset) -> str:
    """Return the transfer syntax: what the file says, else what it was read in."""
    meta = getattr(dataset, "file_meta", None) or FileMetaDataset()
    if stated := str(meta.get("TransferSyntaxUID") or ""):
        return stated
    implicit, little = dataset.original_encoding
    if implicit:
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRLittleEndian if little is not False else ExplicitVRBigEndian)


def quieten() -> None:
    """Keep pydicom from judging values: its warnings and log lines quote them."""
    config.settings.reading_validation_mode = config.IGNORE
    config.settings.writing_validation_mode = config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


def _stop_at_pixels(found: list[int]) -> Callable[[BaseTag, str | None, int], bool]:
    def stop(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        if int(tag) in PIXELS:
            found[0] = int(tag)
        return int(tag) in PIXELS

    return stop
