"""Files of results through the gateway: HL7 v2 and CSV become cases with Tasks."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.event.v1.case_ref_pb2 import CaseRef
from dxmesh.ingest.v1.ingest_service_pb2 import SubmittedResults

from services.kernel import subjects
from services.kernel.errors import InvalidInput

HL7V2 = "application/hl7-v2"


def accepted(world: Any, setting: Any, case_id: str, **how: Any) -> SubmittedResults:
    """Let ingest answer with one more accepted case."""
    made = world.peers.results.submitted.add(source="message 1")
    made.accepted.case.CopyFrom(CaseRef(tenant="north", case_id=case_id))
    made.accepted.subject_key = "subject-1"
    made.accepted.duplicate = how.get("duplicate", False)
    entries = [{"resource": each} for each in (setting.PATIENT, setting.ORDER)]
    made.named_json = orjson.dumps({"resourceType": "Bundle", "entry": entries})
    return made


def refused(world: Any, reason: str, *, passing: bool = False) -> None:
    made = world.peers.results.submitted.add(source="message 2", passing=passing)
    made.refused.reason, made.refused.message = reason, "why it is not taken"


async def post(world: Any, kind: str = HL7V2, path: str = "/fhir", **more: Any) -> Any:
    headers = {**world.bearer(**more), "Content-Type": kind}
    return await world.http.post(path, content=b"MSH|...", headers=headers)


@pytest.mark.requirement("DX-HL7-07")
@pytest.mark.parametrize("path", ["/fhir", "/fhir/$submit"])
@pytest.mark.parametrize("kind", [HL7V2, "text/csv; charset=utf-8", "x-application/hl7-v2+er7"])
async def test_one_message_answers_as_a_submission(
    world: Any, setting: Any, path: str, kind: str
) -> None:
    made = accepted(world, setting, "case-1")
    made.accepted.problems.add(source="OBX[1]-5", reason="VALUE_TYPE_NOT_READ", message="not read")
    answer = await post(world, kind, path)
    assert answer.status_code == 201 and answer.json()["resourceType"] == "Task"
    assert answer.headers["location"].endswith("/fhir/Task/case-1")
    assert answer.json()["for"] == {"reference": "Patient/p-1"}
    assert "VALUE_TYPE_NOT_READ" in answer.text
    made.accepted.duplicate = True
    assert (await post(world, kind, path)).status_code == 200
    assert world.peers.media_types[0] == ("text/csv" if "csv" in kind else HL7V2)


@pytest.mark.requirement("DX-HL7-07")
@pytest.mark.parametrize(
    ("reason", "passing", "status"),
    [
        ("CONSENT_NO_CONSENT", False, 403),
        ("NO_PATIENT", False, 422),
        ("UNAVAILABLE", True, 503),
    ],
)
async def test_one_refused_message_has_the_status_that_fits(
    world: Any, reason: str, passing: bool, status: int
) -> None:
    refused(world, reason, passing=passing)
    answer = await post(world)
    assert answer.status_code == status
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == reason
    if status == 403:
        task = (await world.get(answer.headers["location"].removeprefix("http://gateway"))).json()
        assert task["status"] == "rejected"


@pytest.mark.requirement("DX-HL7-07")
async def test_several_messages_answer_each_by_itself(world: Any, setting: Any) -> None:
    accepted(world, setting, "case-1")
    refused(world, "NO_PATIENT")
    world.peers.results.problems.add(source="line[9]", reason="BATCH_COUNT", message="counts")
    bundle = (await post(world)).json()
    assert bundle["type"] == "batch-response"
    first, second, third = bundle["entry"]
    assert first["resource"]["id"] == "case-1" and first["response"]["status"] == "201"
    assert second["response"]["status"] == "422"
    assert "message 2" in second["response"]["outcome"]["issue"][0]["diagnostics"]
    assert "BATCH_COUNT" in str(third)


@pytest.mark.requirement("DX-HL7-08")
async def test_the_original_is_given_back_to_the_sender_and_nobody_else(
    world: Any, setting: Any
) -> None:
    accepted(world, setting, "case-1")
    await post(world)
    world.peers.originals["case-1"] = b"MSH|..."
    answer = await world.get("/fhir/Task/case-1/$original")
    assert answer.content == b"MSH|..." and answer.headers["content-type"] == HL7V2
    assert (await world.get("/fhir/Task/case-2/$original")).status_code == 404
    physician = await world.http.get("/fhir/Task/case-1/$original")
    assert physician.status_code == 401


@pytest.mark.requirement("DX-HL7-07")
async def test_what_ingest_says_of_the_whole_file_is_said(world: Any) -> None:
    world.peers.fails = InvalidInput("a column is not known", reason="UNKNOWN_COLUMN")
    answer = await post(world, "text/csv")
    assert answer.status_code == 422 and "UNKNOWN_COLUMN" in answer.text
    assert (await post(world, "text/plain")).status_code == 415


@pytest.mark.requirement("DX-HL7-03")
async def test_the_task_of_a_case_that_came_over_mllp_lists_what_was_left_out(
    world: Any, setting: Any
) -> None:
    event = CaseReceived(case=setting.case_ref(), subject_key="subject-1")
    event.left_out.add(place="OBX[2]-5", reason="VALUE_TYPE_NOT_READ", message="not read")
    for number in "12":
        await world.bus.publish(subjects.CASE_RECEIVED, event, message_id=number)
    task = (await world.get(f"/fhir/Task/{setting.CASE_ID}")).json()
    (told,) = [each for each in task["output"] if each.get("valueString")]
    assert told["valueString"] == "OBX[2]-5"
    assert told["type"]["coding"][1]["code"] == "VALUE_TYPE_NOT_READ"


@pytest.mark.requirement("DX-HL7-06")
async def test_a_consent_that_names_a_number_is_told_before_any_case(world: Any) -> None:
    consent = {
        "resourceType": "Consent",
        "id": "c-9",
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"coding": [{"code": "59284-0"}]}],
        "patient": {"identifier": {"system": "urn:oid:1.2.3", "value": "MRN1"}},
        "policyRule": {"coding": [{"code": "OPTIN"}]},
    }
    headers = {**world.bearer(), "Content-Type": "application/fhir+json"}
    await world.http.put("/fhir/Consent/c-9", content=orjson.dumps(consent), headers=headers)
    ((subject, _),) = world.peers.consents
    hasher = await world.gateway.hasher_for("north")
    assert subject == hasher("subject", "identifier", "urn:oid:1.2.3", "MRN1")
