"""Critical results as labs and imaging say them, for tests of the gateway."""

from __future__ import annotations

from typing import Any

import orjson
from dxmesh.anonymization.v1.anonymization_service_pb2 import ReidentifyResponse
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_IMAGING, PART_KIND_LABS, CaseRef
from dxmesh.event.v1.critical_found_pb2 import (
    CRITICAL_DIRECTION_HIGH,
    CRITICAL_DIRECTION_PRESENT,
    CriticalFound,
    CriticalResult,
)
from dxmesh.imaging.v1.imaging_findings_pb2 import (
    FUNCTION_HAEMORRHAGE,
    Answer,
    Finding,
    ImagingFindings,
)
from dxmesh.labs.v1.lab_findings_pb2 import LabFindings, LabResult

from services.kernel import subjects

REFERENCES = {"lab-1": "Observation/k-1", "lab-2": "Observation/glucose-1"}


def identity(setting: Any, **changes: Any) -> ReidentifyResponse:
    """Return whom the cases are about; `changes` are members of the order."""
    order = setting.ORDER | {"requester": {"reference": "Practitioner/ward-doctor"}} | changes
    return ReidentifyResponse(
        patient_json=orjson.dumps(setting.PATIENT),
        service_request_json=orjson.dumps(order),
        days_to_true_date=11,
        references=REFERENCES,
    )


def potassium(
    value: str = "6.8", result_id: str = "lab-1", at: str = "2026-11-15T08:00:00Z"
) -> LabResult:
    return LabResult(
        source_display="K (serum)",
        observation_id=result_id,
        loinc_code="2823-3",
        display_en="Potassium",
        display_zh="钾",
        value_text=value,
        unit_text="mmol/L",
        canonical_value=value,
        canonical_unit="mmol/L",
        effective_time=at,
    )


def high(result_id: str = "lab-1") -> CriticalResult:
    return CriticalResult(
        result_id=result_id,
        direction=CRITICAL_DIRECTION_HIGH,
        limit="6.2",
        limit_unit="mmol/L",
        limit_source="Demo Hospital",
    )


async def event(
    world: Any,
    setting: Any,
    *,
    results: list[LabResult] | None = None,
    told: list[CriticalResult] | None = None,
    retracted: tuple[str, ...] = (),
    ref: CaseRef | None = None,
    at: int = 1_790_000_000,
    restricted: bool = False,
) -> CriticalFound:
    """Store findings as labs does, and return the event that goes ahead of them."""
    ref = ref or setting.case_ref()
    world.peers.identity = world.peers.identity if restricted else identity(setting)
    results = [potassium()] if results is None else results
    content = LabFindings(results=results).SerializeToString()
    blob = await world.analysis.put(ref.tenant, ref.case_id, f"findings/labs-1/{at}", content)
    made = CriticalFound(
        case=ref,
        part_id="labs-1",
        kind=PART_KIND_LABS,
        findings=blob,
        results=[high()] if told is None else told,
        retracted_ids=retracted,
    )
    made.found_time.FromSeconds(at)
    return made


async def images(
    world: Any, setting: Any, *kinds: str, answers: int = 0, part_id: str = "imaging-1"
) -> CriticalFound:
    """Return the event of urgent findings on images."""
    ref = setting.case_ref()
    world.peers.identity = identity(setting)
    found = ImagingFindings(answers=[Answer(urgent=True, function=FUNCTION_HAEMORRHAGE)] * answers)
    for number, kind in enumerate(kinds, 1):
        found.findings.append(Finding(finding_id=f"{kind}-{number}", kind=kind, urgent=True))
    name = f"findings/{part_id}"
    blob = await world.analysis.put(ref.tenant, ref.case_id, name, found.SerializeToString())
    ids = [each.finding_id for each in found.findings]
    ids += [f"answer-{n}" for n in range(1, answers + 1)]
    made = CriticalFound(case=ref, part_id=part_id, kind=PART_KIND_IMAGING, findings=blob)
    made.found_time.FromSeconds(1_790_000_000)
    for each in ids:
        made.results.add(result_id=each, direction=CRITICAL_DIRECTION_PRESENT)
    return made


async def send(world: Any, made: CriticalFound) -> None:
    """Publish an event; nothing is given up."""
    await world.bus.publish(subjects.FINDING_CRITICAL, made, message_id=str(id(made)))
    assert world.bus.dead == []


async def tell(world: Any, setting: Any, **changes: Any) -> list[dict[str, Any]]:
    """Tell a critical result, and return the Communications there are."""
    await send(world, await event(world, setting, **changes))
    return await communications(world)


async def communications(world: Any, query: str = "") -> list[dict[str, Any]]:
    """Return what a search of the EHR finds, first sent first."""
    bundle = (await world.get(f"/fhir/Communication?_sort=sent{query}")).json()
    return [entry["resource"] for entry in bundle.get("entry", [])]
