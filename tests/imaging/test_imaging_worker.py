"""The imaging worker: parts in, findings out, whatever the readers do in between."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from dxmesh.event.v1.finding_ready_pb2 import (
    OUTCOME_COMPLETED,
    OUTCOME_DECLINED,
    OUTCOME_FAILED,
)
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from PIL import Image

from services.imaging import key_image, room
from services.imaging.nodules.reader import NoduleReader
from services.imaging.reading import (
    Ask,
    Context,
    DicomObject,
    ModelMissing,
    Picture,
    Reading,
    ReadSource,
)
from services.imaging.routing import explain
from services.imaging.series.volume import Volume
from services.kernel import inference, subjects
from services.kernel.blobs import Blobs
from services.kernel.errors import Unavailable
from services.kernel.testing import memory_blobs
from tests.imaging.desk import (
    Away,
    Desk,
    Keeps,
    Reads,
    breaks,
    desk,
    finds,
    part_of,
    refuses,
    second,
)

DONE = pytest.mark.requirement("DX-IMG-07")
APART = pytest.mark.requirement("DX-IMG-95")
LOW = "[rules.nodules-chest-ct.options]\noperating_point = 0.05\n"


@pytest.fixture
def blobs() -> Blobs:
    return memory_blobs()


@pytest.fixture
def make(blobs: Blobs, tmp_path: Path, models: Path) -> Callable[..., Desk]:
    return partial(desk, blobs=blobs, scratch=tmp_path, repository=models)


@pytest.fixture
def chest(make: Callable[..., Desk]) -> Callable[..., Desk]:
    """Return a desk as it is wired, with a low operating point."""
    return partial(make, NoduleReader(), table=explain.default_table(), tenant=LOW)


@pytest.fixture(scope="module")
def chest_archive(phantom: ModuleType) -> bytes:
    sphere = phantom.Sphere((62.0, 8.0, 50.0), 6.0)
    return bytes(phantom.archive(phantom.datasets(phantom.Chest(spheres=[sphere]))))


@pytest.fixture(scope="module")
def blank(phantom: ModuleType) -> bytes:
    return bytes(phantom.archive(phantom.blank()))


@DONE
async def test_part_becomes_findings_and_a_key_image(
    chest: Callable[..., Desk], blobs: Blobs, chest_archive: bytes
) -> None:
    at, part = chest(), await part_of(blobs, chest_archive)
    (ready,) = await at.send(part)
    assert (ready.outcome, ready.part_id, ready.case) == (OUTCOME_COMPLETED, "imaging-1", part.case)
    found = await at.found(ready)
    (series,) = found.series
    assert (series.read, series.slices, series.modality) == (True, 40, "CT")
    (answer,) = found.answers
    assert (answer.function, answer.operating_point) == (pb.FUNCTION_NODULES, 0.05)
    assert answer.series_instance_uid == "2.25.200"
    finding = found.findings[0]
    assert (finding.finding_id, finding.laterality) == ("nodule-1", pb.LATERALITY_LEFT)
    center = finding.place.center
    assert (center.x, center.y, center.z) == pytest.approx((62, 8, 50), abs=1)
    assert finding.place.sop_instance_uid == "2.25.9020"
    assert finding.place.series_instance_uid == "2.25.200"
    assert finding.tracking_uid.startswith("2.25.")
    (image,) = [each for each in found.key_images if "nodule-1" in each.finding_ids]
    assert (image.role, image.width_px, image.height_px) == ("slice", 300, 230)
    assert (image.window_center_hu, image.window_width_hu) == (-600, 1500)
    assert (await blobs.get("demo", image.blob)).startswith(b"\x89PNG")


@DONE
async def test_model_is_named_with_what_it_was_given(
    chest: Callable[..., Desk], blobs: Blobs, chest_archive: bytes, models: Path
) -> None:
    serving = Keeps(models)
    (ready,) = await chest(serving=serving).send(await part_of(blobs, chest_archive))
    use = ready.models[0]
    info = inference.read_model(models, use.name)
    assert (use.version, use.model_sha256, use.runtime) == (
        info.version,
        info.sha256,
        "onnxruntime",
    )
    digests = [hashlib.sha256(given.tobytes()).hexdigest() for given in serving.given]
    assert use.input_sha256 in digests


@DONE
async def test_series_that_cannot_be_read_does_not_stop_the_others(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes
) -> None:
    at = make(Reads(finds()))
    part = await part_of(blobs, b"corrupt", blank)
    part.blobs.add(scope="case-1", name="imaging-1/gone.zip", sha256="0" * 64)
    (ready,) = await at.send(part)
    assert ready.outcome == OUTCOME_COMPLETED
    found = await at.found(ready)
    assert [(each.read, each.refusal.reason) for each in found.series] == [
        (False, "DAMAGED_SERIES"),
        (True, ""),
        (False, "DAMAGED_SERIES"),
    ]


@DONE
async def test_part_without_a_readable_series_is_declined_with_the_nearest_reason(
    chest: Callable[..., Desk], blobs: Blobs, blank: bytes
) -> None:
    at = chest()
    (ready,) = await at.send(await part_of(blobs, blank))
    assert (ready.outcome, ready.refusal.reason) == (OUTCOME_DECLINED, "WRONG_ORGAN")
    assert ready.refusal.facts == {"lung_share": "0", "lung_share_min": "0.04"}
    assert not ready.HasField("findings")
    assert not ready.models
    assert not at.bus.dead


@DONE
async def test_part_without_series_is_failed_and_laid_aside(
    make: Callable[..., Desk], blobs: Blobs
) -> None:
    at = make(Reads(finds()))
    (ready,) = await at.send(await part_of(blobs))
    assert (ready.outcome, ready.refusal.reason) == (OUTCOME_FAILED, "NOT_AN_IMAGING_PART")
    assert len(at.bus.dead) == 1


@APART
@pytest.mark.parametrize(
    ("work", "reason"), [(refuses, "SERIES_REFUSED"), (breaks, "READING_FAILED")]
)
async def test_reading_that_refuses_or_fails_costs_the_other_nothing(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes, work: object, reason: str
) -> None:
    at = make(Reads(work), second(finds(kind="haemorrhage")))  # type: ignore[arg-type]
    (ready,) = await at.send(await part_of(blobs, blank))
    found = await at.found(ready)
    assert [(each.function, each.read, each.refusal.reason) for each in found.decisions] == [
        (pb.FUNCTION_NODULES, False, reason),
        (pb.FUNCTION_HAEMORRHAGE, True, ""),
    ]
    assert [each.finding_id for each in found.findings] == ["haemorrhage-1"]
    assert found.series[0].read
    assert b"patient's file" not in found.SerializeToString()


@APART
async def test_part_in_which_every_reading_failed_is_tried_again(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes
) -> None:
    at = make(Reads(breaks))
    with pytest.raises(ZeroDivisionError):
        await at.worker.handle(await part_of(blobs, blank))


@pytest.mark.requirement("DX-IMG-101")
async def test_missing_model_declines_its_reading_and_says_which(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes
) -> None:
    def asks(source: Volume, context: Context, ask: Ask) -> Reading:
        ask("no_such_model", {"x": np.zeros((1, 1), np.float32)})
        raise AssertionError

    at = make(Reads(asks), second(finds()))
    (ready,) = await at.send(await part_of(blobs, blank))
    first, other = (await at.found(ready)).decisions
    assert (first.read, first.refusal.reason) == (False, "MODEL_MISSING")
    assert first.refusal.facts == {"model": "no_such_model"}
    assert other.read


@pytest.mark.requirement("DX-IMG-101")
async def test_reader_may_go_on_without_a_model(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes
) -> None:
    def tries(source: Volume, context: Context, ask: Ask) -> Reading:
        with pytest.raises(ModelMissing):
            context.card("no_such_model")
        return Reading(pb.Answer(statements=[pb.Statement(key="without-malignancy")]))

    at = make(Reads(tries))
    (ready,) = await at.send(await part_of(blobs, blank))
    assert (await at.found(ready)).answers[0].statements[0].key == "without-malignancy"


@pytest.mark.requirement("DX-IMG-08")
async def test_part_delivered_twice_is_announced_once_with_the_same_uids(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes
) -> None:
    at, part = make(Reads(finds())), await part_of(blobs, blank)
    (ready,) = await at.send(part, times=2)
    first = await at.found(ready)
    again = make(Reads(finds()))
    (repeated,) = await again.send(part)
    assert (await again.found(repeated)).findings == first.findings


@pytest.mark.requirement("DX-IMG-08")
async def test_server_that_is_away_is_tried_again(
    chest: Callable[..., Desk], blobs: Blobs, chest_archive: bytes, models: Path
) -> None:
    at = chest(serving=Away(models))
    with pytest.raises(Unavailable) as caught:
        await at.worker.handle(await part_of(blobs, chest_archive))
    assert caught.value.retry_after_s
    assert not at.bus.published(subjects.FINDING_IMAGING)


@pytest.mark.requirement("DX-CON-08")
async def test_case_whose_key_is_gone_is_not_read(make: Callable[..., Desk], blobs: Blobs) -> None:
    at, part = make(Reads(finds())), await part_of(blobs, b"anything")
    await blobs.destroy("demo", "case-1")
    assert not await at.send(part)
    assert not at.bus.dead


@pytest.mark.requirement("DX-IMG-08")
async def test_event_loop_stays_alive_while_a_series_is_read(
    chest: Callable[..., Desk], blobs: Blobs, chest_archive: bytes
) -> None:
    at, part = chest(), await part_of(blobs, chest_archive)
    longest, loop = 0.0, asyncio.get_running_loop()

    async def beat() -> None:
        nonlocal longest
        while True:
            began = loop.time()
            await asyncio.sleep(0.05)
            longest = max(longest, loop.time() - began)

    beating = asyncio.create_task(beat())
    await at.worker.handle(part)
    beating.cancel()
    assert longest < 5.0  # a heartbeat is due every few seconds; the machine may be busy


@APART
async def test_reading_that_does_not_move_is_given_up_and_the_others_go_on(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    release, ended = threading.Event(), threading.Event()

    def hangs(source: Volume, context: Context, ask: Ask) -> Reading:
        release.wait(20)
        try:
            context.progress(0.5)  # the thread ends here: it is not wanted any more
        finally:
            ended.set()
        raise AssertionError

    monkeypatch.setattr(room, "LOOK_S", 0.05)
    at = make(Reads(hangs), second(finds()), stall_s=0.1)
    (ready,) = await at.send(await part_of(blobs, blank))
    stalled, other = (await at.found(ready)).decisions
    assert (stalled.read, stalled.refusal.reason, other.read) == (False, "READING_STALLED", True)
    release.set()
    assert await asyncio.to_thread(ended.wait, 20)


@APART
async def test_progress_of_a_long_reading_can_be_seen_while_it_runs(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    seen = threading.Event()

    def long(source: Volume, context: Context, ask: Ask) -> Reading:
        context.progress(0.42)
        assert seen.wait(20)
        return finds()(source, context, ask)

    monkeypatch.setattr(room, "LOOK_S", 0.05)
    at, part = make(Reads(long)), await part_of(blobs, blank)
    working = asyncio.create_task(at.worker.handle(part))
    while not (running := await at.store.progress("demo", "case-1")):  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # the work is done by another replica: nothing tells
    assert running == [("imaging-1", "nodules", 0.42)]
    seen.set()
    await working
    assert await at.store.progress("demo", "case-1") == []


@pytest.mark.requirement("DX-IMG-97")
async def test_same_lesion_in_two_reconstructions_is_reported_once_where_it_is_surest(
    make: Callable[..., Desk], blobs: Blobs, phantom: ModuleType, blank: bytes
) -> None:
    again = phantom.blank()
    for one in again:
        one.SeriesInstanceUID = "2.25.201"

    sure = iter((0.6, 0.9))

    def sees(source: Volume, context: Context, ask: Ask) -> Reading:
        reading = finds(3, next(sure))(source, context, ask)
        reading.lesions += finds(9, 0.3)(source, context, ask).lesions
        return reading

    at = make(Reads(sees))
    (ready,) = await at.send(await part_of(blobs, blank, phantom.archive(again)))
    found = await at.found(ready)
    assert [each.read for each in found.series] == [True, True]
    assert [(f.finding_id, f.place.slice_index) for f in found.findings] == [
        ("nodule-1", 3),
        ("nodule-2", 9),
    ]
    assert found.findings[0].place.series_instance_uid == "2.25.201"
    elsewhere = {one.series_instance_uid: one.reported_elsewhere for one in found.answers}
    assert sorted(elsewhere.values()) == [1, 1]  # each shows one lesion the other shows better


@pytest.mark.requirement("DX-IMG-97")
async def test_urgent_findings_come_first_and_segments_count_within_their_series(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes
) -> None:
    def sees(source: Volume, context: Context, ask: Ask) -> Reading:
        reading = finds(3, 0.9)(source, context, ask)
        reading.lesions += finds(6, 0.8, mask=False)(source, context, ask).lesions
        return reading

    at = make(Reads(sees), second(finds(9, 0.4, urgent=True, kind="haemorrhage")))
    (ready,) = await at.send(await part_of(blobs, blank))
    found = await at.found(ready)
    assert [(f.finding_id, f.segment_number) for f in found.findings] == [
        ("haemorrhage-1", 1),
        ("nodule-1", 2),
        ("nodule-2", 0),
    ]
    assert len({f.tracking_uid for f in found.findings}) == 3
    assert [(i.image_id, list(i.finding_ids)) for i in found.key_images] == [
        ("key-nodule-1", ["nodule-1"]),
        ("key-nodule-2", ["nodule-2"]),
        ("key-haemorrhage-1", ["haemorrhage-1"]),
    ]


@pytest.mark.requirement("DX-IMG-97")
async def test_pictures_of_a_reader_stand_beside_key_images(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes
) -> None:
    def draws(source: Volume, context: Context, ask: Ask) -> Reading:
        pictures = [Picture("heat-map", b"PNG", 4, 3, "2.25.1"), Picture("heat-map", b"2", 4, 3)]
        return Reading(pb.Answer(), pictures=pictures)

    at = make(Reads(draws))
    (ready,) = await at.send(await part_of(blobs, blank))
    first, other = (await at.found(ready)).key_images
    assert (first.image_id, first.role, first.sop_instance_uid) == (
        "key-heat-map-1",
        "heat-map",
        "2.25.1",
    )
    assert other.image_id == "key-heat-map-2"
    assert await blobs.get("demo", first.blob) == b"PNG"


def written(read: Sequence[ReadSource], lost: object = None) -> Iterator[DicomObject]:
    """Write one object for each source, and see what writers are promised."""
    for one in read:
        assert one.source.hu.shape[0] == len(one.files) == 14
        assert not one.source.hu.any()
        assert one.reading.lesions[0].finding.segment_number == 1
        yield DicomObject(b"DICM", "1.2", "2.25.7", "2.25.8", "2.25.100", "2.25.200", "SEG")


@pytest.mark.requirement("DX-IMG-97")
async def test_dicom_objects_are_stored_and_named(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes
) -> None:
    at = make(Reads(finds()), write=written)
    (ready,) = await at.send(await part_of(blobs, blank))
    (derived,) = (await at.found(ready)).derived
    assert (derived.modality, derived.source_series_instance_uid) == ("SEG", "2.25.200")
    assert await blobs.get("demo", derived.blob) == b"DICM"


@APART
async def test_writer_that_fails_costs_the_objects_alone(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes
) -> None:
    def fails(read: Sequence[ReadSource], lost: object = None) -> Iterator[DicomObject]:
        yield from written(read)
        raise ValueError("a value that cannot be written")

    at = make(Reads(finds()), write=fails)
    (ready,) = await at.send(await part_of(blobs, blank))
    found = await at.found(ready)
    assert (ready.outcome, len(found.findings), len(found.derived)) == (OUTCOME_COMPLETED, 1, 1)


@APART
async def test_nothing_is_left_on_disk(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes, tmp_path: Path
) -> None:
    await make(Reads(breaks), second(finds())).send(await part_of(blobs, blank, b"corrupt"))
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


def test_key_image_holds_the_slice_and_no_drawing() -> None:
    plane = np.array([[-1350, -600, 150, 3000]], np.int16)
    picture = np.asarray(Image.open(io.BytesIO(key_image.png(plane))))
    assert picture.tolist() == [[0, 128, 255, 255]]


@pytest.mark.requirement("DX-IMG-97")
def test_key_image_has_the_window_of_its_rule() -> None:
    hu = np.array([[[0, 40, 80]]], np.int16)
    volume = Volume(hu, np.eye(4), ("1.2",))
    picture = key_image.draw(volume, pb.Place(), {"window": [40, 80]})
    assert picture is not None
    assert picture.window == (40.0, 80.0)
    assert np.asarray(Image.open(io.BytesIO(picture.png))).tolist() == [[0, 128, 255]]
    assert dataclasses.asdict(picture)["role"] == "slice"


@pytest.mark.requirement("DX-IMG-97")
async def test_tilted_stack_is_read_straight_and_shown_as_it_was_taken(
    make: Callable[..., Desk], blobs: Blobs, phantom: ModuleType
) -> None:
    leaning = phantom.blank(slices=14, side=40)
    for number, one in enumerate(leaning):
        one.ImagePositionPatient[1] = number * 2.5 * np.tan(np.radians(10))
    read: list[Volume] = []

    def sees(source: Volume, context: Context, ask: Ask) -> Reading:
        read.append(source)
        reading = finds(10)(source, context, ask)
        down, _ = source.on_image(10)
        box = pb.PixelBox(left=5, top=20, right=9, bottom=26)
        reading.lesions[0].finding.place.box.CopyFrom(box)
        assert down > 0.5
        return reading

    table = '[rules.one]\nreader = "nodules"\n[rules.one.options]\nstraighten = true\n'
    at = make(Reads(sees), table=table)
    (ready,) = await at.send(await part_of(blobs, phantom.archive(leaning)))
    (straight,) = read
    assert straight.tilt_degrees == 0
    assert straight.hu.shape[1] > 40
    found = await at.found(ready)
    down = round(straight.on_image(10)[0])
    box = found.findings[0].place.box
    assert (box.left, box.top, box.bottom) == (5, 20 - down, 26 - down)
    assert (found.key_images[0].height_px, found.key_images[0].width_px) == (40, 40)


@APART
async def test_more_readings_at_once_than_the_loop_has_threads(
    make: Callable[..., Desk], blobs: Blobs, blank: bytes, models: Path
) -> None:
    import threading

    together = threading.Barrier(8, timeout=200)  # the loop has cores + 4 threads

    def asks(source: Volume, context: Context, ask: Ask) -> Reading:
        together.wait()  # all hold a thread, and only then ask
        ask("lung_nodule_candidates", {"crops": np.zeros((1, 1, 50, 50), np.float32)})
        return finds()(source, context, ask)

    at = make(Reads(asks))
    parts = [await part_of(blobs, blank, case_id=f"case-{number}") for number in range(8)]
    await asyncio.wait_for(asyncio.gather(*(at.worker.handle(part) for part in parts)), 240)
    assert len(at.bus.published(subjects.FINDING_IMAGING)) == 8
