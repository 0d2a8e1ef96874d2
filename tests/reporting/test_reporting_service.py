"""State and signature of a report."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from dxmesh.event.v1.feedback_given_pb2 import VERDICT_AGREE, VERDICT_DISAGREE, VERDICT_EDIT
from dxmesh.event.v1.finding_ready_pb2 import OUTCOME_COMPLETED, OUTCOME_UNSPECIFIED
from dxmesh.reporting.v1 import reporting_service_pb2 as pb

from services.kernel import subjects
from services.kernel.errors import InvalidInput, NotFound, Unavailable
from services.kernel.testing import MemoryBus
from services.reporting.signing import NotReviewed, ReportLocked, ReportMovedOn

TAG = {"system": "urn:dxmesh:review", "code": "finding"}


async def to_review(world: Any) -> list[str]:
    resources = [entry["resource"] for entry in (await world.bundle())["entry"]]
    return [each["id"] for each in resources if TAG in each.get("meta", {}).get("tag", [])]


async def request(world: Any, version: int = 1, **changes: Any) -> pb.SignReportRequest:
    fields: dict[str, Any] = {
        "tenant": "demo",
        "case_id": world.case().case_id,
        "version": version,
        "signer": "physician-1",
        "request_id": "request-1",
        "verdicts": [
            pb.FindingVerdict(finding_id=each, verdict=VERDICT_AGREE)
            for each in await to_review(world)
        ],
    }
    return pb.SignReportRequest(**fields | changes)


async def sign(world: Any, **changes: Any) -> pb.SignReportResponse:
    return await world.service.SignReport(await request(world, **changes), None)


@pytest.mark.requirement("DX-REP-08")
async def test_a_signature_locks_the_version_and_is_announced_with_the_verdicts(
    world: Any,
) -> None:
    await world.everything()
    response = await sign(world)
    assert not response.amendment
    [signed] = world.bus.published(subjects.REPORT_SIGNED)
    assert (signed.version, signed.signer, signed.amendment) == (1, "physician-1", False)
    given = world.bus.published(subjects.FEEDBACK_GIVEN)
    assert {each.finding_id for each in given} == set(await to_review(world))
    with pytest.raises(ReportLocked):
        await sign(world, request_id="request-2")


@pytest.mark.requirement("DX-REP-08")
async def test_the_feedback_names_the_model_that_made_the_finding(world: Any) -> None:
    await world.everything()
    ids = await to_review(world)
    verdicts = [
        pb.FindingVerdict(finding_id=each, verdict=VERDICT_DISAGREE, model_name="another")
        for each in ids
    ]
    await sign(world, verdicts=verdicts)
    models = [each.model_name for each in world.bus.published(subjects.FEEDBACK_GIVEN)]
    assert models == [
        "lung-nodule-scorer",
        "lung-nodule-scorer",
        "lung-nodule-scorer",
        "dxmesh-labs-rules",
        "dxmesh-labs-rules",
        "dxmesh-labs-rules",
        "dxmesh-notes-rules",
        *["dxmesh-suggestion-rules"] * (len(ids) - 7),
    ]


@pytest.mark.requirement("DX-REP-09")
async def test_the_same_request_again_gets_the_same_answer(world: Any) -> None:
    await world.everything()
    first = await sign(world)
    world.time += timedelta(minutes=5)
    assert await sign(world) == first
    assert len(world.bus.published(subjects.REPORT_SIGNED)) == 1


@pytest.mark.requirement("DX-REP-09")
async def test_of_two_physicians_at_once_one_signs(world: Any) -> None:
    await world.everything()
    answers = await asyncio.gather(
        *(sign(world, request_id=f"request-{n}", signer=f"physician-{n}") for n in range(4)),
        return_exceptions=True,
    )
    refused = [each for each in answers if isinstance(each, ReportLocked)]
    assert len(refused) == 3
    assert len(world.bus.published(subjects.REPORT_SIGNED)) == 1


@pytest.mark.requirement("DX-REP-08")
async def test_a_version_the_physician_did_not_see_is_not_signed(world: Any) -> None:
    await world.deidentified()
    world.time += timedelta(hours=1)
    await world.worker.look()
    seen = await request(world)
    await world.completed(1)
    with pytest.raises(ReportMovedOn) as refused:
        await world.service.SignReport(seen, None)
    assert refused.value.facts == {"current": "2", "reviewed": "1"}


@pytest.mark.requirement("DX-REP-10")
async def test_a_late_part_after_the_signature_is_signed_as_an_amendment(world: Any) -> None:
    await world.deidentified()
    await world.completed(1)
    world.time += timedelta(hours=1)
    await world.worker.look()
    await sign(world)
    await world.completed(0)
    ask = pb.GetReportStateRequest(tenant="demo", case_id=world.case().case_id)
    state = await world.service.GetReportState(ask, None)
    assert (state.version, state.signed_version) == (2, 1)
    response = await sign(world, version=2, request_id="request-2")
    assert response.amendment
    assert [each.amendment for each in world.bus.published(subjects.REPORT_SIGNED)] == [False, True]


@pytest.mark.requirement("DX-REP-10")
async def test_a_signed_version_is_amended_by_who_saw_its_signature(world: Any) -> None:
    await world.everything()
    first = await sign(world)
    world.time += timedelta(minutes=5)
    ids = await to_review(world)
    refused = [pb.FindingVerdict(finding_id=each, verdict=VERDICT_DISAGREE) for each in ids]
    change = {"request_id": "request-2", "amends_time": first.signed_time, "verdicts": refused}
    second = await sign(world, **change)
    assert second.amendment and second.signed_time.seconds == first.signed_time.seconds + 300
    assert await sign(world, **change) == second
    with pytest.raises(ReportLocked):
        await sign(world, request_id="request-3", amends_time=first.signed_time)
    assert [each.amendment for each in world.bus.published(subjects.REPORT_SIGNED)] == [False, True]
    assert len(world.bus.published(subjects.FEEDBACK_GIVEN)) == 2 * len(ids)


@pytest.mark.requirement("DX-REP-08")
async def test_every_finding_needs_one_usable_verdict(world: Any) -> None:
    await world.everything()
    ids = await to_review(world)
    verdicts = [
        pb.FindingVerdict(finding_id=ids[0], verdict=VERDICT_AGREE),
        pb.FindingVerdict(finding_id=ids[0], verdict=VERDICT_AGREE),
        pb.FindingVerdict(finding_id=ids[1]),
        pb.FindingVerdict(finding_id=ids[2], verdict=VERDICT_EDIT),
        pb.FindingVerdict(finding_id=ids[3], verdict=VERDICT_AGREE, correction="no"),
        pb.FindingVerdict(finding_id="nothing", verdict=VERDICT_AGREE),
    ]
    with pytest.raises(NotReviewed) as refused:
        await sign(world, verdicts=verdicts)
    assert [each.path for each in refused.value.violations] == [
        "verdicts[1].finding_id",
        "verdicts[2].verdict",
        "verdicts[3].correction",
        "verdicts[4].correction",
        "verdicts[5].finding_id",
        *["verdicts"] * (len(ids) - 4),
    ]
    assert not world.bus.published(subjects.FEEDBACK_GIVEN)


async def test_a_signature_while_the_bus_is_away_is_announced_later(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.everything()
    signing = await request(world)
    monkeypatch.setattr(world.service._sender, "send", _away)
    await world.service.SignReport(signing, None)
    world.restart(MemoryBus())
    await world.worker.look()
    assert len(world.bus.published(subjects.REPORT_SIGNED)) == 1
    assert len(world.bus.published(subjects.FEEDBACK_GIVEN)) == len(signing.verdicts)


async def _away(*_: object) -> None:
    raise Unavailable("the bus does not confirm a message")


async def test_the_state_of_a_case_in_work(world: Any) -> None:
    await world.deidentified()
    await world.completed(1)
    ask = pb.GetReportStateRequest(tenant="demo", case_id=world.case().case_id)
    state = await world.service.GetReportState(ask, None)
    assert state.version == 0
    assert [(part.part_id, part.outcome) for part in state.parts] == [
        ("imaging-1", OUTCOME_UNSPECIFIED),
        ("labs-1", OUTCOME_COMPLETED),
        ("nlp-1", OUTCOME_UNSPECIFIED),
    ]


async def test_a_case_nobody_knows_and_a_request_without_a_signer(world: Any) -> None:
    ask = pb.GetReportStateRequest(tenant="demo", case_id="nobody")
    with pytest.raises(NotFound):
        await world.service.GetReportState(ask, None)
    with pytest.raises(NotFound):
        await world.service.SignReport(
            pb.SignReportRequest(case_id="nobody", signer="a", request_id="b"), None
        )
    with pytest.raises(InvalidInput):
        await world.service.SignReport(pb.SignReportRequest(case_id="nobody"), None)
