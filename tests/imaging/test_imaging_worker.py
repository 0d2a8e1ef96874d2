"""The imaging worker and service over a bus and blobs in memory, with the model in process."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_IMAGING, CaseRef
from dxmesh.event.v1.finding_ready_pb2 import (
    OUTCOME_COMPLETED,
    OUTCOME_DECLINED,
    OUTCOME_FAILED,
    FindingReady,
)
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from dxmesh.imaging.v1 import imaging_service_pb2 as service_pb
from PIL import Image

from services.imaging.nodules.score import MODEL
from services.imaging.service import ImagingService
from services.imaging.worker import ImagingWorker
from services.kernel import inference, subjects
from services.kernel.blobs import Blobs
from services.kernel.errors import Unavailable
from services.kernel.testing import MemoryBus, memory_blobs

DONE = pytest.mark.requirement("DX-IMG-07")


class Keeps:
    """Runs the model and keeps what it was given."""

    runtime = "onnxruntime"

    def __init__(self, models: Path) -> None:
        self._inner = inference.OnnxInference(models)
        self.given: list[np.ndarray[Any, Any]] = []

    async def infer(self, model: str, inputs: inference.Tensors) -> dict[str, Any]:
        self.given.append(inputs["crops"])
        return await self._inner.infer(model, inputs)

    async def ready(self, model: str) -> bool:
        return True


class Away:
    """An inference server that does not answer."""

    runtime = "triton"

    async def infer(self, model: str, inputs: inference.Tensors) -> dict[str, Any]:
        raise Unavailable("the inference server does not answer for a model")

    async def ready(self, model: str) -> bool:
        return False


@pytest.fixture(scope="module")
def chest_archive(phantom: ModuleType) -> bytes:
    sphere = phantom.Sphere((62.0, 8.0, 50.0), 6.0)
    return bytes(phantom.archive(phantom.datasets(phantom.Chest(spheres=[sphere]))))


@pytest.fixture
def model(models: Path) -> inference.ModelInfo:
    return inference.read_model(models, MODEL)


async def part_of(blobs: Blobs, *archives: bytes, case_id: str = "case-1") -> PartReady:
    refs = [
        await blobs.put("demo", case_id, f"imaging-1/series-{number}.zip", content)
        for number, content in enumerate(archives, start=1)
    ]
    case = CaseRef(tenant="demo", case_id=case_id)
    return PartReady(case=case, part_id="imaging-1", kind=PART_KIND_IMAGING, blobs=refs)


async def send(
    worker: ImagingWorker, bus: MemoryBus, part: PartReady, times: int = 1
) -> list[FindingReady]:
    await worker.start(concurrency=1)
    for number in range(times):
        await bus.publish(subjects.PART_IMAGING, part, message_id=f"part-{number}")
    return bus.published(subjects.FINDING_IMAGING)


async def found_in(blobs: Blobs, ready: FindingReady) -> pb.ImagingFindings:
    return pb.ImagingFindings.FromString(await blobs.get("demo", ready.findings))


@DONE
async def test_part_becomes_findings_and_a_key_image(
    chest_archive: bytes, models: Path, model: inference.ModelInfo
) -> None:
    bus, blobs, scorer = MemoryBus(), memory_blobs(), Keeps(models)
    part = await part_of(blobs, chest_archive)
    (ready,) = await send(ImagingWorker(bus, blobs, scorer, model, 0.05), bus, part)
    assert (ready.outcome, ready.part_id, ready.case) == (OUTCOME_COMPLETED, "imaging-1", part.case)
    found = await found_in(blobs, ready)
    (series,) = found.series
    assert (series.read, series.slices, series.modality) == (True, 40, "CT")
    assert found.looked_for == ["427359005"]
    nodule = found.nodules[0]
    assert (nodule.finding_id, nodule.laterality) == ("nodule-1", pb.LATERALITY_LEFT)
    assert (nodule.center.x, nodule.center.y, nodule.center.z) == pytest.approx((62, 8, 50), abs=1)
    assert nodule.sop_instance_uid == "2.25.9020"
    assert nodule.series_instance_uid == "2.25.200"
    (image,) = [each for each in found.key_images if "nodule-1" in each.finding_ids]
    picture = await blobs.get("demo", image.blob)
    assert picture.startswith(b"\x89PNG")
    assert (image.width_px, image.height_px) == (300, 230)
    assert image.blob.scope == "case-1"


@DONE
async def test_model_use_names_file_and_input(
    chest_archive: bytes, models: Path, model: inference.ModelInfo
) -> None:
    bus, blobs, scorer = MemoryBus(), memory_blobs(), Keeps(models)
    worker = ImagingWorker(bus, blobs, scorer, model)
    (ready,) = await send(worker, bus, await part_of(blobs, chest_archive))
    (use,) = ready.models
    onnx = (models / MODEL / "1" / "model.onnx").read_bytes()
    assert (use.name, use.runtime) == (MODEL, "onnxruntime")
    assert use.model_sha256 == hashlib.sha256(onnx).hexdigest() == model.card["sha256"]
    assert use.input_sha256 == hashlib.sha256(scorer.given[0].tobytes()).hexdigest()


@DONE
async def test_series_that_cannot_be_read_does_not_stop_the_others(
    chest_archive: bytes, phantom: ModuleType, models: Path, model: inference.ModelInfo
) -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    gap = phantom.archive([*phantom.blank()[:5], *phantom.blank()[7:]])
    part = await part_of(blobs, b"corrupt", gap, chest_archive)
    (ready,) = await send(ImagingWorker(bus, blobs, Keeps(models), model), bus, part)
    assert ready.outcome == OUTCOME_COMPLETED
    found = await found_in(blobs, ready)
    assert [(each.read, each.refusal.reason) for each in found.series] == [
        (False, "DAMAGED_SERIES"),
        (False, "MISSING_SLICES"),
        (True, ""),
    ]
    assert found.series[1].refusal.facts["missing"] == "2"


@DONE
async def test_part_without_a_readable_series_is_declined(
    phantom: ModuleType, models: Path, model: inference.ModelInfo
) -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    part = await part_of(blobs, phantom.archive(phantom.blank()))
    (ready,) = await send(ImagingWorker(bus, blobs, Keeps(models), model), bus, part)
    assert (ready.outcome, ready.refusal.reason) == (OUTCOME_DECLINED, "NOT_A_CHEST_CT")
    assert not ready.HasField("findings")
    assert not ready.models
    assert not bus.dead


@DONE
async def test_part_without_series_is_failed_and_laid_aside(
    models: Path, model: inference.ModelInfo
) -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    worker = ImagingWorker(bus, blobs, Keeps(models), model)
    (ready,) = await send(worker, bus, await part_of(blobs))
    assert (ready.outcome, ready.refusal.reason) == (OUTCOME_FAILED, "NOT_AN_IMAGING_PART")
    assert len(bus.dead) == 1


@pytest.mark.requirement("DX-IMG-08")
async def test_part_delivered_twice_is_announced_once(
    phantom: ModuleType, models: Path, model: inference.ModelInfo
) -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    part = await part_of(blobs, phantom.archive(phantom.blank()))
    worker = ImagingWorker(bus, blobs, Keeps(models), model)
    assert len(await send(worker, bus, part, times=2)) == 1


@pytest.mark.requirement("DX-IMG-08")
async def test_server_that_is_away_is_tried_again(
    chest_archive: bytes, model: inference.ModelInfo
) -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    worker = ImagingWorker(bus, blobs, Away(), model)
    with pytest.raises(Unavailable) as caught:
        await worker.handle(await part_of(blobs, chest_archive))
    assert caught.value.retry_after_s
    assert not bus.published(subjects.FINDING_IMAGING)


@pytest.mark.requirement("DX-CON-08")
async def test_case_whose_key_is_gone_is_not_read(models: Path, model: inference.ModelInfo) -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    part = await part_of(blobs, b"anything")
    await blobs.destroy("demo", "case-1")
    assert not await send(ImagingWorker(bus, blobs, Keeps(models), model), bus, part)
    assert not bus.dead


@pytest.mark.requirement("DX-IMG-08")
async def test_event_loop_stays_alive_while_a_series_is_read(
    chest_archive: bytes, models: Path, model: inference.ModelInfo
) -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    worker = ImagingWorker(bus, blobs, Keeps(models), model)
    part = await part_of(blobs, chest_archive)
    longest, loop = 0.0, asyncio.get_running_loop()

    async def beat() -> None:
        nonlocal longest
        while True:
            began = loop.time()
            await asyncio.sleep(0.05)
            longest = max(longest, loop.time() - began)

    beating = asyncio.create_task(beat())
    await worker.handle(part)
    beating.cancel()
    assert longest < 5.0  # a heartbeat is due every few seconds; the machine may be busy


@DONE
async def test_same_nodule_in_two_reconstructions_is_reported_once(
    chest_archive: bytes, phantom: ModuleType, models: Path, model: inference.ModelInfo
) -> None:
    again = phantom.datasets(
        dataclasses.replace(
            phantom.Chest(spheres=[phantom.Sphere((62.0, 8.0, 50.0), 6.0)]), seed=9, _cache={}
        )
    )
    for one in again:
        one.SeriesInstanceUID = "2.25.201"
    bus, blobs = MemoryBus(), memory_blobs()
    part = await part_of(blobs, chest_archive, phantom.archive(again))
    worker = ImagingWorker(bus, blobs, Keeps(models), model, 0.05)
    (ready,) = await send(worker, bus, part)
    found = await found_in(blobs, ready)
    assert [each.read for each in found.series] == [True, True]
    close = [each for each in found.nodules if abs(each.center.x - 62) < 3]
    assert len(close) == 1
    assert len(ready.models) == 1


@pytest.mark.requirement("DX-IMG-09")
async def test_models_are_listed_with_their_cards(models: Path, model: inference.ModelInfo) -> None:
    service = ImagingService(inference.OnnxInference(models), [model])
    (listed,) = (await service.ListModels(service_pb.ListModelsRequest(), None)).models
    assert (listed.name, listed.version, listed.ready) == (MODEL, model.version, True)
    card = json.loads(listed.card_json)
    assert card["sha256"] == model.sha256
    assert "not a medical device" in card["intended_use"]


def test_key_image_holds_the_slice_and_no_drawing() -> None:
    import io

    from services.imaging import key_image

    plane = np.array([[-1350, -600, 150, 3000]], np.int16)
    picture = np.asarray(Image.open(io.BytesIO(key_image.png(plane))))
    assert picture.tolist() == [[0, 128, 255, 255]]
