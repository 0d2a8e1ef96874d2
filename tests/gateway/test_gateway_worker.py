"""Events move a case along in any order; a withdrawal or a cancellation stops it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified, ExpectedPart
from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_LABS
from dxmesh.event.v1.consent_withdrawn_pb2 import ConsentWithdrawn
from dxmesh.event.v1.finding_ready_pb2 import OUTCOME_COMPLETED, OUTCOME_FAILED, FindingReady
from dxmesh.gateway.v1 import gateway_service_pb2 as pb

from services.gateway import worker as gateway_worker
from services.gateway.service import GatewayService
from services.gateway.settings import Settings
from services.gateway.worker import GatewayWorker
from services.kernel import settings, subjects, telemetry
from services.kernel.errors import NotFound, Precondition
from services.kernel.testing import MemoryBus


def events(setting: Any, outcome: int = OUTCOME_COMPLETED) -> list[tuple[Any, Any]]:
    ref = setting.case_ref()
    received = CaseReceived(case=ref, subject_key="subject-1")
    part = ExpectedPart(part_id="labs-1", kind=PART_KIND_LABS)
    deidentified = CaseDeidentified(case=ref, parts=[part])
    deidentified.started_time.FromSeconds(1_780_000_001)
    deidentified.finished_time.FromSeconds(1_780_000_003)
    finding = FindingReady(case=ref, part_id="labs-1", kind=PART_KIND_LABS, outcome=outcome)
    finding.started_time.FromSeconds(1_780_000_004)
    finding.finished_time.FromSeconds(1_780_000_006)
    return [
        (subjects.CASE_RECEIVED, received),
        (subjects.CASE_DEIDENTIFIED, deidentified),
        (subjects.FINDING_LABS, finding),
    ]


@pytest.mark.requirement("DX-GW-23")
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_any_order_of_events_gives_the_same_case(
    world: Any, setting: Any, order: tuple[int, ...]
) -> None:
    made = events(setting)
    for index in order:
        topic, event = made[index]
        await world.bus.publish(topic, event, message_id=f"{index}")
        await world.bus.publish(topic, event, message_id=f"{index}-again")
    answer = (await world.get(f"/ops/cases/{setting.CASE_ID}", "operator")).json()
    steps = {s["step"]: (s["state"], s["seconds"]) for s in answer["steps"]}
    assert steps["deidentified"] == ("done", 2.0)
    assert steps["labs-1"][0] == "done"
    assert answer["status"] == "in-progress"
    task = (await world.get(f"/fhir/Task/{setting.CASE_ID}")).json()
    named = [o["type"]["coding"][0]["code"] for o in task["output"]]
    assert named == ["received", "deidentified", "labs"]


async def test_a_part_retried_with_success_is_done(world: Any, setting: Any) -> None:
    failed, done = events(setting, OUTCOME_FAILED)[2], events(setting)[2]
    await world.bus.publish(*failed, message_id="1")
    await world.bus.publish(*done, message_id="2")
    await world.bus.publish(*failed, message_id="3")
    case = await world.gateway.store.cases.get("north", setting.CASE_ID)
    assert case.steps["labs-1"].state == "done"


@pytest.mark.requirement("DX-GW-24")
async def test_a_withdrawal_stops_the_subjects_open_cases(world: Any, setting: Any) -> None:
    await world.bus.publish(*events(setting)[0], message_id="1")
    withdrawn = ConsentWithdrawn(tenant="north", subject_key="subject-1", consent_version="c/2")
    await world.bus.publish(subjects.CONSENT_WITHDRAWN, withdrawn, message_id="w")
    (stopped,) = world.bus.published(subjects.CASE_STOPPED)
    assert stopped.case.case_id == setting.CASE_ID and stopped.step == "gateway"
    task = (await world.get(f"/fhir/Task/{setting.CASE_ID}")).json()
    assert task["status"] == "rejected"
    assert task["statusReason"]["coding"][0]["code"] == "CONSENT_WITHDRAWN"
    await world.bus.publish(*events(setting)[2], message_id="late")
    case = await world.gateway.store.cases.get("north", setting.CASE_ID)
    assert case.status == "rejected"


async def test_a_withdrawal_leaves_reports_and_other_subjects_alone(
    world: Any, setting: Any
) -> None:
    await world.bus.publish(*events(setting)[0], message_id="1")
    await setting.compose(world, setting.sample_report())
    other = ConsentWithdrawn(tenant="north", subject_key="subject-1")
    await world.bus.publish(subjects.CONSENT_WITHDRAWN, other, message_id="w")
    assert world.bus.published(subjects.CASE_STOPPED) == []


@pytest.mark.requirement("DX-GW-25")
async def test_a_stopped_case_forgets_the_patient(world: Any, setting: Any) -> None:
    entry = [{"resource": setting.PATIENT}]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entry}
    task = (await world.submit(bundle)).json()
    assert task["for"]["reference"] == "Patient/p-1"
    path = f"/ops/cases/{task['id']}/cancel"
    answer = await world.http.post(path, headers=world.bearer("operator"))
    assert answer.json()["status"] == "cancelled"
    assert [e.case.case_id for e in world.bus.published(subjects.CASE_STOPPED)] == [task["id"]]
    now = (await world.get(f"/fhir/Task/{task['id']}")).json()
    assert now["status"] == "cancelled" and "for" not in now
    assert (await world.get(f"/fhir/Task/{task['id']}/_history/1")).status_code == 404
    again = await world.http.post(path, headers=world.bearer("operator"))
    assert again.status_code == 200


async def test_a_finished_case_cannot_be_cancelled(world: Any, setting: Any) -> None:
    await setting.compose(world, setting.sample_report())
    path = f"/ops/cases/{setting.CASE_ID}/cancel"
    answer = await world.http.post(path, headers=world.bearer("operator"))
    assert answer.status_code == 422
    missing = await world.http.post("/ops/cases/none/cancel", headers=world.bearer("operator"))
    assert missing.status_code == 404


@pytest.mark.requirement("DX-GW-26")
async def test_the_operators_answers_name_no_patient(world: Any, setting: Any) -> None:
    await setting.compose(world, setting.sample_report())
    for path in ("/ops/cases", f"/ops/cases/{setting.CASE_ID}", "/ops/status", "/ops/dead"):
        answer = await world.get(path, "operator")
        assert answer.status_code == 200
        assert not any(word in answer.text for word in ("Zhang", "MRN", "1964", "Patient"))


async def test_status_counts_what_waits(world: Any) -> None:
    answer = (await world.get("/ops/status", "operator")).json()
    assert answer["healthy"] is False
    assert answer["services"]["labs"] == "UNREACHABLE"
    assert answer["queues"]["labs.part.labs"] == 3


@pytest.mark.requirement("DX-FLOW-12")
async def test_the_age_of_the_oldest_case_falls_to_nothing_when_none_is_open(
    world: Any, setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages: dict[str, float] = {}
    monkeypatch.setattr(telemetry, "oldest_case", ages.__setitem__)
    worker = GatewayWorker(world.gateway)
    await worker.measure()
    assert ages["north"] == 0.0
    await world.bus.publish(*events(setting)[0], message_id="received")
    await worker.measure()
    assert ages["north"] > 0
    path = f"/ops/cases/{setting.CASE_ID}/cancel"
    await world.http.post(path, headers=world.bearer("operator"))
    await worker.measure()
    assert ages["north"] == 0.0


async def test_dead_letters_are_listed_shown_and_retried(world: Any) -> None:
    listed = (await world.get("/ops/dead", "operator")).json()["dead"]
    assert listed[0]["sequence"] == 7 and listed[0]["reason"] == "NOT_A_LABS_PART"
    assert (await world.get("/ops/dead/7", "operator")).json() == listed[0]
    assert (await world.get("/ops/dead/8", "operator")).status_code == 404
    assert (await world.get("/ops/dead/x", "operator")).status_code == 404
    answer = await world.http.post("/ops/dead/7/retry", headers=world.bearer("operator"))
    assert answer.status_code == 200 and world.gateway.letters.retried == [7]


@pytest.mark.parametrize("limit", ["0", "501", "-1", "x", "00000005999999"])
async def test_a_limit_that_cannot_be_used_is_refused(world: Any, limit: str) -> None:
    assert (await world.get(f"/ops/cases?limit={limit}", "operator")).status_code == 400


async def test_the_grpc_service_lists_and_cancels(world: Any, setting: Any) -> None:
    await world.bus.publish(*events(setting)[0], message_id="1")
    service = GatewayService(world.gateway)
    listed = await service.ListCases(pb.ListCasesRequest(tenant="north"), None)
    assert [c.case.case_id for c in listed.cases] == [setting.CASE_ID]
    request = pb.CancelCaseRequest(tenant="north", case_id=setting.CASE_ID)
    assert (await service.CancelCase(request, None)).case.status == "cancelled"
    await setting.compose(world, setting.sample_report(), ref=setting.case_ref("case-2"))
    with pytest.raises(Precondition):
        await service.CancelCase(pb.CancelCaseRequest(tenant="north", case_id="case-2"), None)
    with pytest.raises(NotFound):
        await service.CancelCase(pb.CancelCaseRequest(tenant="south", case_id="case-2"), None)


async def test_a_report_that_cannot_be_stored_fails_the_case(world: Any, setting: Any) -> None:
    event = await setting.compose(world, setting.sample_report(), publish=False)
    await world.worker.report_lost(event, NotFound("the identity is gone"))
    lost = await world.gateway.store.cases.get("north", setting.CASE_ID)
    assert (lost.status, lost.reason) == ("failed", "NOT_FOUND")
    await setting.compose(world, setting.sample_report())
    found = await world.gateway.store.cases.get("north", setting.CASE_ID)
    assert (found.status, found.reason) == ("completed", "")


def test_every_setting_is_documented() -> None:
    fields = Settings.__dataclass_fields__
    described = {row.variable for row in settings.describe(Settings, "gateway")}
    assert len(described) == len(fields)


@pytest.mark.requirement("DX-CRI-19")
@pytest.mark.parametrize("waiting", [[3, 1, 0], [1] * 999])
async def test_after_a_start_critical_results_are_taken_before_reports(
    world: Any, monkeypatch: pytest.MonkeyPatch, waiting: list[int]
) -> None:
    monkeypatch.setattr(gateway_worker, "LOOK_S", 0.001)
    monkeypatch.setattr(gateway_worker, "FIRST_S", 0.05)
    seen: list[str] = []

    class Bus(MemoryBus):
        async def consume(self, topic: Any, *rest: Any, **more: Any) -> None:
            seen.append(topic.name)

    class Queues:
        async def waiting(self, topic: Any, service: str = "") -> int:
            seen.append(f"waiting {topic.name}")
            return waiting.pop(0)

    left = len(waiting)
    await GatewayWorker(replace(world.gateway, bus=Bus(), queues=Queues())).start(1)
    assert seen[0] == "finding.critical" and seen[-1] == "report.composed"
    assert seen[-2] == "waiting finding.critical"
    assert (left == 3) == (not waiting)  # it does not wait for ever either
