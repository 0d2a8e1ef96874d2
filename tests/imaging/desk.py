"""A worker with readers that do as they are told, over a bus and blobs in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_IMAGING, CaseRef
from dxmesh.event.v1.finding_ready_pb2 import FindingReady
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.reading import Ask, Context, Lesion, Reader, Reading, Writer
from services.imaging.room import ReadingRoom
from services.imaging.routing import rules
from services.imaging.series.refusals import SeriesRefused
from services.imaging.series.volume import Volume
from services.imaging.store import ImagingStore
from services.imaging.triton import Models
from services.imaging.worker import ImagingWorker
from services.kernel import inference, subjects
from services.kernel.blobs import Blobs
from services.kernel.errors import Unavailable
from services.kernel.testing import MemoryBus

Work = Callable[[Volume, Context, Ask], Reading]

ANY = """
[rules.one]
reader = "nodules"
[rules.two]
reader = "haemorrhage"
"""
"""Two readings that take whatever there is."""


class Keeps(inference.OnnxInference):
    """Runs the models and keeps what they were given."""

    def __init__(self, models: Path) -> None:
        super().__init__(models)
        self.given: list[np.ndarray[Any, Any]] = []

    async def infer(self, model: str, inputs: inference.Tensors) -> dict[str, Any]:
        self.given += inputs.values()
        return await super().infer(model, inputs)


class Away(inference.OnnxInference):
    """An inference server that does not answer."""

    async def infer(self, model: str, inputs: inference.Tensors) -> dict[str, Any]:
        raise Unavailable("the inference server does not answer for a model")


class Reads:
    """A reader that does as it is told."""

    def __init__(
        self,
        work: Work,
        name: str = "nodules",
        function: pb.Function.ValueType = pb.FUNCTION_NODULES,
        models: tuple[str, ...] = (),
    ) -> None:
        self.name, self.function, self.models, self._work = name, function, models, work

    def read(self, source: Volume, context: Context, ask: Ask) -> Reading:
        return self._work(source, context, ask)


def second(work: Work) -> Reads:
    """Return a reader beside the first."""
    return Reads(work, "haemorrhage", pb.FUNCTION_HAEMORRHAGE)


def finds(
    slice_index: int = 3,
    probability: float = 0.9,
    *,
    urgent: bool = False,
    kind: str = "nodule",
    mask: bool = True,
) -> Work:
    """Return work that finds one lesion on a slice."""

    def work(source: Volume, context: Context, ask: Ask) -> Reading:
        center = source.to_patient(np.array((slice_index, 4.0, 4.0)))
        finding = pb.Finding(kind=kind, probability=probability, urgent=urgent)
        finding.place.sop_instance_uid = source.sop_uids[slice_index]
        finding.place.slice_index = slice_index
        finding.place.center.x, finding.place.center.y, finding.place.center.z = center
        crop = np.ones((1, 2, 2), bool) if mask else None
        return Reading(pb.Answer(), [Lesion(finding, crop, (slice_index, 4, 4))])

    return work


def refuses(source: Volume, context: Context, ask: Ask) -> Reading:
    raise SeriesRefused("not this one", slices=len(source.hu))


def breaks(source: Volume, context: Context, ask: Ask) -> Reading:
    raise ZeroDivisionError("what a patient's file held")


@dataclass
class Desk:
    """A worker with what it works on."""

    worker: ImagingWorker
    room: ReadingRoom
    bus: MemoryBus
    blobs: Blobs
    store: ImagingStore
    models: Models

    async def send(self, part: PartReady, times: int = 1) -> list[FindingReady]:
        """Return everything announced after a part came `times` times."""
        await self.worker.start(concurrency=1)
        for number in range(times):
            await self.bus.publish(subjects.PART_IMAGING, part, message_id=f"part-{number}")
        return self.bus.published(subjects.FINDING_IMAGING)

    async def found(self, ready: FindingReady) -> pb.ImagingFindings:
        """Return the findings that an event names."""
        return pb.ImagingFindings.FromString(await self.blobs.get("demo", ready.findings))


def desk(
    *readers: Reader[Any],
    blobs: Blobs,
    scratch: Path,
    repository: Path,
    table: str = ANY,
    tenant: str = "",
    serving: inference.Serving | None = None,
    write: Writer | None = None,
    stall_s: float = 60.0,
) -> Desk:
    """Return a desk with these readers and rules."""
    models = Models(serving or inference.OnnxInference(repository), repository)
    store = ImagingStore(blobs, scratch)
    books = {"": rules.read(table, tenant)}
    room = ReadingRoom(readers, books, models, store, time.monotonic, stall_s)
    bus = MemoryBus()
    return Desk(ImagingWorker(bus, store, room, write), room, bus, blobs, store, models)


async def part_of(
    blobs: Blobs, *archives: bytes, case_id: str = "case-1", pseudonym: str = "S1"
) -> PartReady:
    """Return a part of a case whose series lie in the blobs."""
    refs = [
        await blobs.put("demo", case_id, f"imaging-1/series-{number}.zip", content)
        for number, content in enumerate(archives, start=1)
    ]
    return PartReady(
        case=CaseRef(tenant="demo", case_id=case_id),
        part_id="imaging-1",
        kind=PART_KIND_IMAGING,
        blobs=refs,
        subject_pseudonym=pseudonym,
    )
