"""A case begins when its images are whole, or quiet, and not before."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.event.v1.case_stopped_pb2 import CaseStopped
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeInstance, IntakeManifest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest import awaiting as looking
from services.ingest.readiness import Arrived, awaited
from services.ingest.store.waiting import WaitingStore
from services.ingest.studies import NamedSeries, NamedStudy
from services.kernel import subjects

Maker = Callable[..., Any]
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
DUE = NOON + timedelta(hours=1)
QUIET_S = 20.0
TWO = {"uid": "1.2.9.1", "modality": {"code": "CT"}, "numberOfInstances": 2}


def arrived(stated: int, here: int, last_s: float | None = None) -> Arrived:
    study = NamedStudy("1.2.9", "Bundle.entry[4].resource")
    if stated:
        study.series["1.2.9.1"] = NamedSeries(count=stated)
    instances = [
        IntakeInstance(sop_instance_uid=f"1.{n}", series_instance_uid="1.2.9.1")
        for n in range(here)
    ]
    return Arrived(study, instances, False, None if last_s is None else _at(last_s))


def _at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.requirement("DX-RCV-05")
@pytest.mark.parametrize(
    ("found", "now_s", "waits"),
    [
        (arrived(3, 3, 0), 0, False),  # whole: at once
        (arrived(3, 2, 0), 19, True),
        (arrived(3, 2, 0), 20, False),  # quiet: as it is
        (arrived(3, 2, 30), 40, True),  # the newest instance counts, not the submission
        (arrived(0, 5, 0), 19, True),  # nothing stated: quiet alone tells
        (arrived(0, 5, 0), 20, False),
        (arrived(3, 0), 19, True),
        (arrived(3, 0), 20, False),
        (dataclasses.replace(arrived(3, 0), were_used=True), 0, False),
        (arrived(3, 2, 3599), 3600, False),  # the due time does not wait
    ],
)
def test_a_study_is_awaited_until_it_is_whole_or_quiet(
    found: Arrived, now_s: float, waits: bool
) -> None:
    assert bool(awaited([found], NOON, _at(now_s), QUIET_S, DUE)) is waits


@pytest.mark.requirement("DX-RCV-05")
@given(st.integers(0, 5), st.integers(0, 5), st.none() | st.floats(-60, 7000), st.floats(0, 7200))
def test_what_was_ready_stays_ready(
    stated: int, here: int, last_s: float | None, now_s: float
) -> None:
    found = [arrived(stated, here, last_s)]
    if not awaited(found, NOON, _at(now_s), QUIET_S, DUE):
        assert not awaited(found, NOON, _at(now_s + 5), QUIET_S, DUE)


def received(world: Any) -> list[CaseReceived]:
    return list(world.bus.published(subjects.CASE_RECEIVED))


@pytest.fixture
def waiting_world(sqlite_world: Any) -> Any:
    sqlite_world.settings = dataclasses.replace(sqlite_world.settings, quiet_s=QUIET_S)
    sqlite_world.restart()
    return sqlite_world


@pytest.mark.requirement("DX-RCV-05")
async def test_the_last_image_lets_the_case_go_whatever_was_killed_in_between(
    waiting_world: Any, ct: Maker, bundle: Maker, study: Maker
) -> None:
    world = waiting_world
    whole = bundle(study(series=[TWO]))
    await world.upload(ct(SOPInstanceUID="1.2.9.1.1"))
    answer = await world.submit(whole)
    assert [(p.reason, p.source) for p in answer.problems] == [
        ("IMAGES_AWAITED", "Bundle.entry[4].resource")
    ]
    assert not received(world) and answer.case.case_id
    world.restart()
    assert await world.awaiting.look() == 0
    again = await world.submit(whole)
    assert again.duplicate and again.case.case_id == answer.case.case_id
    await world.upload(ct(SOPInstanceUID="1.2.9.1.2"))
    assert await world.awaiting.look() == 1 and await world.awaiting.look() == 0
    (event,) = received(world)
    assert event.case == answer.case and event.subject_key == answer.subject_key
    manifest = IntakeManifest.FromString(await world.blobs.get("demo", event.manifest))
    assert len(manifest.studies[0].instances) == 2 and not manifest.problems
    assert not (await world.submit(whole)).problems


@pytest.mark.requirement("DX-RCV-05")
async def test_a_study_that_went_quiet_goes_as_it_is_and_what_it_lacks_is_said(
    waiting_world: Any, ct: Maker, bundle: Maker, study: Maker
) -> None:
    world = waiting_world
    await world.submit(bundle(study(series=[TWO])))
    world.later(seconds=15)
    await world.upload(ct(SOPInstanceUID="1.2.9.1.1"))
    world.later(seconds=15)
    assert await world.awaiting.look() == 0, "an image came 15 s ago"
    world.later(seconds=6)
    assert await world.awaiting.look() == 1
    manifest = IntakeManifest.FromString(await world.blobs.get("demo", received(world)[0].manifest))
    assert [p.reason for p in manifest.problems] == ["INSTANCES_NOT_UPLOADED"]


@pytest.mark.requirement("DX-RCV-05")
async def test_a_case_that_is_stopped_while_it_waits_never_begins(
    waiting_world: Any, bundle: Maker, study: Maker
) -> None:
    world = waiting_world
    answer = await world.submit(bundle(study()))
    await world.worker.stopped(CaseStopped(case=answer.case))
    world.later(hours=2)
    assert await world.awaiting.look() == 0 and not received(world)
    assert world.stored() == []


@pytest.mark.requirement("DX-RCV-05")
async def test_many_cases_that_wait_for_long_do_not_hide_one_that_is_ready(
    waiting_world: Any,
    ct: Maker,
    bundle: Maker,
    study: Maker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looking, "LOOKED_AT", 1)
    monkeypatch.setattr(WaitingStore.after, "__defaults__", (1,))
    world = waiting_world
    for number in (10, 11, 12):
        answer = await world.submit(
            bundle(study(f"1.2.{number}", series=[TWO]), identifier={"value": f"b-{number}"})
        )
        assert not answer.duplicate
        world.later(seconds=1)
    for position in (1, 2):
        last = {"StudyInstanceUID": "1.2.12", "SeriesInstanceUID": "1.2.9.1"}
        await world.upload(ct(SOPInstanceUID=f"1.2.12.1.{position}", **last))
    assert [await world.awaiting.look() for _ in range(4)] == [0, 0, 1, 0]
    assert [event.case for event in received(world)] == [answer.case]


@pytest.mark.requirement("DX-RCV-06")
async def test_images_that_come_late_make_a_supplement_once_they_are_quiet(
    waiting_world: Any, ct: Maker, bundle: Maker, study: Maker
) -> None:
    world = waiting_world
    await world.upload(ct(SOPInstanceUID="1.2.9.1.1"))
    whole = bundle(study(series=[TWO | {"numberOfInstances": 1}]))
    answer = await world.submit(whole)
    assert len(received(world)) == 1
    await world.upload(ct(SOPInstanceUID="1.2.9.1.2"))
    assert await world.awaiting.look() == 0, "more may come"
    world.later(seconds=21)
    world.restart()
    assert await world.awaiting.look() == 1 and await world.awaiting.look() == 0
    event = received(world)[1]
    assert (event.supplement, event.case) == (1, answer.case)
    manifest = IntakeManifest.FromString(await world.blobs.get("demo", event.manifest))
    (found,) = manifest.studies
    assert found.study_instance_uid == "1.2.9"
    assert [i.sop_instance_uid for i in found.instances] == ["1.2.9.1.2"]
    await world.upload(ct(SOPInstanceUID="1.2.9.1.3"))
    world.later(seconds=21)
    assert await world.awaiting.look() == 1 and received(world)[2].supplement == 2


@pytest.mark.requirement("DX-RCV-06")
async def test_images_that_an_order_waits_for_are_not_late_for_an_earlier_one(
    waiting_world: Any, ct: Maker, bundle: Maker, study: Maker
) -> None:
    world = waiting_world
    await world.upload(ct(SOPInstanceUID="1.2.9.1.1"))
    await world.submit(bundle(study(series=[TWO | {"numberOfInstances": 1}])))
    (first,) = received(world)
    done = IntakeManifest.FromString(await world.blobs.get("demo", first.manifest))
    await world.intake.destroy("demo", done.studies[0].instances[0].blob.scope)
    await world.intake.destroy("demo", first.manifest.scope)
    await world.upload(ct(SOPInstanceUID="1.2.9.1.2"))
    world.later(seconds=10)
    answer = await world.submit(bundle(study(), identifier={"value": "another order"}))
    assert answer.case != first.case
    world.later(seconds=11)
    assert await world.awaiting.look() == 0, "quiet, but named by an order that waits"
    world.later(seconds=10)
    assert await world.awaiting.look() == 1
    (_, second) = received(world)
    assert (second.case, second.supplement) == (answer.case, 0)
    manifest = IntakeManifest.FromString(await world.blobs.get("demo", second.manifest))
    assert "1.2.9.1.2" in [i.sop_instance_uid for i in manifest.studies[0].instances]


@pytest.mark.requirement("DX-RCV-06")
async def test_a_study_sent_again_awaits_another_order_and_is_not_late(
    waiting_world: Any, ct: Maker, bundle: Maker, study: Maker
) -> None:
    world = waiting_world
    one = ct(SOPInstanceUID="1.2.9.1.1")
    await world.upload(one)
    await world.submit(bundle(study(series=[TWO | {"numberOfInstances": 1}])))
    (first,) = received(world)
    await world.intake.destroy("demo", first.manifest.scope)
    manifest = await world.intake.gather("demo", "1.2.9", "other")
    assert manifest.instances, "copied for another case"
    world.later(seconds=21)
    assert await world.awaiting.look() == 0 and len(received(world)) == 1


@pytest.mark.requirement("DX-RCV-06")
async def test_what_comes_after_a_week_or_of_a_stopped_case_is_not_late(
    waiting_world: Any, ct: Maker, bundle: Maker, study: Maker
) -> None:
    world = waiting_world
    await world.upload(ct(SOPInstanceUID="1.2.9.1.1"))
    answer = await world.submit(bundle(study(series=[TWO | {"numberOfInstances": 1}])))
    world.later(days=8)
    await world.awaiting.forget()
    await world.upload(ct(SOPInstanceUID="1.2.9.1.2"))
    world.later(seconds=21)
    assert await world.awaiting.look() == 0
    await world.worker.stopped(CaseStopped(case=answer.case))
    assert len(received(world)) == 1


@pytest.mark.requirement("DX-RCV-06")
async def test_late_images_that_fail_do_not_hide_those_behind_them(
    waiting_world: Any, ct: Maker, bundle: Maker, study: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = waiting_world
    monkeypatch.setattr(looking, "LATE_AT_ONCE", 1)
    for uid in ("1.2.9", "1.2.12"):
        last = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1"}
        await world.upload(ct(SOPInstanceUID=f"{uid}.1.1", **last))
        await world.submit(bundle(study(uid), identifier={"value": uid}))
    world.later(seconds=21)
    assert await world.awaiting.look() == 2, "both begin as they are"
    for uid in ("1.2.9", "1.2.12"):
        last = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1"}
        await world.upload(ct(SOPInstanceUID=f"{uid}.1.2", **last))
        world.later(seconds=1)
    world.later(seconds=21)
    whole = world.intake.of_upload

    async def of_upload(tenant: str, scope: str) -> Any:
        found = await whole(tenant, scope)
        if found[0].sop_instance_uid == "1.2.9.1.2":
            raise RuntimeError("a store that lost it")
        return found

    monkeypatch.setattr(world.intake, "of_upload", of_upload)
    assert [await world.awaiting.look() for _ in range(2)] == [0, 1]
    assert received(world)[2].supplement == 1
