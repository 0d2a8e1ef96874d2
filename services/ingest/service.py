"""IngestService: DICOM and ZIP into the intake, Bundles and files of results into cases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from hashlib import sha256
from typing import Protocol

from dxmesh.ingest.v1 import ingest_service_pb2 as pb
from dxmesh.ingest.v1 import ingest_service_pb2_grpc as rpc_pb
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeProblem

from services.ingest import dicom, slides, uploaded
from services.ingest.archive import Archive
from services.ingest.elements import UnusableInstance
from services.ingest.settings import Settings
from services.ingest.store import Intake, OriginalStore, Spool
from services.ingest.store.keeping import Arrived, OtherContent
from services.ingest.uploaded import ResultsFile
from services.kernel import fhir, telemetry
from services.kernel.crypto import checked
from services.kernel.errors import InvalidInput, MeshError, NotFound, TooLarge

DICOM, ZIP, TIFF = "application/dicom", "application/zip", "image/tiff"
SOURCE_CHARS_MAX = 200
FILES_MAX = 256
PIECE_BYTES = 1 << 20
WAITING = 4
"""Calls with files that may be here, for each that is taken."""
Message = pb.StoreInstancesRequest | pb.SubmitCaseRequest | pb.SubmitResultsRequest


class Admits(Protocol):
    """What is needed of `admission.Admission`."""

    async def submit(self, tenant: str, content: bytes) -> pb.SubmitCaseResponse:
        """Return the case a Bundle makes."""


class IngestService(rpc_pb.IngestServiceServicer):
    """Answers the gateway; see the proto for each call."""

    def __init__(
        self,
        intake: Intake,
        admission: Admits,
        settings: Settings,
        files: ResultsFile,
        originals: OriginalStore,
    ) -> None:
        self._intake = intake
        self._admission = admission
        self._files = files
        self._originals = originals
        self._settings = settings
        self._free = asyncio.Semaphore(settings.uploads_at_once)
        self.calls_at_once = {"StoreFiles": WAITING * settings.uploads_at_once}
        """Each holds its files in memory, up to a message: what is over is not read."""

    async def StoreInstances(
        self, request_iterator: AsyncIterator[pb.StoreInstancesRequest], context: object
    ) -> pb.StoreInstancesResponse:
        """Keep one DICOM file, or those of a ZIP archive; each refused one is named."""
        messages = aiter(request_iterator)
        header = await _header(messages, (DICOM, ZIP, TIFF))
        archived = header.media_type == ZIP
        limit = self._settings.archive_bytes_max if archived else self._settings.instance_bytes_max
        answer = pb.StoreInstancesResponse()
        with telemetry.step("ingest.store"):
            async with self._free:
                with self._spool(limit) as spool:
                    async for chunk in _chunks(messages):
                        if spool.stays_in_memory(len(chunk)):
                            spool.write(chunk)
                        else:
                            await asyncio.to_thread(spool.write, chunk)
                    spool.finish()
                    if archived:
                        await self._archive(header.tenant, spool, answer)
                    elif header.media_type == TIFF:
                        await self._slide(header, spool, answer)
                    else:
                        await self._instance(header.tenant, header.label, spool, answer)
        return answer

    async def StoreFiles(
        self, request: pb.StoreFilesRequest, context: object
    ) -> pb.StoreFilesResponse:
        """Keep small DICOM files together; each refused one is named."""
        tenant = checked(request.tenant)
        if not 0 < len(request.files) <= FILES_MAX:
            raise InvalidInput(f"1 to {FILES_MAX} files are needed", reason="FILES")
        answer = pb.StoreFilesResponse()
        limit = self._settings.instance_bytes_max
        labels = [each.label for each in request.files]
        with telemetry.step("ingest.store"):
            async with self._free:
                read = await asyncio.to_thread(
                    lambda: [arrived(each.content, limit) for each in request.files]
                )
                good = [each for each in read if isinstance(each, Arrived)]
                kept = iter(await self._intake.keep_all(tenant, good) if good else ())
        for label, each in zip(labels, read, strict=True):
            outcome = next(kept) if isinstance(each, Arrived) else each
            if isinstance(outcome, pb.StoredInstance):
                outcome.source = _plain(label)
                answer.stored.append(outcome)
            else:
                _refuse(answer, label, outcome)
        return answer

    async def SubmitCase(
        self, request_iterator: AsyncIterator[pb.SubmitCaseRequest], context: object
    ) -> pb.SubmitCaseResponse:
        """Check a Bundle and consent, and start its case."""
        messages = aiter(request_iterator)
        header = await _header(messages, (fhir.MEDIA_TYPE,))
        limit = self._settings.bundle_bytes_max
        error = TooLarge(f"the Bundle is over {limit} bytes", reason="BUNDLE_TOO_LARGE")
        async with self._free:
            content = await _whole(messages, limit, error)
            return await self._admission.submit(header.tenant, content)

    async def SubmitResults(
        self, request_iterator: AsyncIterator[pb.SubmitResultsRequest], context: object
    ) -> pb.SubmitResultsResponse:
        """Make cases of a file of HL7 v2 messages or CSV rows; each refused one is named."""
        messages = aiter(request_iterator)
        header = await _header(messages, uploaded.MEDIA_TYPES)
        limit = self._settings.results_bytes_max
        error = TooLarge(f"the file is over {limit} bytes", reason="FILE_TOO_LARGE")
        async with self._free:
            content = await _whole(messages, limit, error)
            return await self._files.submit(header.tenant, header.media_type, content)

    async def ReadOriginal(
        self, request: pb.ReadOriginalRequest, context: object
    ) -> pb.ReadOriginalResponse:
        """Return a piece of what a case was made of.

        Raises
        ------
        NotFound
            It was made of a Bundle, or what it was made of is destroyed.
        """
        tenant = checked(request.tenant)
        found = await self._originals.of_case(tenant, request.case_id)
        if found is None:
            raise NotFound("no original is kept of this case", reason="NO_ORIGINAL")
        content = await self._intake.blobs.get(tenant, found.blob)
        start = max(request.offset, 0)
        return pb.ReadOriginalResponse(
            chunk=content[start : start + PIECE_BYTES],
            media_type=found.media_type,
            sha256=found.sha256,
            size_bytes=len(content),
        )

    async def _archive(self, tenant: str, packed: Spool, answer: pb.StoreInstancesResponse) -> None:
        archive = await asyncio.to_thread(
            Archive, packed.reader(), packed.size, self._settings.archive_limits
        )
        for entry in archive.entries():
            if entry.refusal:
                _refuse(answer, entry.name, entry.refusal)
                continue
            with self._spool(self._settings.instance_bytes_max) as spool:
                try:
                    await asyncio.to_thread(_fill, archive.content(entry), spool)
                except (UnusableInstance, TooLarge) as error:
                    _refuse(answer, entry.name, error)
                    continue
                await self._instance(tenant, entry.name, spool, answer)
        if not answer.stored and not answer.problems:
            raise InvalidInput("the archive holds no file", reason="EMPTY_ARCHIVE")

    async def _slide(
        self, header: pb.ContentHeader, packed: Spool, answer: pb.StoreInstancesResponse
    ) -> None:
        """Keep each level of a TIFF or SVS file as a DICOM instance."""
        try:
            instances = await asyncio.to_thread(
                slides.instances, packed.reader(), packed.sha256, header.study_instance_uid
            )
        except UnusableInstance as error:
            _refuse(answer, header.label, error)
            return
        for pieces in instances:
            with self._spool(self._settings.instance_bytes_max) as spool:
                try:
                    await asyncio.to_thread(_fill, pieces, spool)
                except (UnusableInstance, TooLarge) as error:
                    _refuse(answer, header.label, error)
                    return
                await self._instance(header.tenant, header.label, spool, answer)

    async def _instance(
        self, tenant: str, label: str, spool: Spool, answer: pb.StoreInstancesResponse
    ) -> None:
        try:
            header = await asyncio.to_thread(dicom.read, spool.reader(), spool.size)
            whole = spool.in_memory()
            content = spool if whole is None else whole
            kept = await self._intake.keep(tenant, Arrived(header, spool.sha256, content))
            kept.source = _plain(label)
            answer.stored.append(kept)
        except (UnusableInstance, OtherContent) as error:
            _refuse(answer, label, error)

    def _spool(self, limit: int) -> Spool:
        error = TooLarge(f"the file is over {limit} bytes", reason="INSTANCE_TOO_LARGE")
        return Spool(self._settings.spool_dir, limit, error)


def arrived(content: bytes, limit: int) -> Arrived | MeshError:
    """Return a file in memory as it is kept, or why it is not."""
    if len(content) > limit:
        return TooLarge(f"the file is over {limit} bytes", reason="INSTANCE_TOO_LARGE")
    try:
        return Arrived(dicom.read_bytes(content), sha256(content).hexdigest(), content)
    except UnusableInstance as error:
        return error


def _fill(pieces: Iterable[bytes], spool: Spool) -> None:
    for piece in pieces:
        spool.write(piece)
    spool.finish()


def _refuse(
    answer: pb.StoreInstancesResponse | pb.StoreFilesResponse, source: str, error: MeshError
) -> None:
    problem = IntakeProblem(source=_plain(source), reason=error.reason, message=error.message)
    answer.problems.append(problem)


def _plain(source: str) -> str:
    """Return a file's name for an answer: its end, printable; thousands must fit one message."""
    name = source if len(source) <= SOURCE_CHARS_MAX else f"…{source[-SOURCE_CHARS_MAX + 1 :]}"
    return "".join(char if char.isprintable() else "\ufffd" for char in name)


async def _header(messages: AsyncIterator[Message], kinds: tuple[str, ...]) -> pb.ContentHeader:
    """Return the first message's header.

    Raises
    ------
    InvalidInput
        It is missing, names no tenant, or the content is of another kind.
    """
    first = await anext(messages, None)
    if first is None or first.WhichOneof("part") != "header":
        raise InvalidInput("the first message must be the header", reason="NO_HEADER")
    checked(first.header.tenant)
    if first.header.media_type not in kinds:
        raise InvalidInput(f"the content must be {' or '.join(kinds)}", reason="MEDIA_TYPE")
    return first.header


async def _whole(messages: AsyncIterator[Message], limit: int, error: TooLarge) -> bytes:
    """Return all chunks of a stream together; raises the error when they are over the limit."""
    content = bytearray()
    async for chunk in _chunks(messages):
        content += chunk
        if len(content) > limit:
            raise error
    return bytes(content)


async def _chunks(messages: AsyncIterator[Message]) -> AsyncIterator[bytes]:
    async for message in messages:
        if message.WhichOneof("part") != "chunk":
            raise InvalidInput("a second header", reason="SECOND_HEADER")
        yield message.chunk
