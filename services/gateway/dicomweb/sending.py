"""DICOM files and frames on their way out: streamed, in multipart or alone, or a range of one."""

from __future__ import annotations

import asyncio
import io
import re
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian
from starlette.responses import Response, StreamingResponse

from services.gateway.dicomweb import accept, entries, streams
from services.gateway.dicomweb.archive import Archive
from services.gateway.fhir.outcome import NotAcceptable, RangeNotSatisfiable
from services.gateway.store.dicom import Instance, Series
from services.kernel.errors import Damaged, TooLarge

TRANSCODED_BYTES_MAX = 1 << 30
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class Body:
    """Content whose length is known: a beginning held in memory, and what is streamed."""

    kind: str
    syntax: str
    head: bytes
    tail: AsyncIterator[bytes] | None
    tail_bytes: int

    @property
    def size(self) -> int:
        """Bytes of it."""
        return len(self.head) + self.tail_bytes

    @property
    def content_type(self) -> str:
        """As a header says it."""
        return f"{self.kind}; transfer-syntax={self.syntax}" if self.syntax else self.kind

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield all of it."""
        yield self.head
        if self.tail is not None:
            async for piece in self.tail:
                yield piece


async def file_of(
    archive: Archive, tenant: str, series: Series, instance: Instance, syntax: str
) -> Body:
    """Return an instance as a DICOM file in a transfer syntax ("*": as it is stored).

    Raises
    ------
    NotAcceptable
        It is stored in another, and no way leads there.
    """
    reader = await archive.reader(tenant, series, instance)
    if syntax in (accept.AS_STORED, instance.syntax):
        if series.made:
            return Body(
                accept.DICOM, instance.syntax, b"", reader.stream(instance.at, instance.size),
                instance.size,
            )  # fmt: skip
        head = await archive.head(tenant, series, instance, reader)
        written = await asyncio.to_thread(write, head, instance.syntax)
        tail = instance.size - instance.pixels if instance.pixels else 0
        return Body(accept.DICOM, instance.syntax, written, archive.pixels(instance, reader), tail)
    if syntax != accept.EXPLICIT_LITTLE:
        raise NotAcceptable(
            "sent as it is stored (transfer-syntax=*) or as Explicit VR Little Endian",
            reason="NOT_ACCEPTABLE",
        )
    if instance.size > TRANSCODED_BYTES_MAX:
        raise TooLarge("the instance is too large to be decompressed", reason="INSTANCE_TOO_LARGE")
    head = await archive.head(tenant, series, instance, reader)
    pixels = b"".join([piece async for piece in archive.pixels(instance, reader)])
    plain = await asyncio.to_thread(transcoded, write(head, instance.syntax) + pixels)
    return Body(accept.DICOM, accept.EXPLICIT_LITTLE, plain, None, 0)


def write(dataset: FileDataset, syntax: str) -> bytes:
    """Return the file of a data set; without its pixels, when it was read so."""
    if not isinstance(getattr(dataset, "file_meta", None), FileMetaDataset):
        dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    buffer = io.BytesIO()
    try:
        dcmwrite(buffer, dataset, enforce_file_format=True)
    except entries.UNREADABLE as error:
        raise Damaged("a stored file cannot be written again") from error
    return buffer.getvalue()


def transcoded(content: bytes) -> bytes:
    """Return a file as Explicit VR Little Endian; its instance stays the same one."""
    try:
        dataset = dcmread(io.BytesIO(content), force=True)
        syntax = dataset.file_meta.TransferSyntaxUID
        if syntax.is_encapsulated:
            frames = int(dataset.get("NumberOfFrames") or 1)
            size = frames * int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel)
            if size * int(dataset.BitsAllocated) // 8 > TRANSCODED_BYTES_MAX:
                raise TooLarge("the instance is too large to be decompressed")
            for frame in generate_frames(dataset.PixelData, number_of_frames=frames):
                streams.check(frame, dataset, syntax)
            dataset.decompress(generate_instance_uid=False)
        else:
            dataset.decode()
            if syntax == ExplicitVRBigEndian:
                _swap(dataset)
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        buffer = io.BytesIO()
        dcmwrite(buffer, dataset, enforce_file_format=True, implicit_vr=False, little_endian=True)
    except (*entries.UNREADABLE, RuntimeError) as error:
        raise Damaged("the pixels of an instance do not decode") from error
    return buffer.getvalue()


def _swap(dataset: FileDataset) -> None:
    """Turn the bytes of words around, which pydicom takes as they are."""
    for element in dataset.iterall():
        if element.VR == "OW" and element.value:
            element.value = np.frombuffer(element.value, ">u2").astype("<u2").tobytes()


def multipart(kind: str, parts: AsyncIterator[Body]) -> Response:
    """Return a multipart/related answer, a part at a time."""
    boundary = f"dx{secrets.token_hex(16)}"

    async def stream() -> AsyncIterator[bytes]:
        async for part in parts:
            yield (
                f"--{boundary}\r\nContent-Type: {part.content_type}\r\n"
                f"Content-Length: {part.size}\r\n\r\n"
            ).encode()
            async for piece in part.stream():
                yield piece
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    header = f'multipart/related; type="{kind}"; boundary={boundary}'
    return StreamingResponse(stream(), headers={"Content-Type": header})


def single(body: Body, asked: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """Return one body alone, or the range of it that a `Range` header asks for.

    Raises
    ------
    RangeNotSatisfiable
    """
    told = {"Content-Type": body.content_type, "Accept-Ranges": "bytes", **dict(headers)}
    wanted = _range(asked, body.size)
    if wanted is None:
        return StreamingResponse(body.stream(), headers={**told, "Content-Length": str(body.size)})
    first, last = wanted
    told |= {
        "Content-Range": f"bytes {first}-{last}/{body.size}",
        "Content-Length": str(last - first + 1),
    }
    return StreamingResponse(_cut(body.stream(), first, last + 1), 206, headers=told)


def _range(asked: str, size: int) -> tuple[int, int] | None:
    """Return first and last byte; None: all of it, also for what is no range we know."""
    found = _RANGE.fullmatch(asked.strip())
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        begin, end = max(0, size - int(last)), size - 1
    else:
        begin, end = int(first), min(int(last) if last else size - 1, size - 1)
    if begin >= size or begin > end:
        raise RangeNotSatisfiable("the range lies outside of the content", reason="RANGE")
    return begin, end


async def _cut(pieces: AsyncIterator[bytes], start: int, end: int) -> AsyncIterator[bytes]:
    at = 0
    async for piece in pieces:
        if at + len(piece) > start:
            yield piece[max(0, start - at) : max(0, end - at)]
        at += len(piece)
        if at >= end:
            return
