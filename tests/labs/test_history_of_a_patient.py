"""Two cases of one patient from the intake through anonymization to what labs finds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.event.v1.case_ref_pb2 import CaseRef
from dxmesh.event.v1.case_stopped_pb2 import CaseStopped
from dxmesh.event.v1.consent_withdrawn_pb2 import ConsentWithdrawn
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeManifest
from dxmesh.labs.v1.lab_findings_pb2 import LabFindings
from google.protobuf.timestamp_pb2 import Timestamp

from services.kernel import subjects
from services.labs.store import History
from services.labs.worker import LabsWorker
from tests.anonymization.zone import Mesh, open_mesh
from tests.labs.history_cases import BOUNDS

RECEIVED_S = 1_770_000_000
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "name": [{"text": "赵铁柱"}],
    "identifier": [{"value": "MRN0042917"}],
    "gender": "male",
    "birthDate": "1960-05-02",
}


def creatinine(value: int, time: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "c",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "14682-9"}], "text": "肌酐"},
        "subject": {"reference": "Patient/p1", "display": "赵铁柱"},
        "effectiveDateTime": time,
        "valueQuantity": {"value": value, "unit": "umol/L"},
    }


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    async for made in open_mesh():
        await LabsWorker(made.bus, made.analysis, history=History(made.analysis, BOUNDS)).start(1)
        yield made


async def receive(mesh: Mesh, number: int, observation: dict[str, Any]) -> LabFindings:
    """Send the n-th case of the patient and return what labs found."""
    scope, case_id = f"intake-{number}", f"case-{number}"
    entries = [{"resource": each} for each in (PATIENT, observation)]
    bundle = json.dumps({"resourceType": "Bundle", "entry": entries}).encode()
    stored = await mesh.intake.put("demo", scope, "bundle", bundle)
    manifest = IntakeManifest(bundle=stored, purpose="TREAT").SerializeToString()
    ref = await mesh.intake.put("demo", scope, "manifest", manifest)
    time = Timestamp(seconds=RECEIVED_S + number)
    case = CaseRef(tenant="demo", case_id=case_id, received_time=time)
    event = CaseReceived(case=case, manifest=ref, subject_key="subject-1")
    await mesh.bus.publish(subjects.CASE_RECEIVED, event, message_id=case_id)
    assert not mesh.bus.dead
    found = BlobRef(scope=case_id, name="findings/labs-1")
    return LabFindings.FromString(await mesh.analysis.get("demo", found))


EARLY = creatinine(80, "2026-02-01T08:00:00+08:00")
LATE = creatinine(170, "2026-02-02T20:00:00+08:00")


@pytest.mark.requirement("DX-LAB-60")
async def test_the_second_case_is_read_beside_the_first(mesh: Mesh) -> None:
    await receive(mesh, 1, EARLY)
    (result,) = (found := await receive(mesh, 2, LATE)).results
    (before,) = result.earlier
    # Both dates were moved by the same days, so the span between them is the true one.
    assert (before.value, before.hours_before) == ("80", 36)
    assert not result.effective_time.startswith("2026-02-02")
    assert any(each.risk_id == "aki-stage-2" for each in found.risks)


@pytest.mark.requirement("DX-LAB-60")
async def test_what_is_kept_names_nobody(mesh: Mesh) -> None:
    await receive(mesh, 1, EARLY)
    (part,) = mesh.bus.published(subjects.PART_LABS)
    page = await History(mesh.analysis, BOUNDS).page(part)
    kept = str(page)
    assert page and page.parts and "creatinine" in kept
    for planted in ("赵铁柱", "MRN0042917", "1960", "2026-02-01", "subject-1", "肌酐"):
        assert planted not in kept


@pytest.mark.requirement("DX-LAB-60")
async def test_a_withdrawal_and_a_stop_end_what_is_kept(mesh: Mesh) -> None:
    await receive(mesh, 1, EARLY)
    withdrawn = ConsentWithdrawn(tenant="demo", subject_key="subject-1", consent_version="c/2")
    withdrawn.recorded_time.FromSeconds(RECEIVED_S + 1)
    await mesh.bus.publish(subjects.CONSENT_WITHDRAWN, withdrawn, message_id="w")
    assert not (await receive(mesh, 2, LATE)).results[0].earlier
    stopped = CaseStopped(case=CaseRef(tenant="demo", case_id="case-2"), step="gateway")
    later = creatinine(180, "2026-02-05T08:00:00+08:00")
    assert (await receive(mesh, 3, later)).results[0].earlier
    await mesh.bus.publish(subjects.CASE_STOPPED, stopped, message_id="s")
    last = creatinine(190, "2026-02-06T08:00:00+08:00")
    values = [each.value for each in (await receive(mesh, 4, last)).results[0].earlier]
    assert values == ["180"]
