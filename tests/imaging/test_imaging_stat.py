"""A stat head CT overtakes: the queue, and a slide that is read for hours, over a real bus."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import ModuleType

import pytest
from dxmesh.event.v1.case_ref_pb2 import PRIORITY_ROUTINE, PRIORITY_STAT
from dxmesh.event.v1.finding_ready_pb2 import FindingReady
from dxmesh.event.v1.part_ready_pb2 import PartReady

from services.imaging.reading import Ask, Context, Reading
from services.imaging.series.volume import Volume
from services.kernel import subjects
from services.kernel.blobs import Blobs
from services.kernel.bus import Bus
from services.kernel.testing import memory_blobs
from tests.imaging.desk import Reads, desk, finds, part_of
from tests.servers.nats import NatsServer

pytestmark = [pytest.mark.flow, pytest.mark.requirement("DX-IMG-103")]


async def waiting(blobs: Blobs, archive: bytes, case_id: str, priority: int) -> PartReady:
    part = await part_of(blobs, archive, case_id=case_id)
    part.case.priority = priority  # type: ignore[assignment]
    return part


async def test_stat_part_is_read_while_a_long_routine_one_runs(
    nats_server: NatsServer, phantom: ModuleType, models: Path, tmp_path: Path
) -> None:
    release, begun = threading.Event(), threading.Event()

    def reads(source: Volume, context: Context, ask: Ask) -> Reading:
        if len(source.hu) == 12:  # the "slide"
            begun.set()
            release.wait(60)
        return finds()(source, context, ask)

    report = await Bus.connect("gateway", nats_server.settings("gateway"))  # makes the streams
    sender = await Bus.connect("anonymization", nats_server.settings("anonymization"))
    bus = await Bus.connect("imaging", nats_server.settings("imaging"))
    blobs, done, stat_done = memory_blobs(), [], asyncio.Event()

    async def finished(event: FindingReady) -> None:
        done.append(event.case.case_id)
        if event.case.priority == PRIORITY_STAT:
            stat_done.set()

    await report.consume(subjects.FINDING_IMAGING, finished)
    at = desk(Reads(reads), blobs=blobs, scratch=tmp_path, repository=models)
    at.worker._bus = bus
    long, short = (phantom.archive(phantom.blank(slices=count)) for count in (12, 14))
    for number in range(3):
        part = await waiting(blobs, long, f"slide-{number}", PRIORITY_ROUTINE)
        await sender.publish(subjects.PART_IMAGING, part, message_id=f"slide-{number}")
    await at.worker.start(concurrency=1, stat_lane=1)
    assert await asyncio.to_thread(begun.wait, 30)
    part = await waiting(blobs, short, "head", PRIORITY_STAT)
    await sender.publish(subjects.PART_IMAGING, part, message_id="head")
    await asyncio.wait_for(stat_done.wait(), 30)
    assert done == ["head"], "the routine part is still read"
    release.set()
    await asyncio.gather(*(each.drain() for each in (sender, bus, report)))
