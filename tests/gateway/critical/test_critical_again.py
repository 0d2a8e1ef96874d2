"""What nobody reads is told again, as often as the hospital says, once each, across replicas."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import pytest

from services.gateway.critical import policy
from services.gateway.critical.escalation import Escalation
from services.gateway.critical.policy import Policies, Policy
from services.gateway.profiles import conform
from services.gateway.worker import GatewayWorker
from services.kernel import fhir, telemetry
from services.kernel.errors import InvalidInput

MINUTE_US = 60_000_000
RULE = Policies(Policy(15, 2, ("PractitionerRole/on-call",)), {})


@dataclass
class Clock:
    """A time that moves when told."""

    us: int = 1_790_000_000_000_000

    def __call__(self) -> int:
        return self.us

    def wait(self, minutes: float) -> None:
        self.us += int(minutes * MINUTE_US)


@pytest.fixture
def clock(world: Any) -> Clock:
    """The clock of the store."""
    made = Clock()
    world.gateway.store.database.now_us = made
    return made


def replicas(world: Any, count: int = 1, rule: Policies = RULE) -> list[Escalation]:
    world.gateway.notifier.policies = rule
    return [Escalation(world.gateway.store, rule) for _ in range(count)]


@pytest.mark.requirement("DX-CRI-11")
async def test_it_is_told_again_until_the_last_time(
    world: Any, setting: Any, telling: Any, clock: Clock
) -> None:
    (one,) = replicas(world)
    await telling.tell(world, setting)
    swept: list[int] = []
    for minutes in (14.9, 0.2, 0, 14.9, 0.2, 60, 600):
        clock.wait(minutes)
        swept.append(await one.sweep())
    assert swept == [0, 1, 0, 0, 1, 0, 0]
    first, again, last = await telling.communications(world)
    assert again["inResponseTo"] == [{"reference": f"Communication/{first['id']}"}]
    assert again["reasonCode"][0]["coding"][0]["code"] == "escalation"
    assert again["recipient"] == [{"reference": "PractitionerRole/on-call"}]
    assert again["about"] == first["about"] and again["sent"] > first["sent"]
    text = last["payload"][0]["contentString"]
    assert text.startswith("Not acknowledged for 30 minutes, told again (2): Critical result: Pot")
    assert all(fhir.problems(each) + conform.problems(each) == [] for each in (again, last))


@pytest.mark.requirement("DX-CRI-11")
async def test_of_many_replicas_and_after_a_restart_it_is_told_once(
    world: Any, setting: Any, telling: Any, clock: Clock
) -> None:
    await telling.tell(world, setting)
    clock.wait(16)
    told = await asyncio.gather(*(each.sweep() for each in replicas(world, 5)))
    assert sum(told) == 1
    assert [await each.sweep() for each in replicas(world)] == [0]
    assert len(await telling.communications(world)) == 2


@pytest.mark.requirement("DX-CRI-11")
async def test_a_failure_in_the_midst_of_it_is_tried_again(
    world: Any, setting: Any, telling: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = replicas(world)
    await telling.tell(world, setting)
    clock.wait(16)
    with monkeypatch.context() as broken:
        broken.setattr(fhir, "dump", lambda value: 1 / 0)
        assert await one.sweep() == 0
    clock.wait(1.1)
    assert await one.sweep() == 1
    assert len(await telling.communications(world)) == 2


@pytest.mark.requirement("DX-CRI-11")
@pytest.mark.parametrize("which", [0, 1])
async def test_who_reads_one_of_them_has_read_them_all(
    world: Any, setting: Any, telling: Any, clock: Clock, which: int
) -> None:
    (one,) = replicas(world)
    await telling.tell(world, setting)
    clock.wait(16)
    await one.sweep()
    told = await telling.communications(world)
    path = f"/fhir/Communication/{told[which]['id']}/$acknowledge"
    who = {"name": "reader", "valueReference": {"reference": "Practitioner/d"}}
    body = fhir.dump({"resourceType": "Parameters", "parameter": [who]})
    headers = {**world.bearer(), "Content-Type": "application/fhir+json"}
    assert (await world.http.post(path, content=body, headers=headers)).status_code == 200
    assert [one["status"] for one in await telling.communications(world)] == ["completed"] * 2
    clock.wait(60)
    assert await one.sweep() == 0


@pytest.mark.requirement("DX-CRI-11")
async def test_what_is_withdrawn_is_not_told_again_and_its_escalations_go_with_it(
    world: Any, setting: Any, telling: Any, clock: Clock
) -> None:
    (one,) = replicas(world)
    await telling.tell(world, setting)
    clock.wait(16)
    await one.sweep()
    told = await telling.tell(world, setting, told=[], results=[], at=1_790_000_100)
    assert [each["status"] for each in told] == ["entered-in-error"] * 2
    clock.wait(60)
    assert await one.sweep() == 0


@pytest.mark.requirement("DX-CRI-11")
async def test_a_hospital_may_want_it_never(
    world: Any, setting: Any, telling: Any, clock: Clock
) -> None:
    never = Policies(Policy(15, 3), {"north": Policy(0, 3)})
    (one,) = replicas(world, rule=never)
    await telling.tell(world, setting)
    clock.wait(100_000)
    assert await one.sweep() == 0


@pytest.mark.requirement("DX-CRI-11")
async def test_log_and_metric_name_nobody(
    world: Any,
    setting: Any,
    telling: Any,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted: list[tuple[str, str]] = []
    monkeypatch.setattr(telemetry, "failure", lambda *each: counted.append(each))
    (one,) = replicas(world)
    await telling.tell(world, setting)
    clock.wait(16)
    with caplog.at_level(logging.WARNING):
        await one.sweep()
    assert counted == [("gateway.critical", "NOT_ACKNOWLEDGED")]
    assert "told again, no. 1" in caplog.text
    assert not any(word in caplog.text for word in ("Potassium", "p-1", "Zhang", "6.8"))


@pytest.mark.requirement("DX-CRI-11")
def test_tenants_have_rules_of_their_own() -> None:
    text = "north=10 2 PractitionerRole/on-call Organization/icu; south=0;east=30"
    found = policy.parse(15, 3, text)
    roles = ("PractitionerRole/on-call", "Organization/icu")
    assert found.of("north") == Policy(10, 2, roles)
    assert found.of("south") == Policy(0, 3) and found.of("east") == Policy(30, 3)
    assert found.of("west") == Policy(15, 3)


@pytest.mark.requirement("DX-CRI-11")
@pytest.mark.parametrize(
    "text", ["north", "north=", "north=x", "north=-1", "north=5 x", "north=5 1 Patient/1", "=5"]
)
def test_a_rule_that_cannot_be_read_stops_the_start(text: str) -> None:
    with pytest.raises(InvalidInput):
        policy.parse(15, 3, text)


@pytest.mark.requirement("DX-CRI-10")
async def test_the_operator_sees_how_many_wait(
    world: Any, setting: Any, telling: Any, clock: Clock
) -> None:
    await telling.tell(world, setting)
    clock.wait(7)
    answer = (await world.get("/ops/status", "operator")).json()
    assert answer["critical"] == {"unread": 1, "oldest_s": 420.0}


@pytest.mark.requirement("DX-CRI-18")
async def test_the_alarm_has_a_number_that_falls_when_somebody_reads(
    world: Any, setting: Any, telling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, tuple[int, float]] = {}
    monkeypatch.setattr(telemetry, "unread_critical", lambda t, n, age: seen.update({t: (n, age)}))
    worker = GatewayWorker(world.gateway)
    (told,) = await telling.tell(world, setting)
    await worker.measure()
    count, age_s = seen["north"]
    assert count == 1 and 0 <= age_s < 60
    who = {"name": "reader", "valueReference": {"reference": "Practitioner/d"}}
    body = fhir.dump({"resourceType": "Parameters", "parameter": [who]})
    headers = {**world.bearer(), "Content-Type": "application/fhir+json"}
    await world.http.post(
        f"/fhir/Communication/{told['id']}/$acknowledge", content=body, headers=headers
    )
    await worker.measure()
    assert seen["north"] == (0, 0.0)
