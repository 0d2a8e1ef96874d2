"""Events come in any order, twice, late, beside each other; a clock is set; one row is bad."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified

from services.gateway.critical.ahead import Ahead
from services.gateway.critical.escalation import Escalation
from services.gateway.critical.policy import Policies, Policy
from services.kernel import fhir, subjects
from services.kernel.errors import Damaged, Unavailable

MINUTE_US = 60_000_000
RULE = Policies(Policy(15, 3), {})
EARLY_US, LATE_US = 1_790_000_000_000_000, 1_790_000_600_000_000


async def supersede(world: Any, setting: Any) -> None:
    later = CaseDeidentified(case=setting.case_ref(), supplement=1)
    later.parts.add(part_id="imaging-2", supersedes="imaging-1")
    await world.bus.publish(subjects.CASE_DEIDENTIFIED, later, message_id="late")


async def images(
    world: Any, setting: Any, telling: Any, *kinds: str, part: str, at: int = 1_790_000_500
) -> None:
    made = await telling.images(world, setting, *kinds, part_id=part)
    made.found_time.FromSeconds(at)
    await telling.send(world, made)


async def acknowledge(world: Any, told: Any) -> Any:
    who = {"name": "reader", "valueReference": {"reference": "Practitioner/d"}}
    return await world.http.post(
        f"/fhir/Communication/{told['id']}/$acknowledge",
        content=fhir.dump({"resourceType": "Parameters", "parameter": [who]}),
        headers={**world.bearer(), "Content-Type": "application/fhir+json"},
    )


@pytest.mark.requirement("DX-CRI-13")
async def test_late_images_that_say_the_same_first_leave_it_read(
    world: Any, setting: Any, telling: Any
) -> None:
    await images(world, setting, telling, "haemorrhage", part="imaging-1", at=1_790_000_000)
    (told,) = await telling.communications(world)
    await acknowledge(world, told)
    await images(world, setting, telling, "haemorrhage", part="imaging-2")  # before it is known
    await supersede(world, setting)
    (told,) = await telling.communications(world)
    assert (told["status"], told["meta"]["versionId"]) == ("completed", "2")
    await images(world, setting, telling, part="imaging-2", at=1_790_000_600)
    (told,) = await telling.communications(world)
    assert told["status"] == "entered-in-error"  # it went over to the later part


@pytest.mark.requirement("DX-CRI-13")
async def test_an_event_of_superseded_images_tells_nothing_any_more(
    world: Any, setting: Any, telling: Any
) -> None:
    await supersede(world, setting)
    await images(world, setting, telling, part="imaging-2")
    await images(world, setting, telling, "haemorrhage", part="imaging-1", at=1_790_000_000)
    assert await telling.communications(world) == []


@pytest.mark.requirement("DX-CRI-13")
@pytest.mark.parametrize(
    ("received_us", "told"), [((EARLY_US, LATE_US), False), ((LATE_US, EARLY_US), True)]
)
async def test_a_value_is_not_told_that_a_later_case_has_corrected_already(
    world: Any, setting: Any, telling: Any, received_us: tuple[int, int], told: bool
) -> None:
    first, later = setting.case_ref(), setting.case_ref("case-2")
    first.received_time.FromMicroseconds(received_us[0])
    later.received_time.FromMicroseconds(received_us[1])
    normal = telling.potassium("4.1")
    await telling.tell(world, setting, ref=later, results=[normal], told=[], retracted=("lab-1",))
    found = await telling.tell(world, setting, ref=first)
    assert len(found) == told


@pytest.mark.requirement("DX-CRI-13")
async def test_a_correction_of_a_stopped_case_holds_nothing_back(
    world: Any, setting: Any, telling: Any
) -> None:
    first, later = setting.case_ref(), setting.case_ref("case-2")
    first.received_time.FromMicroseconds(EARLY_US)
    later.received_time.FromMicroseconds(LATE_US)
    await telling.tell(
        world, setting, ref=later, results=[telling.potassium("4.1")], told=[], retracted=("lab-1",)
    )
    await setting.stop(world, later) if hasattr(setting, "stop") else await stop(world, later)
    assert len(await telling.tell(world, setting, ref=first)) == 1


async def stop(world: Any, ref: Any) -> None:
    from dxmesh.event.v1.case_stopped_pb2 import CaseStopped

    stopped = CaseStopped(case=ref, step="gateway")
    stopped.refusal.reason = "CANCELLED"
    await world.bus.publish(subjects.CASE_STOPPED, stopped, message_id="s")


@pytest.mark.requirement("DX-CRI-13")
@pytest.mark.parametrize("differs", ["specimen", "code"])
async def test_a_correction_of_another_specimen_of_the_minute_takes_nothing_back(
    world: Any, setting: Any, telling: Any, differs: str
) -> None:
    await telling.tell(world, setting)
    gas = telling.potassium("4.0", "lab-9")
    if differs == "specimen":
        gas.specimen = "arterial blood"
    else:
        gas.loinc_code = "32713-0"
    later = setting.case_ref("case-2")
    (told,) = await telling.tell(
        world, setting, ref=later, results=[gas], told=[], retracted=("lab-9",)
    )
    assert told["status"] == "in-progress"


@pytest.mark.requirement("DX-CRI-14")
async def test_one_notice_that_cannot_be_told_again_does_not_keep_the_others(
    world: Any, setting: Any, telling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [EARLY_US]
    world.gateway.store.database.now_us = lambda: clock[0]
    await telling.tell(world, setting)
    clock[0] += MINUTE_US
    other = setting.case_ref("case-2")
    await telling.tell(world, setting, ref=other)
    bad = {each["id"]: each for each in await telling.communications(world)}
    broken = next(i for i, e in bad.items() if e["partOf"][0]["reference"] != "Task/case-2")
    parse = fhir.parse

    def parsed(content: bytes) -> Any:
        if broken.encode() in content:
            raise Damaged("it does not decrypt")
        return parse(content)

    clock[0] += 20 * MINUTE_US
    one = Escalation(world.gateway.store, RULE)
    with monkeypatch.context() as patch:
        patch.setattr(fhir, "parse", parsed)
        assert await one.sweep() == 1
        assert await one.sweep() == 0
    clock[0] += 2 * MINUTE_US
    assert await one.sweep() == 1  # it was put off, not given up
    assert len(await telling.communications(world)) == 4


@pytest.mark.requirement("DX-CRI-14")
async def test_a_clock_that_is_set_back_puts_nothing_off(
    world: Any, setting: Any, telling: Any
) -> None:
    clock = [EARLY_US]
    world.gateway.store.database.now_us = lambda: clock[0]
    await telling.tell(world, setting)
    clock[0] -= 24 * 60 * MINUTE_US  # it had been a day ahead
    one = Escalation(world.gateway.store, RULE)
    assert await one.sweep() == 0
    clock[0] += 16 * MINUTE_US
    assert await one.sweep() == 1
    again = (await telling.communications(world))[0]
    assert "Not acknowledged for 0 minutes" not in str(again["payload"])
    assert await one.sweep() == 0


@pytest.mark.requirement("DX-CRI-13")
async def test_two_gateways_and_twenty_deliveries_make_one_notice(
    world: Any, setting: Any, telling: Any
) -> None:
    made = await telling.event(world, setting)
    await asyncio.gather(*(world.gateway.notifier.found(made) for _ in range(20)))
    (told,) = await telling.communications(world)
    assert told["meta"]["versionId"] == "1"


@pytest.mark.requirement("DX-CRI-19")
@pytest.mark.parametrize("told", [True, False])
async def test_a_report_waits_for_its_notices_and_not_for_ever(
    world: Any, setting: Any, telling: Any, told: bool
) -> None:
    now = [100.0]
    committer = world.gateway.committer
    committer._ahead = Ahead(world.gateway.store, 10.0, lambda: now[0], looks=0)
    event = await setting.compose(world, setting.sample_report(), publish=False)
    with pytest.raises(Unavailable):
        await committer.composed(event)
    now[0] += 5.0
    if told:
        await telling.tell(world, setting)
    else:
        with pytest.raises(Unavailable):
            await committer.composed(event)
        now[0] += 6.0
    await committer.composed(event)
    assert (await world.get("/fhir/DiagnosticReport")).json()["total"] == 1


@pytest.mark.requirement("DX-CRI-19")
async def test_a_report_without_critical_results_waits_for_nothing(
    world: Any, setting: Any
) -> None:
    await Ahead(world.gateway.store).require("north", setting.CASE_ID, 1, 0)


@pytest.mark.requirement("DX-CRI-19")
async def test_a_notice_that_is_under_way_is_waited_for_without_another_try(
    world: Any, setting: Any, telling: Any
) -> None:
    made = await telling.event(world, setting)
    ahead = Ahead(world.gateway.store)
    waiting = asyncio.create_task(ahead.require("north", setting.CASE_ID, 1, 1))
    await asyncio.sleep(0.06)
    await telling.send(world, made)
    await waiting
