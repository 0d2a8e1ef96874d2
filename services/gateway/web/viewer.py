"""The viewer of the case page: what there is to see, pixels, pictures, outlines.

Grey images go to the page as numbers (HU, or stored values), so that it sets the window by
itself; colours and tiles of slides as pictures.
"""

from __future__ import annotations

import asyncio
import re
import zlib

import numpy as np
import orjson
from pydicom.dataset import Dataset
from starlette.responses import Response

from services.gateway.call import Call
from services.gateway.dicomweb import frames, pictures, wado, wanted
from services.gateway.store.dicom import Instance, Series
from services.gateway.web import outlines, sight, stacks
from services.kernel.errors import InvalidInput, NotFound
from services.kernel.pieces import BlobReader

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
KEPT = {"Cache-Control": "private, max-age=3600", "Vary": "Cookie, Accept-Encoding"}
"""A stored image never changes; whoever signs in next at this browser is asked who he is."""
OFFSET = "Dx-Offset"
_UID = re.compile(r"[0-9.]{1,64}")


async def describe(call: Call) -> Response:
    """Return what there is to see of a version of a case, and where its findings lie."""
    case = await sight.case(call)
    version = call.path("version")
    if not re.fullmatch(r"[0-9]{1,6}", version):
        raise InvalidInput("not a version", reason="BAD_REQUEST")
    bundle = await call.store.reports.composed(call.tenant, case.case_id, int(version))
    bundle = await sight.bundle(call, bundle)
    series = await sight.series(call, case.case_id) if call.gateway.archive else []
    await call.audit(
        "view-images",
        f"Task/{case.case_id}",
        patient=str(case.label.get("patient_reference", "")),
        case_id=case.case_id,
    )
    return Response(orjson.dumps(stacks.describe(series, bundle)), media_type="application/json")


async def pixels(call: Call) -> Response:
    """Return the grey values of a frame, int16 little-endian, row by row; packed with gzip.

    `Dx-Offset` is to be added to each, for 16-bit images without a sign.
    """
    instance, head, reader, number = await _opened(call)
    dataset = await _frame(call, instance, head, reader, number)
    content, offset = await asyncio.to_thread(_values, dataset)
    headers = {**KEPT, OFFSET: str(offset)}
    if "gzip" in call.request.headers.get("accept-encoding", ""):
        content = await asyncio.to_thread(_packed, content)
        headers["Content-Encoding"] = "gzip"
    return Response(content, headers=headers, media_type="application/octet-stream")


async def picture(call: Call) -> Response:
    """Return a frame as a picture: of a slide's tile the stored JPEG itself where it is one."""
    instance, head, reader, number = await _opened(call)
    tables = wanted.archive_of(call).tables
    stored = await frames.stored(tables, instance, reader, head, number)
    if instance.syntax == JPEG_BASELINE and str(head.get("PhotometricInterpretation")) != "RGB":
        return Response(stored, headers=KEPT, media_type="image/jpeg")
    dataset = pictures.one_frame(head, instance.syntax, stored, number)
    kind = "image/png" if "SegmentSequence" in head else "image/jpeg"
    drawn = await asyncio.to_thread(pictures.draw, dataset, pictures.View(), kind)
    return Response(drawn, headers=KEPT, media_type=kind)


async def overlay(call: Call) -> Response:
    """Return a segmentation: outlines by image, or how it is tiled when it is of a slide."""
    instance, head, reader, _ = await _opened(call)
    labels = outlines.segments(head)
    if tiled := outlines.tiles(head):
        return _json({"segments": labels, "slide": tiled})
    tables = wanted.archive_of(call).tables
    found: dict[str, list[dict[str, object]]] = {}
    for number, (segment, sop, frame) in enumerate(outlines.places(head), 1):
        stored = await frames.stored(tables, instance, reader, head, number)
        dataset = pictures.one_frame(head, instance.syntax, stored, number)
        lines = await asyncio.to_thread(
            lambda one: outlines.edges(pictures.decoded(one) > 0), dataset
        )
        if lines:
            key = f"{sop}/{frame}" if frame else sop
            found.setdefault(key, []).append({"segment": segment, "lines": lines})
    return _json({"segments": labels, "images": found})


async def _opened(call: Call) -> tuple[Instance, Dataset, BlobReader, int]:
    """Return an instance of the case, its head, its blob, and the frame that is asked for."""
    case = await sight.case(call)
    names = [str(call.request.path_params.get(name, "")) for name in ("series", "instance")]
    number = str(call.request.path_params.get("frame", "1"))
    if not all(_UID.fullmatch(name) for name in names) or not re.fullmatch(r"\d{1,7}", number):
        raise NotFound("there is no such image")
    series, instance = await _of_case(call, case.case_id, *names)
    patient = str(case.label.get("patient_reference", ""))
    await _note(call, case.case_id, series, patient)
    head, reader = await wado.opened(call, series, instance, whose=False)
    return instance, head, reader, int(number)


async def _of_case(
    call: Call, case_id: str, series_uid: str, instance_uid: str
) -> tuple[Series, Instance]:
    for series in await sight.series(call, case_id):
        for instance in series.instances if series.uid == series_uid else ():
            if instance.uid == instance_uid:
                return series, instance
    raise NotFound("there is no such image")


async def _note(call: Call, case_id: str, series: Series, patient: str) -> None:
    who = (call.tenant, call.principal.name, case_id, series.uid)
    if not wanted.archive_of(call).noted(who):
        await call.audit(wanted.RETRIEVE, f"Task/{case_id}", patient=patient, case_id=case_id)
        wanted.archive_of(call).note(who)


async def _frame(
    call: Call, instance: Instance, head: Dataset, reader: BlobReader, number: int
) -> Dataset:
    tables = wanted.archive_of(call).tables
    stored = await frames.stored(tables, instance, reader, head, number)
    return pictures.one_frame(head, instance.syntax, stored, number)


def _values(dataset: Dataset) -> tuple[bytes, int]:
    values = pictures.modality_values(dataset)
    if values.ndim != 2:
        raise NotFound("the image is in colour; its picture can be asked for")
    offset = 32768 if float(values.max(initial=0)) > 32767 and float(values.min()) >= 0 else 0
    whole = np.clip(np.rint(values.astype(np.float32)) - offset, -32768, 32767)
    return whole.astype("<i2").tobytes(), offset


def _packed(content: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(content) + packer.flush()


def _json(value: object) -> Response:
    content = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    return Response(content, headers=KEPT, media_type="application/json")


PATHS = (
    ("/viewer/{version}", describe),
    ("/pixels/{series}/{instance}/{frame}", pixels),
    ("/pictures/{series}/{instance}/{frame}", picture),
    ("/overlays/{series}/{instance}", overlay),
)
"""Below a case's own address."""
