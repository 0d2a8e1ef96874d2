"""STOW-RS: POST /dicom-web/studies[/{study}] (DICOM PS3.18 10.5).

Takes multipart/related with application/dicom, application/zip and image/tiff parts, or one
such body alone; a slide in TIFF or SVS needs the study in the address. Parts go to ingest while
the next ones arrive, small files several in a call. 200: all stored; 202: some; 409: none.
A DICOM JSON answer names what was stored and what was not; nothing is called stored that
ingest did not confirm.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any

import orjson
from dxmesh.ingest.v1.ingest_service_pb2 import (
    StoredInstance,
    StoreFilesResponse,
    StoreInstancesResponse,
)
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeProblem
from starlette.responses import Response

from services.gateway.call import Call
from services.gateway.dicomweb.grouped import File
from services.gateway.dicomweb.multipart import Multipart, boundary
from services.gateway.fhir.answers import media_ranges
from services.gateway.fhir.outcome import UnsupportedMediaType
from services.kernel import fhir, rpc
from services.kernel.errors import InvalidInput, MeshError, TooLarge, Violation

Kept = StoreInstancesResponse | StoreFilesResponse
"""What ingest says of a part alone, and of a group."""

DICOM, DICOM_JSON = "application/dicom", "application/dicom+json"
KINDS = {
    DICOM: DICOM,
    "application/zip": "application/zip",
    "application/x-zip-compressed": "application/zip",
    "image/tiff": "image/tiff",
}
CANNOT_UNDERSTAND = 0xC000
"""Failure Reason, PS3.18 Table 10.5.3-1: the file cannot be understood."""
AT_ONCE = 3
"""Calls to ingest of one request that are under way at a time."""
GROUP_BYTES = rpc.MESSAGE_BYTES_MAX - (128 << 10)
"""Most bytes of the files of one call: they travel in one message, beside their labels."""
GROUP_FILES = 64
OTHER_STUDY = 0xA900
"""Failure Reason: does not match; here, another study than the one in the address."""


class Stowed:
    """What became of one request's instances."""

    def __init__(self, study: str) -> None:
        self.study = study
        self.stored: list[StoredInstance] = []
        self.problems: list[IntakeProblem] = []

    def refuse(self, label: str, error: MeshError) -> None:
        """Note that a part could not be stored."""
        problem = IntakeProblem(source=label, reason=error.reason, message=error.message)
        self.problems.append(problem)

    def take(self, answer: Kept) -> None:
        """Note what ingest stored; an instance of another study is not of this request."""
        self.problems.extend(answer.problems)
        for instance in answer.stored:
            if self.study and instance.study_instance_uid != self.study:
                other = InvalidInput("the instance belongs to another study", reason="OTHER_STUDY")
                self.refuse(instance.source, other)
            else:
                self.stored.append(instance)


class Ahead:
    """Sends parts to ingest while the next ones are read: small files in groups, a few at once.

    A larger part goes alone, piped through. A broken body or a peer that is away ends the
    request: the rest cannot be stored. What came whole before is sent, and what is under way is
    waited for, so that it is known what was stored.
    """

    def __init__(self, call: Call, stowed: Stowed) -> None:
        self._call = call
        self._stowed = stowed
        self._group: list[File] = []
        self._bytes = 0
        self._under_way: deque[tuple[list[str], asyncio.Task[Kept]]] = deque()

    async def __aenter__(self) -> Ahead:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                await self._send_group()
                await self._settle(0)
            elif isinstance(error, Exception):
                await self._end(error)
        finally:
            for _, task in self._under_way:
                task.cancel()

    async def keep(self, kind: str, label: str, chunks: AsyncIterator[bytes]) -> None:
        """Take one part; return when another may follow."""
        held, size = list[bytes](), 0
        async for chunk in chunks:
            held.append(chunk)
            size += len(chunk)
            if size > GROUP_BYTES:
                break
        if kind == DICOM and size <= GROUP_BYTES:
            if self._bytes + size > GROUP_BYTES or len(self._group) == GROUP_FILES:
                await self._send_group()
            self._group.append((label, held))
            self._bytes += size
            return
        await self._send_group()
        await self._settle(0)
        peers, study = self._call.gateway.peers, self._stowed.study
        content = _joined(held, chunks if size > GROUP_BYTES else None)
        await self._send([label], peers.store(self._call.tenant, kind, label, content, study))
        await self._settle(0)

    async def _end(self, error: Exception) -> None:
        """Finish what was begun; the error that ended the request is the one that is answered."""
        away = isinstance(error, MeshError) and error.retry_after_s is not None
        if not away:
            with suppress(MeshError):
                await self._send_group()
        for _, task in self._under_way:
            with suppress(MeshError):
                self._stowed.take(await task)

    async def _send_group(self) -> None:
        """Send the small files that were gathered."""
        group, self._group, self._bytes = self._group, [], 0
        if group:
            sending = self._call.gateway.peers.store_files(self._call.tenant, group)
            await self._send([label for label, _ in group], sending)

    async def _send(self, labels: list[str], sending: Coroutine[Any, Any, Kept]) -> None:
        self._under_way.append((labels, asyncio.ensure_future(sending)))
        await self._settle(AT_ONCE - 1)

    async def _settle(self, left: int) -> None:
        """Wait until at most `left` calls are under way; a lasting refusal is its parts' alone."""
        while len(self._under_way) > left:
            labels, task = self._under_way[0]
            try:
                self._stowed.take(await task)
            except MeshError as error:
                broken = error.reason in ("BAD_REQUEST", "UPLOAD_TOO_LARGE")
                if broken or error.retry_after_s is not None:
                    raise
                for label in labels:
                    self._stowed.refuse(label, error)
            self._under_way.popleft()


async def _joined(held: list[bytes], rest: AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    """Yield a small part whole, a large one as it comes."""
    if rest is None:
        yield b"".join(held)
        return
    for chunk in held:
        yield chunk
    async for chunk in rest:
        yield chunk


async def store(call: Call) -> Response:
    """Store the instances of a request."""
    stowed = Stowed(call.request.path_params.get("study", ""))
    content_type = call.request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    chunks = _limited(call.request.stream(), call.gateway.settings.upload_bytes_max)
    whole = False
    try:
        async with Ahead(call, stowed) as ahead:
            if kind in KINDS:
                await ahead.keep(KINDS[kind], "content", chunks)
            else:
                await _keep_parts(ahead, stowed, Multipart(chunks, boundary(content_type)))
        whole = True
    finally:
        # Also of a request that failed: what ingest holds is in the trail, and so is the failure.
        for uid in sorted({s.study_instance_uid for s in stowed.stored}):
            await call.audit("upload", f"study:{await _alias(call, uid)}")
        call.audited = call.audited and whole
    return _answer(call, stowed)


async def _keep_parts(ahead: Ahead, stowed: Stowed, body: Multipart) -> None:
    async for part in body.parts():
        if part.media_type in KINDS:
            await ahead.keep(KINDS[part.media_type], part.label, body.content())
        else:
            stowed.refuse(part.label, UnsupportedMediaType("not application/dicom"))


async def _limited(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"the upload is over {limit} bytes", reason="UPLOAD_TOO_LARGE")
        yield chunk


async def _alias(call: Call, uid: str) -> str:
    """Return a keyed hash: an audit row holds no UID as a hospital wrote it."""
    return (await call.gateway.hasher_for(call.tenant))("study", uid)[:32]


def _answer(call: Call, stowed: Stowed) -> Response:
    if not stowed.stored and not stowed.problems:
        raise InvalidInput("there was no DICOM file in the content", reason="BAD_REQUEST")
    status = 409 if not stowed.stored else 202 if stowed.problems else 200
    wants_dicom = DICOM_JSON in media_ranges(call.request)
    if status == 409 and not wants_dicom:
        violations = [Violation(p.source, p.message) for p in stowed.problems]
        error = InvalidInput("nothing was stored", violations, reason=stowed.problems[0].reason)
        return Response(fhir.dump(fhir.outcome(error)), 409, media_type=fhir.MEDIA_TYPE)
    return Response(orjson.dumps(dataset(stowed)), status, media_type=DICOM_JSON)


def dataset(stowed: Stowed) -> dict[str, Any]:
    """Return the Store Instances Response Module as DICOM JSON (PS3.18 Table I.2-1)."""
    result: dict[str, Any] = {}
    if stowed.stored:
        result["00081199"] = _sequence(
            [
                {
                    "00081150": _value("UI", s.sop_class_uid),
                    "00081155": _value("UI", s.sop_instance_uid),
                }
                for s in stowed.stored
            ]
        )
    if stowed.problems:
        # What was refused may have no UIDs that could be read: its file name tells which it was.
        result["00081198"] = _sequence(
            [
                {
                    "00081197": _value(
                        "US", OTHER_STUDY if p.reason == "OTHER_STUDY" else CANNOT_UNDERSTAND
                    ),
                    "00000902": _value("LO", f"{p.source}: {p.reason}"[:64]),
                }
                for p in stowed.problems
            ]
        )
    return result


def _value(vr: str, value: object) -> dict[str, object]:
    return {"vr": vr, "Value": [value]}


def _sequence(items: list[dict[str, Any]]) -> dict[str, object]:
    return {"vr": "SQ", "Value": items}
