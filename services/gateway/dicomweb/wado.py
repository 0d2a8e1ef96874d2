"""WADO-RS: studies, series, instances, their metadata, frames and bulk data (PS3.18 10.4).

Everything is sent as it is stored, compressed as it came, unless the client asks for Explicit
VR Little Endian. One instance is worked on at a time; of a large one only the head is held.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable

import orjson
from pydicom.dataset import Dataset
from starlette.responses import Response, StreamingResponse

from services.gateway.call import Call
from services.gateway.dicomweb import accept, attributes, frames, pictures, sending, wanted
from services.gateway.dicomweb.sending import Body
from services.gateway.dicomweb.wanted import Found
from services.gateway.fhir.outcome import NotAcceptable
from services.gateway.store.dicom import Instance, Series
from services.kernel.errors import InvalidInput, NotFound
from services.kernel.pieces import BlobReader

PIXEL_DATA = "7FE00010"
FRAMES_MAX = 1000
_FRAMES = re.compile(r"\d{1,7}(,\d{1,7})*")


async def retrieve(call: Call) -> Response:
    """Return DICOM files: multipart/related, or one instance alone."""
    found = await wanted.found(call)
    single = "instance" in call.request.path_params
    chosen = accept.of_instances(wanted.accepted(call), single=single)
    bodies = _files(call, found, chosen.syntax)
    first = await anext(bodies)  # what cannot be sent is said before anything is
    await wanted.note(call, found)
    if single and not chosen.multipart:
        return sending.single(first, call.request.headers.get("range", ""))
    return sending.multipart(accept.DICOM, _chained(first, bodies))


async def _files(call: Call, found: Found, syntax: str) -> AsyncIterator[Body]:
    archive = wanted.archive_of(call)
    for series, instance in found.instances:
        yield await sending.file_of(archive, call.tenant, series, instance, syntax)


async def _chained(first: Body, rest: AsyncIterator[Body]) -> AsyncIterator[Body]:
    yield first
    async for body in rest:
        yield body


async def metadata(call: Call) -> Response:
    """Return the attributes of every instance as DICOM JSON; bulk data by address.

    Addresses of a series' metadata are relative to the series, of a study's to the study.
    """
    accept.takes_json(wanted.accepted(call))
    found = await wanted.found(call)
    await wanted.note(call, found)
    described = _metadata(call, found)
    first = await anext(described)  # what cannot be read is said before anything is sent

    async def stream() -> AsyncIterator[bytes]:
        yield b"[" + first
        async for one in described:
            yield b"," + one
        yield b"]"

    return StreamingResponse(stream(), media_type=accept.DICOM_JSON)


async def _metadata(call: Call, found: Found) -> AsyncIterator[bytes]:
    levels = call.request.path_params
    for series, instance in found.instances:
        where = f"instances/{instance.uid}"
        if "series" not in levels:
            where = f"series/{series.uid}/{where}"
        elif "instance" in levels:
            where = address(call, series, instance)
        yield await _described(call, series, instance, where)


async def _described(call: Call, series: Series, instance: Instance, where: str) -> bytes:
    head, _ = await opened(call, series, instance)
    said = await asyncio.to_thread(attributes.complete, head, where)
    if instance.pixels:
        vr = "OB" if int(head.get("BitsAllocated") or 8) <= 8 else "OW"
        said[PIXEL_DATA] = {"vr": vr, "BulkDataURI": f"{where}/bulkdata/{PIXEL_DATA}"}
    said |= attributes.value("00083002", instance.syntax)
    return orjson.dumps(said)


async def opened(
    call: Call, series: Series, instance: Instance, *, whose: bool = True
) -> tuple[Dataset, BlobReader]:
    """Return an instance's head, with identity where it is to be shown, and its blob."""
    archive = wanted.archive_of(call)
    reader = await archive.reader(call.tenant, series, instance)
    return await archive.head(call.tenant, series, instance, reader, whose=whose), reader


async def retrieve_frames(call: Call) -> Response:
    """Return frames, numbered from 1: as stored, or uncompressed when asked for."""
    text = call.path("frames")
    if not _FRAMES.fullmatch(text) or text.count(",") >= FRAMES_MAX:
        raise InvalidInput("frames are numbers from 1, between commas", reason="BAD_REQUEST")
    found = await wanted.found(call)
    series, instance = found.instances[0]
    chosen = accept.of_bulk(wanted.accepted(call), instance.syntax)
    head, reader = await opened(call, series, instance, whose=False)
    numbers = [int(number) for number in text.split(",")]
    bodies = _frames(call, instance, (head, reader), numbers, chosen)
    first = await anext(bodies)
    await wanted.note(call, found, often=True)
    if not chosen.multipart and len(numbers) == 1:
        return sending.single(first, call.request.headers.get("range", ""))
    return sending.multipart(chosen.kind, _chained(first, bodies))


async def _frames(
    call: Call,
    instance: Instance,
    open_: tuple[Dataset, BlobReader],
    numbers: Iterable[int],
    chosen: accept.Chosen,
) -> AsyncIterator[Body]:
    head, reader = open_
    tables = wanted.archive_of(call).tables
    for number in numbers:
        content = await frames.stored(tables, instance, reader, head, number)
        syntax = instance.syntax
        if chosen.syntax not in (accept.AS_STORED, syntax) and not _is_plain(syntax, chosen.syntax):
            one = pictures.one_frame(head, syntax, content, number)
            content = await asyncio.to_thread(pictures.octets, one)
            syntax = accept.EXPLICIT_LITTLE
        yield Body(chosen.kind, syntax, content, None, 0)


def _is_plain(stored: str, asked: str) -> bool:
    """Tell whether pixels are the same bytes in both, as in the little-endian syntaxes.

    Raises
    ------
    NotAcceptable
        A syntax that nothing is changed to here.
    """
    if asked not in (accept.EXPLICIT_LITTLE, "1.2.840.10008.1.2"):
        raise NotAcceptable(
            "frames are sent as they are stored (transfer-syntax=*) or uncompressed",
            reason="NOT_ACCEPTABLE",
        )
    return stored in (accept.EXPLICIT_LITTLE, "1.2.840.10008.1.2")


async def bulk_data(call: Call) -> Response:
    """Return one large value, or the pixels, by the address that the metadata gives."""
    path = call.path("tag")
    found = await wanted.found(call)
    series, instance = found.instances[0]
    head, reader = await opened(call, series, instance)
    if path.upper() == PIXEL_DATA and instance.pixels:
        return await _pixel_data(call, found, head, reader)
    element = attributes.element_at(head, path)
    if element is None or not isinstance(element.value, bytes):
        raise NotFound("there is no such bulk data")
    chosen = accept.of_bulk(wanted.accepted(call), accept.EXPLICIT_LITTLE)
    await wanted.note(call, found, often=True)
    body = Body(accept.OCTETS, accept.EXPLICIT_LITTLE, element.value, None, 0)
    return _one(call, body, chosen)


async def _pixel_data(call: Call, found: Found, head: Dataset, reader: BlobReader) -> Response:
    _, instance = found.instances[0]
    chosen = accept.of_bulk(wanted.accepted(call), instance.syntax)
    place = await frames.locate(instance, reader, head)
    plain = instance.syntax if chosen.syntax == accept.AS_STORED else chosen.syntax
    as_is = not place.encapsulated and (
        plain == instance.syntax or _is_plain(instance.syntax, plain)
    )
    if not as_is:  # a part for each frame (PS3.18 8.7.3.3)
        numbers = range(1, instance.frames + 1)
        bodies = _frames(call, instance, (head, reader), numbers, chosen)
        first = await anext(bodies)
        await wanted.note(call, found, often=True)
        return sending.multipart(chosen.kind, _chained(first, bodies))
    await wanted.note(call, found, often=True)
    stream = reader.stream(place.at, place.length)
    return _one(call, Body(accept.OCTETS, instance.syntax, b"", stream, place.length), chosen)


def _one(call: Call, body: Body, chosen: accept.Chosen) -> Response:
    if not chosen.multipart:
        return sending.single(body, call.request.headers.get("range", ""))

    async def parts() -> AsyncIterator[Body]:
        yield body

    return sending.multipart(body.kind, parts())


def address(call: Call, series: Series, instance: Instance | None = None) -> str:
    """Return the address of a series or an instance."""
    base = f"{call.base_url}/dicom-web/studies/{series.study}/series/{series.uid}"
    return f"{base}/instances/{instance.uid}" if instance else base
