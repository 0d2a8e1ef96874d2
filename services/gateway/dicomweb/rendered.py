"""WADO-RS rendered: pictures of instances and frames, thumbnails (PS3.18 10.4.1.1.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import Response

from services.gateway.call import Call
from services.gateway.dicomweb import accept, frames, pictures, sending, wado, wanted
from services.gateway.dicomweb.pictures import View
from services.gateway.dicomweb.sending import Body
from services.gateway.fhir.outcome import NotAcceptable
from services.gateway.store.dicom import Instance, Series
from services.kernel.errors import InvalidInput


async def rendered(call: Call) -> Response:
    """Return pictures: of one frame alone, of a study or series in multipart."""
    found = await wanted.found(call)
    kind = accept.of_rendered(wanted.accepted(call))
    view = pictures.view_of(call.request.query_params)
    images = [(s, i) for s, i in found.instances if i.pixels]
    if not images:
        raise NotAcceptable("there is no image to be drawn", reason="NOT_AN_IMAGE")
    if "instance" in call.request.path_params:
        body = await _picture(call, *images[0], _frame(call), view, kind)
        await wanted.note(call, found, often=True)
        return Response(body.head, media_type=kind, headers=KEPT)

    async def parts() -> AsyncIterator[Body]:
        for series, instance in images:
            yield await _picture(call, series, instance, 1, view, kind)

    await wanted.note(call, found)
    return sending.multipart(kind, parts())


async def thumbnail(call: Call) -> Response:
    """Return one small picture that stands for a study, series, instance or frame."""
    found = await wanted.found(call)
    kind = accept.of_rendered(wanted.accepted(call))
    view = pictures.view_of(call.request.query_params, thumbnail=True)
    images = [(s, i) for s, i in found.instances if i.pixels and not s.made]
    images = images or [(s, i) for s, i in found.instances if i.pixels]
    if not images:
        raise NotAcceptable("there is no image to be drawn", reason="NOT_AN_IMAGE")
    of_first = [pair for pair in images if pair[0].uid == images[0][0].uid]
    series, instance = of_first[len(of_first) // 2]
    number = _frame(call) if "frames" in call.request.path_params else (instance.frames + 1) // 2
    body = await _picture(call, series, instance, number, view, kind)
    await wanted.note(call, found, often=True)
    return Response(body.head, media_type=kind, headers=KEPT)


KEPT = {"Cache-Control": "private, max-age=600", "Vary": "Accept, Authorization, Cookie"}
"""A stored image never changes, so a browser may keep its picture for a while, for who asked."""


def _frame(call: Call) -> int:
    text = str(call.request.path_params.get("frames", "1"))
    if not text.isascii() or not text.isdigit() or len(text) > 7:
        raise InvalidInput("a picture is of one frame, numbered from 1", reason="BAD_REQUEST")
    return int(text)


async def _picture(
    call: Call, series: Series, instance: Instance, number: int, view: View, kind: str
) -> Body:
    head, reader = await wado.opened(call, series, instance, whose=False)
    tables = wanted.archive_of(call).tables
    content = await frames.stored(tables, instance, reader, head, number)
    one = pictures.one_frame(head, instance.syntax, content, number)
    drawn = await asyncio.to_thread(pictures.draw, one, view, kind)
    return Body(kind, "", drawn, None, 0)
