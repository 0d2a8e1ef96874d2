"""Joining, composing and announcing over a real database, with a bus in memory."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from dxmesh.event.v1.case_stopped_pb2 import CaseStopped
from dxmesh.event.v1.finding_ready_pb2 import FindingReady
from dxmesh.labs.v1.lab_findings_pb2 import LabFindings, LabResult
from google.protobuf.message import Message

from services.kernel.errors import InvalidInput, Unavailable
from services.kernel.subjects import Topic
from services.kernel.testing import MemoryBus


class AwayBus(MemoryBus):
    """A bus that confirms nothing."""

    async def publish(self, topic: Topic, event: Message, *, message_id: str) -> None:
        raise Unavailable("the bus does not confirm a message")


@pytest.mark.requirement("DX-REP-02")
async def test_one_report_when_the_last_part_ends(world: Any) -> None:
    await world.deidentified()
    await world.completed(0)
    await world.completed(1)
    assert not world.reports()
    await world.completed(2)
    [report] = world.reports()
    assert (report.version, list(report.missing_parts)) == (1, [])
    assert [image.name for image in report.images] == [
        "findings/key-nodule-1.png",
        "findings/key-nodule-2.png",
    ]


@pytest.mark.requirement("DX-REP-05")
async def test_every_event_twice_and_out_of_order_is_one_report(world: Any) -> None:
    for _ in range(2):
        for number in (2, 0, 1):
            await world.completed(number)
        await world.deidentified()
    assert [report.version for report in world.reports()] == [1]


@pytest.mark.requirement("DX-REP-05")
async def test_parts_that_end_at_the_same_moment_make_one_report(world: Any) -> None:
    await world.deidentified()
    await asyncio.gather(*(world.completed(number) for number in (0, 1, 2, 0, 1, 2)))
    await world.worker.look()
    assert [report.version for report in world.reports()] == [1]


@pytest.mark.requirement("DX-REP-03")
async def test_at_the_due_time_the_report_says_what_is_missing(world: Any) -> None:
    await world.deidentified()
    await world.completed(1)
    await world.worker.look()
    assert not world.reports()
    world.time += timedelta(hours=1)
    await world.worker.look()
    await world.worker.look()
    [report] = world.reports()
    assert list(report.missing_parts) == ["imaging-1", "nlp-1"]
    assert "影像部分（imaging-1）缺失" in await world.conclusion()


@pytest.mark.requirement("DX-REP-04")
async def test_a_late_part_updates_the_same_resources(world: Any) -> None:
    await world.deidentified()
    await world.completed(1)
    world.time += timedelta(hours=1)
    await world.worker.look()
    await world.completed(0)
    await world.completed(2)
    assert [report.version for report in world.reports()] == [1, 2, 3]
    first, last = await world.bundle(0), await world.bundle(2)
    ids = [{entry["resource"]["id"] for entry in each["entry"]} for each in (first, last)]
    assert ids[0] < ids[1]
    assert "缺失" not in await world.conclusion()


@pytest.mark.requirement("DX-REP-06")
async def test_a_part_that_failed_is_named_and_the_others_are_reported(world: Any) -> None:
    await world.deidentified()
    await world.failed(0)
    await world.completed(1)
    await world.completed(2)
    conclusion = await world.conclusion()
    assert "影像部分（imaging-1）分析失败：a slice is cut short。" in conclusion
    assert "危急值1项：钾 6.80 mmol/L" in conclusion


@pytest.mark.requirement("DX-REP-06")
@pytest.mark.parametrize(
    "nonsense",
    [
        LabFindings(results=[LabResult(observation_id="x", flag=99)]),  # type: ignore[arg-type]  # a flag nobody knows
        FindingReady(part_id="\xff" * 40),  # another message
    ],
)
async def test_findings_that_cannot_be_used_fail_their_part_alone(
    world: Any, nonsense: Message
) -> None:
    await world.deidentified()
    await world.completed(0)
    await world.completed(1, nonsense)
    await world.completed(2)
    conclusion = await world.conclusion()
    assert "检验部分（labs-1）分析失败：分析结果损坏，无法读取。" in conclusion
    assert "肺结节：标出2处" in conclusion


@pytest.mark.requirement("DX-REP-05")
async def test_a_crash_before_the_announcement_loses_nothing(world: Any) -> None:
    world.restart(AwayBus())
    with pytest.raises(Unavailable):
        await world.everything()
    bus = MemoryBus()
    world.restart(bus)
    await world.worker.look()
    assert [report.version for report in world.reports()] == [1]
    await world.worker.look()
    assert len(world.reports()) == 1


@pytest.mark.requirement("DX-REP-05")
async def test_a_crash_between_claim_and_composing_is_made_good(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = world.blobs.put

    async def away(*_: object) -> None:
        raise Unavailable("the blob store does not answer")

    await world.deidentified()
    await world.completed(0)
    await world.completed(1)
    ref = await put("demo", "0f9e1c52-6c1b-5a0e-9d5b-2f6a0c7b1d11", "findings/nlp-1", b"")
    event = FindingReady(case=world.case(), part_id="nlp-1", findings=ref, outcome=1, kind=3)
    monkeypatch.setattr(world.blobs, "put", away)
    with pytest.raises(Unavailable):
        await world.worker.on_finding(event)
    monkeypatch.undo()
    composed_at = world.time
    world.time += timedelta(seconds=11)
    await world.worker.look()
    [report] = world.reports()
    assert report.composed_time.ToDatetime(composed_at.tzinfo) == composed_at


async def test_a_second_replica_composes_the_same_bytes(world: Any) -> None:
    await world.everything()
    [version] = await world.store.versions("demo", world.case().case_id)
    world.time += timedelta(minutes=1)
    await world.worker._compose("demo", world.case().case_id, version)
    [report] = world.reports()
    await world.blobs.get("demo", report.bundle)  # raises Damaged unless it is what was announced


@pytest.mark.requirement("DX-REP-07")
async def test_a_stopped_case_has_no_report_whatever_arrives(world: Any) -> None:
    await world.worker.on_stopped(CaseStopped(case=world.case(), step="gateway"))
    await world.everything()
    world.time += timedelta(hours=2)
    await world.worker.look()
    assert not world.reports()


@pytest.mark.requirement("DX-REP-07")
async def test_a_case_whose_key_is_gone_is_dropped_quietly(world: Any) -> None:
    await world.deidentified()
    await world.completed(0)
    await world.completed(1)
    await world.blobs.destroy("demo", world.case().case_id)
    await world.failed(2)
    assert not world.reports()


async def test_tenants_do_not_share_a_case(world: Any) -> None:
    await world.everything()
    await world.deidentified(tenant="other")
    state = await world.store.state("other", world.case().case_id)
    assert state.endings == {}
    assert len(world.reports()) == 1


async def test_one_broken_case_does_not_hold_up_the_others(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.deidentified(tenant="broken")
    await world.deidentified()
    world.time += timedelta(hours=1)
    advance = world.worker.advance

    async def sometimes(tenant: str, case_id: str) -> None:
        if tenant == "broken":
            raise RuntimeError
        await advance(tenant, case_id)

    monkeypatch.setattr(world.worker, "advance", sometimes)
    await world.worker.look()
    assert len(world.reports()) == 1


async def test_a_finding_without_an_outcome_is_refused(world: Any) -> None:
    with pytest.raises(InvalidInput):
        await world.worker.on_finding(FindingReady(case=world.case(), part_id="labs-1"))
