"""Writes the files of export jobs: one at a time in each process, resumed where it stopped.

A file is written whole, then it and the place it ends at are committed together, so a line is
never lost nor there twice. A file that a crash leaves behind has a name that nothing knows, and
goes with the key of its job; so does that of a process that was believed dead and was not.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from services.gateway.export.job import (
    DELETED,
    DONE,
    ERROR,
    FAILED,
    OUTPUT,
    File,
    Job,
    Progress,
)
from services.gateway.export.request import SYSTEM
from services.gateway.export.selection import Selection, damaged, deletion, deletions
from services.gateway.fhir import binary_rights, outcome
from services.gateway.fhir.binary_rights import BINARY
from services.gateway.fhir.search.compartments import members
from services.gateway.store import Store
from services.gateway.store.export import Place, Snapshot
from services.gateway.store.stored import Stored
from services.kernel import telemetry
from services.kernel.blobs import Blobs
from services.kernel.errors import KeyDestroyed, MeshError, is_passing

log = logging.getLogger(__name__)

FILE_BYTES = 8 << 20
"""A file ends with the line that reaches this: about what a download holds in memory."""
PAGE, BATCH_BYTES = 500, 4 << 20
"""Places looked up at once; bytes of content read at once."""
DELETIONS_PER_LINE = 100
LEASE_S, IDLE_S = 60.0, 2.0
SWEEP = 100


class Stopped(Exception):
    """The job was cancelled, or another process has it."""


class ExportWorker:
    """Runs jobs until it is cancelled."""

    def __init__(self, store: Store, blobs: Blobs, keep_s: float) -> None:
        self._store = store
        self.blobs = blobs
        self._keep_s = keep_s
        self.wanted = asyncio.Event()
        self._held = 0.0

    async def run(self) -> None:
        """Take jobs, the oldest first, and delete files whose time is over."""
        while True:
            self.wanted.clear()
            if not await self.once():
                try:
                    await asyncio.wait_for(self.wanted.wait(), IDLE_S)
                except TimeoutError:
                    continue

    async def once(self) -> bool:
        """Do the next thing there is to do; False: there was nothing."""
        await self.sweep()
        for job in await self._store.exports.unfinished(SWEEP):
            if not await self._store.leases.hold(_lease(job), LEASE_S):
                continue
            self._held = time.monotonic()
            # It may have got on between the look and the lease.
            try:
                await self._work(await self._store.exports.get(job.tenant, job.id))
            except (Stopped, KeyDestroyed):
                pass
            except Exception as error:  # noqa: BLE001 - one job must not stand in the others' way
                await self._failed(job, outcome.as_mesh_error(error))
            finally:
                await self._store.leases.release(_lease(job))
            return True
        return False

    async def sweep(self) -> None:
        """Delete cancelled and expired jobs: the key first, then the files, then the row."""
        for tenant, job_id in await self._store.exports.over(SWEEP):
            name = f"export/{job_id}"[:64]
            if not await self._store.leases.hold(name, LEASE_S):
                continue  # its worker has not noticed yet
            await self.blobs.destroy(tenant, f"export-{job_id}")
            await self._store.exports.forget(tenant, job_id)
            await self._store.leases.release(name)

    async def _failed(self, job: Job, error: MeshError) -> None:
        log.warning("an export stopped: %s", telemetry.frames(error))
        if is_passing(error):
            await asyncio.sleep(error.retry_after_s or IDLE_S)
            return  # it goes on from its last file
        telemetry.failure("gateway.export", error.reason)
        await self._store.exports.finish(job, FAILED, self._keep_s, error.reason)

    async def _work(self, job: Job) -> None:
        snapshot = Snapshot(self._store.database, job.tenant, job.seq)
        selection = Selection(job, job.url.split("/fhir/", 1)[0])
        progress = known = job.progress
        if not progress.begun:
            kinds = await self._kinds(job, snapshot, selection)
            progress = replace(progress, kinds=kinds, all_kinds=len(kinds), begun=True)
        while progress.kinds:
            following = await _Files(self, job, snapshot, selection, progress).next()
            if not await self._store.exports.save(job, known, following):
                raise Stopped
            progress = known = following
        await self._store.exports.finish(job, DONE, self._keep_s)

    async def _kinds(self, job: Job, snapshot: Snapshot, selection: Selection) -> tuple[str, ...]:
        kinds = list(job.asked.kinds) or await snapshot.kinds()
        if job.asked.level != SYSTEM:
            kinds = [kind for kind in kinds if kind in members("Patient")]
        return tuple(kind for kind in kinds if selection.may_hold(kind))

    async def put(self, job: Job, name: str, lines: AsyncIterator[bytes]) -> tuple[int, str]:
        """Write one file; return its size and hash."""
        ref = await self.blobs.put_stream(job.tenant, job.scope, name, lines)
        return ref.size, ref.sha256

    async def sees(self, job: Job, selection: Selection, found: Stored | Place) -> bool:
        """Tell whether who asked may see a Binary, which other resources say as well."""
        if isinstance(found, Place) or found.type != BINARY:
            return True
        return await binary_rights.sees(self._store, job.tenant, selection.visibility, found)

    async def still(self, job: Job) -> None:
        """Renew the lease when a quarter of it is over.

        Raises
        ------
        Stopped
            The job is not ours any more, or was cancelled.
        """
        if time.monotonic() - self._held > LEASE_S / 4:
            if not await self._store.leases.hold(_lease(job), LEASE_S):
                raise Stopped
            self._held = time.monotonic()
        try:
            await self._store.exports.get(job.tenant, job.id)
        except MeshError as error:
            raise Stopped from error


class _Files:
    """The next file of a job, with what was deleted or is damaged in its stretch."""

    def __init__(
        self,
        worker: ExportWorker,
        job: Job,
        snapshot: Snapshot,
        selection: Selection,
        progress: Progress,
    ) -> None:
        self._worker = worker
        self._job = job
        self._snapshot = snapshot
        self._selection = selection
        self._progress = progress
        self._kind = progress.kinds[0]
        self._place = progress.after_seq
        self._at_end = False
        self._count = 0
        self._deleted: list[dict[str, object]] = []
        self._damaged: list[bytes] = []

    async def next(self) -> Progress:
        """Write one file of the type the job is at; return how far that is."""
        number = f"{len(self._progress.files) + 1}-{secrets.token_hex(4)}"
        files = list(self._progress.files)
        lines = self._lines()
        first = await anext(lines, None)
        if first is not None:
            name = f"{self._kind}-{number}.ndjson"
            size, digest = await self._worker.put(self._job, name, _after(first, lines))
            files.append(File(name, self._kind, OUTPUT, self._count, size, digest))
        groups = [
            deletions(self._deleted[start : start + DELETIONS_PER_LINE])
            for start in range(0, len(self._deleted), DELETIONS_PER_LINE)
        ]
        for role, kind, written in (
            (DELETED, "Bundle", groups),
            (ERROR, "OperationOutcome", self._damaged),
        ):
            if written:
                name = f"{role}-{self._kind}-{number}.ndjson"
                size, digest = await self._worker.put(self._job, name, _listed(written))
                files.append(File(name, kind, role, len(written), size, digest))
        kinds = self._progress.kinds[1:] if self._at_end else self._progress.kinds
        return replace(
            self._progress,
            kinds=kinds,
            after_seq=0 if self._at_end else self._place,
            files=tuple(files),
        )

    async def _lines(self) -> AsyncIterator[bytes]:
        """Yield lines until the file is full or the type has ended."""
        size, asked = 0, self._job.asked
        while True:
            places = await self._snapshot.places(
                self._kind, self._place, asked.since_us, asked.until_us, PAGE
            )
            for batch in _batches(places):
                await self._worker.still(self._job)
                for line in await self._batch(batch):
                    size += len(line)
                    self._count += 1
                    yield line
                self._place = batch[-1].seq
                if size >= FILE_BYTES or len(self._deleted) >= PAGE:
                    return
            if len(places) < PAGE:
                self._at_end = True
                return

    async def _batch(self, places: list[Place]) -> list[bytes]:
        there = [place for place in places if not place.deleted]
        found = await self._snapshot.read(self._kind, there)
        found = [
            each for each in found if await self._worker.sees(self._job, self._selection, each)
        ]
        lines = await asyncio.to_thread(self._chosen, found)
        if self._job.asked.since_us:
            for place in places:
                if place.deleted and await self._was_held(place):
                    self._deleted.append(deletion(self._kind, place.id))
        return lines

    def _chosen(self, found: list[Stored | Place]) -> list[bytes]:
        lines: list[bytes] = []
        for each in found:
            if isinstance(each, Place):
                self._damaged.append(damaged(self._kind, each.id))
            elif line := self._selection.line(self._kind, each.content, seen=self._kind == BINARY):
                lines.append(line)
        return lines

    async def _was_held(self, place: Place) -> bool:
        """Tell whether a deleted resource would have been in the export before."""
        before = await self._snapshot.before(self._kind, place)
        if before is None or not await self._worker.sees(self._job, self._selection, before):
            return False
        seen = self._kind == BINARY
        return self._selection.line(self._kind, before.content, seen=seen) is not None


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in rest:
        yield line


async def _listed(lines: list[bytes]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line


def _batches(places: list[Place]) -> list[list[Place]]:
    """Return places in stretches whose content is read at once."""
    found: list[list[Place]] = []
    size = BATCH_BYTES
    for place in places:
        if size + place.size > BATCH_BYTES:
            found.append([])
            size = 0
        found[-1].append(place)
        size += place.size
    return found


def _lease(job: Job) -> str:
    return f"export/{job.id}"[:64]
