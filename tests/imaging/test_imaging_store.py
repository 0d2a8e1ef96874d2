"""What imaging keeps: series on disk, half-done work that another process goes on with, priors."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.finding_ready_pb2 import OUTCOME_COMPLETED
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from dxmesh.imaging.v1 import imaging_service_pb2 as service_pb

from services.imaging.reading import Ask, Context, Reading
from services.imaging.series.refusals import DamagedSeries
from services.imaging.series.volume import Volume
from services.imaging.service import ImagingService
from services.imaging.store import PREFIX, ImagingStore
from services.kernel.blobs import Blobs
from services.kernel.errors import NotFound
from services.kernel.testing import memory_blobs
from tests.imaging.desk import Desk, Reads, desk, finds, part_of, refuses, second

RESUMED = pytest.mark.requirement("DX-IMG-98")
PRIOR = pytest.mark.requirement("DX-IMG-102")


@pytest.fixture
def blobs() -> Blobs:
    return memory_blobs()


@pytest.fixture
def make(blobs: Blobs, tmp_path: Path, models: Path) -> Callable[..., Desk]:
    return partial(desk, blobs=blobs, scratch=tmp_path, repository=models)


def study(phantom: ModuleType, day: str, series: str = "2.25.200") -> bytes:
    made = phantom.blank()
    for one in made:
        one.StudyDate = one.AcquisitionDate = day
        one.SeriesInstanceUID = series
    return bytes(phantom.archive(made))


class Killed(BaseException):
    """The process ends here."""


@RESUMED
async def test_long_work_goes_on_from_its_checkpoint_after_a_kill(
    make: Callable[..., Desk], blobs: Blobs, phantom: ModuleType
) -> None:
    tiles: list[int] = []

    def long(source: Volume, context: Context, ask: Ask) -> Reading:
        assert context.checkpoint is not None
        done = int(context.checkpoint.load("tiles") or b"0")
        for tile in range(done, 10):
            tiles.append(tile)
            context.checkpoint.save("tiles", str(tile + 1).encode())
            if tile == 6 and len(tiles) == 7:
                raise Killed
        return finds()(source, context, ask)

    part = await part_of(blobs, phantom.archive(phantom.blank()))
    with pytest.raises(Killed):
        await make(Reads(long)).worker.handle(part)
    (ready,) = await make(Reads(long)).send(part)
    assert ready.outcome == OUTCOME_COMPLETED
    assert tiles == list(range(10))
    assert not [name for name in await blobs.names("demo", "case-1") if name.startswith("work/")]


@RESUMED
async def test_half_done_work_of_another_model_or_reader_is_not_found(
    blobs: Blobs, tmp_path: Path
) -> None:
    part = await part_of(blobs)
    store = ImagingStore(blobs, tmp_path)
    one = store.checkpoint(part.case, "imaging-1", "pathology", "2.25.1", "sha-of-the-model")
    await asyncio.to_thread(one.save, "tiles", b"half")
    assert await asyncio.to_thread(one.load, "tiles") == b"half"
    assert await asyncio.to_thread(one.load, "other") is None
    for key in (("pathology", "2.25.1", "another"), ("nodules", "2.25.1", "sha-of-the-model")):
        other = store.checkpoint(part.case, "imaging-1", *key)
        assert await asyncio.to_thread(other.load, "tiles") is None


async def test_series_is_spooled_whole_or_not_at_all(blobs: Blobs, tmp_path: Path) -> None:
    store = ImagingStore(blobs, tmp_path)
    content = os.urandom(3 << 20)
    ref = await blobs.put("demo", "case-1", "big", content)
    await store.fetch("demo", ref, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content
    wrong = BlobRef(scope="case-1", name="big", sha256="0" * 64)
    for bad in (wrong, BlobRef(scope="case-1", name="gone")):
        with pytest.raises(DamagedSeries):
            await store.fetch("demo", bad, tmp_path / "out")


@pytest.mark.requirement("DX-IMG-98")
async def test_series_of_any_size_takes_little_memory_on_its_way_to_the_disk(
    blobs: Blobs, tmp_path: Path
) -> None:
    store = ImagingStore(blobs, tmp_path)
    ref = await blobs.put("demo", "case-1", "big", bytes(96 << 20))
    tracemalloc.start()
    await store.fetch("demo", ref, tmp_path / "out")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 << 20


async def test_what_a_dead_process_left_on_disk_is_removed(blobs: Blobs, tmp_path: Path) -> None:
    for owner in ("999999999", str(os.getpid()), str(os.getppid())):
        (tmp_path / f"{PREFIX}{owner}-x").mkdir()
    ImagingStore(blobs, tmp_path).sweep()
    assert [path.name for path in tmp_path.iterdir()] == [f"{PREFIX}{os.getppid()}-x"]  # noqa: ASYNC240


def compares(seen: list[tuple[float | None, list[str]]]) -> Reads:
    """Return a reader that keeps what it is told of an earlier study."""

    def work(source: Volume, context: Context, ask: Ask) -> Reading:
        seen.append((context.prior_days, [one.finding_id for one in context.prior]))
        reading = finds()(source, context, ask)
        reading.answer.function = pb.FUNCTION_NODULES
        reading.lesions[0].finding.function = pb.FUNCTION_NODULES
        return reading

    return Reads(work)


@PRIOR
async def test_earlier_study_of_the_same_pseudonym_is_found(
    make: Callable[..., Desk], blobs: Blobs, phantom: ModuleType
) -> None:
    seen: list[tuple[float | None, list[str]]] = []
    days = ("20240101", "20240401", "20240201")
    for number, day in enumerate(days):
        part = await part_of(blobs, study(phantom, day), case_id=f"case-{number}")
        await make(compares(seen)).send(part)
    assert seen == [(None, []), (91.0, ["nodule-1"]), (31.0, ["nodule-1"])]
    another = await part_of(blobs, study(phantom, "20240501"), case_id="x", pseudonym="S2")
    await make(compares(seen)).send(another)
    assert seen[-1] == (None, [])


@PRIOR
async def test_study_that_another_reading_read_is_no_prior(
    make: Callable[..., Desk], blobs: Blobs, phantom: ModuleType
) -> None:
    seen: list[tuple[float | None, list[str]]] = []
    first = await part_of(blobs, study(phantom, "20240101"), case_id="case-0")
    await make(second(finds(kind="haemorrhage"))).send(first)
    later = await part_of(blobs, study(phantom, "20240301"), case_id="case-1")
    await make(compares(seen)).send(later)
    assert seen == [(None, [])]


@PRIOR
@pytest.mark.requirement("DX-CON-08")
async def test_prior_is_gone_with_the_key_of_its_case(
    make: Callable[..., Desk], blobs: Blobs, phantom: ModuleType
) -> None:
    seen: list[tuple[float | None, list[str]]] = []
    for number, day in enumerate(("20240101", "20240201")):
        part = await part_of(blobs, study(phantom, day), case_id=f"case-{number}")
        await make(compares(seen)).send(part)
    await blobs.destroy("demo", "case-1")
    third = await part_of(blobs, study(phantom, "20240301"), case_id="case-2")
    await make(compares(seen)).send(third)
    assert seen[-1] == (60.0, ["nodule-1"])
    await blobs.destroy("demo", "case-0")
    fourth = await part_of(blobs, study(phantom, "20240401"), case_id="case-3")
    await make(compares(seen)).send(fourth)
    assert seen[-1][0] == 31.0
    index = await blobs.names("demo", "subject-S1")
    assert sorted(name.split(".")[1] for name in index) == ["case-0", "case-2", "case-3"]


@pytest.mark.requirement("DX-IMG-99")
async def test_decisions_of_a_case_are_told_also_when_nothing_was_read(
    make: Callable[..., Desk], blobs: Blobs, phantom: ModuleType
) -> None:
    at = make(Reads(refuses))
    service = ImagingService(at.models, (), at.store)
    request = service_pb.ExplainCaseRequest(tenant="demo", case_id="case-1")
    part = await part_of(blobs, study(phantom, "20240101"), b"corrupt")
    with pytest.raises(NotFound):
        await service.ExplainCase(request, None)
    await at.send(part)
    (told,) = (await service.ExplainCase(request, None)).parts
    assert told.part_id == "imaging-1"
    assert [(one.rule, one.read, one.refusal.reason) for one in told.decisions] == [
        ("one", False, "SERIES_REFUSED")
    ]
    assert [one.refusal.reason for one in told.series] == ["SERIES_REFUSED", "DAMAGED_SERIES"]
    await blobs.destroy("demo", "case-1")
    with pytest.raises(NotFound):
        await service.ExplainCase(request, None)
