"""What no longer holds is taken back, and what belongs to a stopped case is destroyed."""

from __future__ import annotations

from typing import Any

import pytest
from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.event.v1.case_stopped_pb2 import CaseStopped
from dxmesh.event.v1.consent_withdrawn_pb2 import ConsentWithdrawn

from services.gateway.profiles import conform
from services.kernel import fhir, subjects
from services.kernel.errors import NotFound


@pytest.mark.requirement("DX-CRI-07")
async def test_a_part_read_again_without_it_withdraws_it(
    world: Any, setting: Any, telling: Any
) -> None:
    await telling.tell(world, setting, at=1_790_000_000)
    (told,) = await telling.tell(world, setting, told=[], results=[], at=1_790_000_100)
    assert told["status"] == "entered-in-error"
    assert "corrected" in told["payload"][0]["contentString"]
    assert fhir.problems(told) == [] and conform.problems(told) == []
    (told,) = await telling.tell(world, setting, at=1_790_000_050)  # an old event, late
    assert told["status"] == "entered-in-error"
    (told,) = await telling.tell(world, setting, at=1_790_000_200)
    assert told["status"] == "in-progress"


@pytest.mark.requirement("DX-CRI-07")
async def test_another_value_of_the_result_takes_its_place(
    world: Any, setting: Any, telling: Any
) -> None:
    await telling.tell(world, setting)
    changed = [telling.potassium("7.4")]
    told = await telling.tell(world, setting, results=changed, at=1_790_000_100)
    states = {one["status"]: one["payload"] for one in told}
    assert states.keys() == {"entered-in-error", "in-progress"}
    assert "7.4" in states["in-progress"][0]["contentString"]


@pytest.mark.requirement("DX-CRI-07")
async def test_a_correction_in_a_later_case_withdraws_it(
    world: Any, setting: Any, telling: Any
) -> None:
    await telling.tell(world, setting)
    later = setting.case_ref("case-2")
    (told,) = await telling.tell(
        world, setting, ref=later, told=[], results=[], retracted=("lab-2",)
    )
    assert told["status"] == "in-progress"
    (told,) = await telling.tell(
        world, setting, ref=later, told=[], results=[], retracted=("lab-1",), at=1_790_000_300
    )
    assert told["status"] == "entered-in-error"


@pytest.mark.requirement("DX-CRI-07")
@pytest.mark.parametrize(
    ("at", "withdrawn"),
    [
        ("2026-11-15T08:00:00Z", True),
        ("2026-11-15T16:00:00+08:00", True),
        ("2026-11-15T08:01:00Z", False),
        ("2026-11-15", False),
    ],
)
async def test_a_correction_under_another_id_is_known_by_what_was_measured_when(
    world: Any, setting: Any, telling: Any, at: str, withdrawn: bool
) -> None:
    await telling.tell(world, setting)
    told = await telling.tell(
        world,
        setting,
        ref=setting.case_ref("case-2"),
        results=[telling.potassium("7.2", "lab-7", at)],
        told=[telling.high("lab-7")],
        retracted=("lab-7",),
    )
    states = {"6.8" in str(one["payload"]): one["status"] for one in told}
    assert states == {
        True: "entered-in-error" if withdrawn else "in-progress",
        False: "in-progress",
    }


@pytest.mark.requirement("DX-CRI-08")
@pytest.mark.parametrize("why", ["stopped", "consent"])
async def test_a_stopped_case_destroys_what_was_told(
    world: Any, setting: Any, telling: Any, why: str
) -> None:
    ref = setting.case_ref()
    received = CaseReceived(case=ref, subject_key="subject-1")
    await world.bus.publish(subjects.CASE_RECEIVED, received, message_id="r")
    made = await telling.event(world, setting, ref=ref)
    await telling.send(world, made)
    (told,) = await telling.communications(world)
    if why == "stopped":
        stop = CaseStopped(case=ref, step="gateway")
        stop.refusal.reason = "CANCELLED"
        await world.bus.publish(subjects.CASE_STOPPED, stop, message_id="s")
    else:
        withdrawn = ConsentWithdrawn(tenant="north", subject_key="subject-1")
        await world.bus.publish(subjects.CONSENT_WITHDRAWN, withdrawn, message_id="w")
    assert await telling.communications(world) == []
    path = f"/fhir/Communication/{told['id']}"
    assert (await world.get(path)).status_code == 410
    assert (await world.get(f"{path}/_history/1")).status_code == 404
    assert await world.gateway.store.critical.unread("north") == (0, 0)
    await telling.send(world, made)  # the event comes again
    assert await telling.communications(world) == []


@pytest.mark.requirement("DX-CRI-17")
@pytest.mark.parametrize(("received_s", "stays"), [(100, False), (300, True)])
async def test_a_withdrawal_that_is_heard_before_its_case_ends_it(
    world: Any, setting: Any, telling: Any, received_s: int, stays: bool
) -> None:
    ref = setting.case_ref()
    ref.received_time.FromSeconds(1_790_000_000 + received_s)
    withdrawn = ConsentWithdrawn(tenant="north", subject_key="subject-1", consent_version="c/2")
    withdrawn.recorded_time.FromSeconds(1_790_000_200)
    await world.bus.publish(subjects.CONSENT_WITHDRAWN, withdrawn, message_id="w")
    await telling.send(world, await telling.event(world, setting, ref=ref))
    received = CaseReceived(case=ref, subject_key="subject-1")
    await world.bus.publish(subjects.CASE_RECEIVED, received, message_id="r")
    found = await telling.communications(world)
    assert bool(found) == stays
    stopped = world.bus.published(subjects.CASE_STOPPED)
    assert [each.refusal.reason for each in stopped] == ([] if stays else ["CONSENT_WITHDRAWN"])
    await telling.send(world, await telling.event(world, setting, ref=ref, at=1_790_000_900))
    assert bool(await telling.communications(world)) == stays


@pytest.mark.requirement("DX-CRI-08")
async def test_a_case_whose_key_is_gone_is_left_alone(
    world: Any, setting: Any, telling: Any
) -> None:
    made = await telling.event(world, setting)
    await world.analysis.destroy("north", setting.CASE_ID)
    await telling.send(world, made)
    assert await telling.communications(world) == []


@pytest.mark.requirement("DX-CRI-08")
async def test_an_identity_that_went_with_its_case_is_no_failure(
    world: Any, setting: Any, telling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(tenant: str, case_id: str) -> None:
        raise NotFound("there is no such case")

    made = await telling.event(world, setting)
    monkeypatch.setattr(world.peers, "reidentify", gone)
    await world.bus.publish(subjects.FINDING_CRITICAL, made, message_id="open")
    assert len(world.bus.dead) == 1
    stop = CaseStopped(case=setting.case_ref(), step="gateway")
    await world.bus.publish(subjects.CASE_STOPPED, stop, message_id="s")
    await world.bus.publish(subjects.FINDING_CRITICAL, made, message_id="stopped")
    assert len(world.bus.dead) == 1
