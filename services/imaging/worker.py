"""Reads the imaging part of a case: `part.imaging` in, `finding.imaging` out."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
from dataclasses import dataclass, field

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_IMAGING
from dxmesh.event.v1.finding_ready_pb2 import (
    OUTCOME_COMPLETED,
    OUTCOME_DECLINED,
    OUTCOME_FAILED,
    FindingReady,
)
from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.imaging.v1.imaging_findings_pb2 import ImagingFindings
from google.protobuf.timestamp_pb2 import Timestamp

from services.imaging import findings, key_image
from services.imaging.findings import Seen
from services.imaging.nodules import find, score
from services.imaging.nodules.find import Nodule, Proposal
from services.imaging.series.assemble import Facts, assemble
from services.imaging.series.refusals import DamagedSeries, SeriesRefused
from services.imaging.series.volume import Volume
from services.kernel import subjects
from services.kernel.blobs import Blobs
from services.kernel.bus import EventBus
from services.kernel.errors import Damaged, InvalidInput, KeyDestroyed, MeshError, NotFound
from services.kernel.inference import Inference, ModelInfo

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Reading:
    """One part while it is read: what became of each series, what was seen, what the model ate."""

    series: list[Facts] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    tensor: hashlib._Hash = field(default_factory=hashlib.sha256)

    @property
    def first_refusal(self) -> MeshError | None:
        """Why nothing was read, or None when a series was."""
        refusals = [facts.refusal for facts in self.series]
        return None if None in refusals else refusals[0]


class ImagingWorker:
    """Reads parts; knows nothing of who they are about."""

    def __init__(
        self,
        bus: EventBus,
        blobs: Blobs,
        inference: Inference,
        model: ModelInfo,
        operating_point: float | None = None,
    ) -> None:
        self._bus = bus
        self._blobs = blobs
        self._inference = inference
        self._model = model
        stated = model.card["operating_point"]["probability"]
        self._operating_point = float(stated if operating_point is None else operating_point)

    async def start(self, concurrency: int) -> None:
        """Begin to take parts."""
        await self._bus.consume(
            subjects.PART_IMAGING, self.handle, concurrency=concurrency, on_dead=self.give_up
        )

    async def handle(self, part: PartReady) -> None:
        """Store a part's findings and announce them; a repeat changes nothing.

        Raises
        ------
        InvalidInput
            The part names no series.
        Unavailable
            The inference server or the blob store is away.
        """
        started = _now()
        if not part.blobs:
            raise InvalidInput(
                "an imaging part has at least one series", reason="NOT_AN_IMAGING_PART"
            )
        reading = Reading()
        try:
            for source in part.blobs:
                await self._read(part, source, reading)
            if error := reading.first_refusal:
                await self._decline(part, error, started)
                return
            ref = await self._store(part, reading)
        except KeyDestroyed:
            log.info("the case was stopped: its key is gone")
            return
        ready = self._ready(part, started)
        ready.outcome = OUTCOME_COMPLETED
        ready.findings.CopyFrom(ref)
        ready.models.append(self._use(reading))
        await self._publish(ready, "completed")

    async def give_up(self, part: PartReady, error: MeshError) -> None:
        """Tell the report that a part can never be read, and why."""
        ready = self._ready(part, _now())
        ready.outcome = OUTCOME_FAILED
        ready.refusal.CopyFrom(findings.refusal(error))
        await self._publish(ready, "failed")

    async def _read(self, part: PartReady, source: BlobRef, reading: Reading) -> None:
        """Read one series, or note why it is not read; the others go on."""
        facts = Facts()
        reading.series.append(facts)
        try:
            try:
                content = await self._blobs.get(part.case.tenant, source)
            except (Damaged, NotFound) as error:
                raise DamagedSeries("the stored series is gone or damaged") from error
            volume = await asyncio.to_thread(assemble, content, facts)
            del content
            proposal = await asyncio.to_thread(find.propose, volume)
        except SeriesRefused as error:
            facts.refusal = error
            return
        reading.tensor.update(proposal.crops.tobytes())
        found = await self._nodules(volume, proposal)
        reading.seen += [await asyncio.to_thread(_seen, volume, facts, one) for one in found]
        del volume, proposal
        gc.collect()  # a CT is large, and the next part must not find two

    async def _nodules(self, volume: Volume, proposal: Proposal) -> list[Nodule]:
        """Return the nodules of a volume; without a candidate the model is not asked."""
        if not proposal.candidates:
            return []
        outputs = await self._inference.infer(score.MODEL, {score.INPUT: proposal.crops})
        probabilities = score.probabilities(outputs[score.OUTPUT])
        return await asyncio.to_thread(
            find.accept, volume, proposal, probabilities, self._operating_point
        )

    async def _store(self, part: PartReady, reading: Reading) -> BlobRef:
        """Store the key images, then the findings that name them."""
        tenant, case_id = part.case.tenant, part.case.case_id
        seen = findings.merge(reading.seen)
        found: ImagingFindings = findings.compose(reading.series, seen, self._operating_point)
        pictures = {one.sop_uid: one.png for one in seen}
        for image in found.key_images:
            name = f"findings/{part.part_id}-{image.image_id}.png"
            content = pictures[image.sop_instance_uid]
            image.blob.CopyFrom(await self._blobs.put(tenant, case_id, name, content))
        name = f"findings/{part.part_id}"
        return await self._blobs.put(
            tenant, case_id, name, found.SerializeToString(deterministic=True)
        )

    async def _decline(self, part: PartReady, error: MeshError, started: Timestamp) -> None:
        """Say that no series of the part can be read, and why the first was not."""
        ready = self._ready(part, started)
        ready.outcome = OUTCOME_DECLINED
        ready.refusal.CopyFrom(findings.refusal(error))
        await self._publish(ready, "declined")

    def _ready(self, part: PartReady, started: Timestamp) -> FindingReady:
        return FindingReady(
            case=part.case,
            part_id=part.part_id,
            kind=PART_KIND_IMAGING,
            started_time=started,
            finished_time=_now(),
        )

    def _use(self, reading: Reading) -> ModelUse:
        return ModelUse(
            name=self._model.name,
            version=self._model.version,
            model_sha256=self._model.sha256,
            input_sha256=reading.tensor.hexdigest(),
            runtime=self._inference.runtime,
        )

    async def _publish(self, ready: FindingReady, ending: str) -> None:
        # The ending is in the id: a part retried after it was given up must not be dropped.
        message_id = f"{ready.case.case_id}/{ready.part_id}/{ending}"
        await self._bus.publish(subjects.FINDING_IMAGING, ready, message_id=message_id)


def _seen(volume: Volume, facts: Facts, nodule: Nodule) -> Seen:
    index = nodule.measures.slice_index
    plane = volume.hu[index]
    rows, columns = plane.shape
    return Seen(
        nodule, facts.series_uid, volume.sop_uids[index], key_image.png(plane), columns, rows
    )


def _now() -> Timestamp:
    time = Timestamp()
    time.GetCurrentTime()
    return time
