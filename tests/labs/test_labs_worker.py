"""The labs worker and service over a bus and blobs in memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_LABS, CaseRef
from dxmesh.event.v1.finding_ready_pb2 import OUTCOME_COMPLETED, OUTCOME_FAILED, FindingReady
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.labs.v1 import labs_service_pb2 as pb
from dxmesh.labs.v1.lab_findings_pb2 import FLAG_CRITICAL_HIGH, FLAG_HIGH, LabFindings

from services.kernel import subjects
from services.kernel.blobs import Blobs
from services.kernel.errors import InvalidInput, TooLarge
from services.kernel.testing import MemoryBus, memory_blobs
from services.labs.service import AT_ONCE_BYTES, LabsService
from services.labs.worker import LabsWorker, read_limits

POTASSIUM = {
    "id": "k1",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
    "valueQuantity": {"value": 6.0, "unit": "mmol/L"},
}
PART = {"subject": {"sex": "male", "age_years": 62}, "observations": [POTASSIUM]}


async def part_of(blobs: Blobs, content: bytes, case_id: str = "case-1") -> PartReady:
    ref = await blobs.put("demo", case_id, "parts/labs-1", content)
    case = CaseRef(tenant="demo", case_id=case_id)
    return PartReady(case=case, part_id="labs-1", kind=PART_KIND_LABS, blobs=[ref])


async def send(
    worker: LabsWorker, bus: MemoryBus, part: PartReady, times: int = 1
) -> list[FindingReady]:
    await worker.start(concurrency=1)
    for number in range(times):
        await bus.publish(subjects.PART_LABS, part, message_id=f"part-{number}")
    return bus.published(subjects.FINDING_LABS)


@pytest.mark.requirement("DX-LAB-10")
async def test_part_becomes_findings_in_a_blob() -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    part = await part_of(blobs, json.dumps(PART).encode())
    (ready,) = await send(LabsWorker(bus, blobs), bus, part)
    assert (ready.outcome, ready.part_id, ready.case) == (OUTCOME_COMPLETED, "labs-1", part.case)
    found = LabFindings.FromString(await blobs.get("demo", ready.findings))
    assert [(r.observation_id, r.flag) for r in found.results] == [("k1", FLAG_HIGH)]
    (rules,) = ready.models
    assert (rules.runtime, rules.input_sha256) == ("rules", part.blobs[0].sha256)
    assert len(rules.model_sha256) == 64
    assert ready.finished_time.ToNanoseconds() >= ready.started_time.ToNanoseconds()


@pytest.mark.requirement("DX-LAB-11")
async def test_part_delivered_twice_is_announced_once() -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    part = await part_of(blobs, json.dumps(PART).encode())
    assert len(await send(LabsWorker(bus, blobs), bus, part, times=2)) == 1


@pytest.mark.requirement("DX-LAB-10")
async def test_part_that_can_never_be_read_is_reported_and_laid_aside() -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    (ready,) = await send(LabsWorker(bus, blobs), bus, await part_of(blobs, b"not json"))
    assert (ready.outcome, ready.refusal.reason) == (OUTCOME_FAILED, "NOT_JSON")
    assert not ready.HasField("findings")
    assert len(bus.dead) == 1


@pytest.mark.requirement("DX-CON-08")
async def test_case_whose_key_is_gone_is_left_alone() -> None:
    bus, blobs = MemoryBus(), memory_blobs()
    part = await part_of(blobs, json.dumps(PART).encode())
    await blobs.destroy("demo", "case-1")
    assert not await send(LabsWorker(bus, blobs), bus, part)
    assert not bus.dead


@pytest.mark.requirement("DX-LAB-06")
async def test_tenant_has_its_own_critical_limits(tmp_path: Path) -> None:
    table = "analyte\tunit\tlow\thigh\tsource\nk\tmmol/L\t3.0\t5.9\tDemo Hospital, 2026\n"
    (tmp_path / "demo.tsv").write_text(table)
    bus, blobs = MemoryBus(), memory_blobs()
    worker = LabsWorker(bus, blobs, read_limits(tmp_path))
    (ready,) = await send(worker, bus, await part_of(blobs, json.dumps(PART).encode()))
    found = LabFindings.FromString(await blobs.get("demo", ready.findings))
    assert found.results[0].flag == FLAG_CRITICAL_HIGH
    assert found.results[0].critical_source == "Demo Hospital, 2026"


@pytest.mark.requirement("DX-LAB-10")
async def test_panel_is_interpreted_at_once() -> None:
    request = pb.InterpretPanelRequest(panel_json=json.dumps(PART).encode())
    answer = await LabsService().InterpretPanel(request, None)
    large = pb.InterpretPanelRequest(panel_json=request.panel_json + b" " * AT_ONCE_BYTES)
    assert await LabsService().InterpretPanel(large, None) == answer  # on a thread
    assert answer.findings.results[0].canonical_value == "6.0"
    with pytest.raises(InvalidInput):
        await LabsService().InterpretPanel(pb.InterpretPanelRequest(panel_json=b"[]"), None)
    with pytest.raises(TooLarge):
        big = pb.InterpretPanelRequest(panel_json=b" " * ((1 << 20) + 1))
        await LabsService().InterpretPanel(big, None)
