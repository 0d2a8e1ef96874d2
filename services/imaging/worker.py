"""Reads the imaging part of a case: `part.imaging` in, `finding.imaging` out.

Each series is spooled to disk, understood, routed, and read in a thread by every reader that
takes it. One reading's refusal or failure costs the others nothing; a server that is away
costs the whole part a delay, and long work goes on from its checkpoints.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from pathlib import Path

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_IMAGING
from dxmesh.event.v1.finding_ready_pb2 import (
    OUTCOME_COMPLETED,
    OUTCOME_DECLINED,
    OUTCOME_FAILED,
    FindingReady,
)
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.imaging.v1.imaging_findings_pb2 import ImagingFindings
from google.protobuf.timestamp_pb2 import Timestamp

from services.imaging import announcing, findings
from services.imaging.findings import Part
from services.imaging.reading import Writer
from services.imaging.room import ReadingRoom
from services.imaging.routing import decide, explain
from services.imaging.series import archive
from services.imaging.series.facts import Facts
from services.imaging.series.pixels import Decode, decode_here
from services.imaging.series.refusals import SeriesRefused
from services.imaging.series.understand import understand
from services.imaging.store import ImagingStore
from services.kernel import subjects, telemetry
from services.kernel.bus import EventBus
from services.kernel.errors import Forbidden, InvalidInput, KeyDestroyed, MeshError

log = logging.getLogger(__name__)


class ImagingWorker:
    """Reads parts; knows nothing of who they are about."""

    def __init__(
        self,
        bus: EventBus,
        store: ImagingStore,
        room: ReadingRoom,
        write: Writer | None = None,
        decode: Decode = decode_here,
    ) -> None:
        self._bus = bus
        self._store = store
        self._room = room
        self._write = write
        self._decode = decode

    async def start(self, concurrency: int, stat_lane: int = 0) -> None:
        """Begin to take parts; `stat_lane` more at once are stat, so that none waits for a slide.

        A stat part is taken first in any case, but a worker whose hands are full takes none.
        """
        await self._bus.consume(
            subjects.PART_IMAGING, self.handle, concurrency=concurrency, on_dead=self.give_up
        )
        if stat_lane:
            lane = subjects.PART_IMAGING_STAT
            await self._bus.consume(lane, self.handle, concurrency=stat_lane, on_dead=self.give_up)

    async def handle(self, event: PartReady) -> None:
        """Store a part's findings and announce them; a repeat changes nothing.

        Raises
        ------
        InvalidInput
            The part names no series.
        Unavailable
            The inference server or the blob store is away.
        """
        ready = self._ready(event)
        if not event.blobs:
            raise InvalidInput(
                "an imaging part has at least one series", reason="NOT_AN_IMAGING_PART"
            )
        try:
            async with self._store.folder() as folder:
                part = Part()
                for number, ref in enumerate(event.blobs, start=1):
                    await self._series(event, ref, folder / f"series-{number}", part)
                await self._finish(event, part, ready)
        except KeyDestroyed:
            log.info("the case was stopped: its key is gone")
            return
        await self._publish(ready)

    async def give_up(self, event: PartReady, error: MeshError) -> None:
        """Tell the report that a part can never be read, and why."""
        ready = self._ready(event)
        ready.outcome = OUTCOME_FAILED
        ready.refusal.CopyFrom(explain.refusal(error))
        await self._publish(ready)

    async def _series(self, event: PartReady, ref: BlobRef, folder: Path, part: Part) -> None:
        """Read one series, or note why it is not read; the others go on."""
        facts = Facts()
        part.series.append(facts)
        await asyncio.to_thread(folder.mkdir)
        try:
            zipped = folder / "archive.zip"
            await self._store.fetch(event.case.tenant, ref, zipped)
            files = await asyncio.to_thread(archive.spooled, zipped, folder)
            zipped.unlink()
            sources = await asyncio.to_thread(understand, files, facts, self._decode)
        except SeriesRefused as error:
            facts.refusal = error
            return
        choices: list[decide.Choice] = []
        while sources:
            source = sources.pop(0)
            choices += await self._room.read(event, facts, source, files, part)
            del source
            gc.collect()  # a CT is large, and the next series must not find two
        facts.refusal = facts.refusal or decide.nearest(choices)

    async def _finish(self, event: PartReady, part: Part, ready: FindingReady) -> None:
        """Store pictures, objects and findings, and put the outcome into `ready`.

        Raises
        ------
        Exception
            Nothing was read, and a reading failed: the bus tries the part again.
        """
        for failure in part.failures:
            log.error("a reading failed, the others went on: %s", telemetry.frames(failure))
            telemetry.failure("imaging.reading", type(failure).__name__)
        findings.finish(part, event.case.case_id, event.part_id)
        found, pictures = findings.compose(part)
        if part.taken:
            await self._tell(event, found)
        for image in found.key_images:
            name = f"findings/{event.part_id}-{image.image_id}.png"
            ref = await self._store.put(event.case, name, pictures[image.image_id])
            image.blob.CopyFrom(ref)
        if self._write and part.taken:
            await self._derive(event, part, found)
        await self._store.keep_decisions(event.case, event.part_id, found)
        if not part.taken:
            if part.failures:
                raise part.failures[0]
            ready.outcome = OUTCOME_DECLINED
            ready.refusal.CopyFrom(_first_refusal(part))
            return
        content = found.SerializeToString(deterministic=True)
        ref = await self._store.put(event.case, f"findings/{event.part_id}", content)
        acquired = {str(one.facts.acquired) for one in part.taken}
        await self._store.keep_for_later(
            event.case, event.part_id, event.subject_pseudonym, acquired, ref
        )
        await self._store.forget_work(event.case, event.part_id)
        ready.outcome = OUTCOME_COMPLETED
        ready.findings.CopyFrom(ref)
        ready.models.extend(part.uses())

    async def _tell(self, event: PartReady, found: ImagingFindings) -> None:
        """Say what must be seen at once, before pictures and objects of it are made.

        A bus that refuses it must not cost the report its findings: they say it too, later.
        """
        kept = announcing.urgent(found)
        content = kept.SerializeToString(deterministic=True)
        ref = await self._store.put(event.case, f"critical/{event.part_id}", content)
        told = announcing.event(event, kept, ref, _now())
        try:
            message_id = announcing.message_id(told)
            await self._bus.publish(subjects.FINDING_CRITICAL, told, message_id=message_id)
        except Forbidden as error:
            log.error("urgent findings cannot be told ahead of the report: %s", error.reason)
            telemetry.failure("imaging.critical", error.reason)

    async def _derive(self, event: PartReady, part: Part, found: ImagingFindings) -> None:
        """Store the DICOM objects made of the findings; an error costs the objects alone."""
        try:
            made = iter(self._write(part.taken, _lost) if self._write else ())
            while (one := await asyncio.to_thread(next, made, None)) is not None:
                derived = findings.derived(one)
                name = f"dicom/{event.part_id}-{one.sop_instance_uid}.dcm"
                derived.blob.CopyFrom(await self._store.put(event.case, name, one.content))
                found.derived.append(derived)
        except MeshError as error:
            if error.retry_after_s is not None or isinstance(error, KeyDestroyed):
                raise
            _lost("", error)
        except Exception as error:  # noqa: BLE001 - findings matter more than their objects
            _lost("", error)

    def _ready(self, event: PartReady) -> FindingReady:
        ready = FindingReady(case=event.case, part_id=event.part_id, kind=PART_KIND_IMAGING)
        ready.started_time.GetCurrentTime()
        return ready

    async def _publish(self, ready: FindingReady) -> None:
        # The ending is in the id: a part retried after it was given up must not be dropped.
        ending = {OUTCOME_COMPLETED: "completed", OUTCOME_DECLINED: "declined"}
        message_id = f"{ready.case.case_id}/{ready.part_id}/{ending.get(ready.outcome, 'failed')}"
        ready.finished_time.CopyFrom(_now())
        await self._bus.publish(subjects.FINDING_IMAGING, ready, message_id=message_id)


def _lost(modality: str, error: Exception) -> None:
    """Say that DICOM objects are missing; the findings go out without them."""
    log.error("%s objects are not made: %s", modality or "DICOM", telemetry.frames(error))
    telemetry.failure(f"imaging.dicom.{modality}", type(error).__name__)


def _first_refusal(part: Part) -> Refusal:
    """Return why nothing was read: what the first series says."""
    refusals = [facts.refusal for facts in part.series if facts.refusal is not None]
    return explain.refusal(refusals[0]) if refusals else Refusal(reason="NOTHING_TO_READ")


def _now() -> Timestamp:
    time = Timestamp()
    time.GetCurrentTime()
    return time
