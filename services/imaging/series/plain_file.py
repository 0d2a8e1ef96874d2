"""A DICOM file as a stream that can be read anywhere; a deflated one inflated, within limits."""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomIO
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from services.imaging.series.archive import File
from services.imaging.series.attributes import UNREADABLE
from services.imaging.series.refusals import DamagedSeries, SeriesTooLarge

META_BYTES = 2048
"""Where a transfer syntax stands, if it is stated: a quick look before the file is parsed."""

INFLATED_BYTES_MAX = 512 << 20
"""A few bytes can inflate to gigabytes; no deflated file of a series is this large."""


@contextlib.contextmanager
def opened(file: File) -> Iterator[BinaryIO]:
    """Yield a file, inflated where its transfer syntax says that it is deflated.

    Raises
    ------
    DamagedSeries, SeriesTooLarge
        It does not inflate, or to more than 512 MB.
    """
    with file.open() as stream:
        yield _inflated(stream) if _is_deflated(stream) else stream


def _is_deflated(stream: BinaryIO) -> bool:
    if DeflatedExplicitVRLittleEndian.encode() not in stream.read(META_BYTES):
        stream.seek(0)
        return False
    stream.seek(0)
    try:
        return str(_meta(stream).get("TransferSyntaxUID")) == DeflatedExplicitVRLittleEndian
    except UNREADABLE:
        return False  # whoever reads the header says what is wrong with it
    finally:
        stream.seek(0)


def _meta(stream: BinaryIO) -> FileMetaDataset:
    """Return the file meta information; the stream stands behind it."""
    read_preamble(stream, force=False)
    return FileMetaDataset(_read_file_meta_info(stream))


def _inflated(stream: BinaryIO) -> BinaryIO:
    meta = _meta(stream)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflater.decompress(stream.read(), INFLATED_BYTES_MAX)
    except zlib.error as error:
        raise DamagedSeries("a deflated file does not inflate") from error
    if inflater.unconsumed_tail:
        raise SeriesTooLarge("a deflated file inflates too far", limit=INFLATED_BYTES_MAX)
    if not inflater.eof:
        raise DamagedSeries("a deflated file is cut short", bytes=len(content))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    plain = io.BytesIO()
    plain.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(DicomIO(plain), meta, enforce_standard=False)
    plain.write(content)
    plain.seek(0)
    return plain
