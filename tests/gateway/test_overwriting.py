"""Ids that a submission shares with another patient's resources are refused, not overwritten."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from dxmesh.anonymization.v1.anonymization_service_pb2 import ReidentifyResponse

from services.gateway.fhir import overwriting
from services.kernel import subjects

FHIR = "application/fhir+json"
OTHER_NUMBER = {"system": "urn:test:mrn", "value": "MRN-0002"}


def bundle(*resources: Any) -> dict[str, Any]:
    entries = [{"resource": each} for each in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def somebody_else(setting: Any, **changes: Any) -> dict[str, Any]:
    """Return a Patient under the same id with another medical record number."""
    return {**copy.deepcopy(setting.PATIENT), "identifier": [OTHER_NUMBER], **changes}


async def put(world: Any, resource: dict[str, Any]) -> None:
    path = f"/fhir/{resource['resourceType']}/{resource['id']}"
    headers = {**world.bearer(), "Content-Type": FHIR}
    answer = await world.http.put(path, content=orjson.dumps(resource), headers=headers)
    assert answer.status_code in (200, 201), answer.text


def potassium(patient: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "k",
        "status": "final",
        "code": {"text": "Potassium"},
        "subject": {"reference": patient},
    }


def refused(answer: Any) -> list[str]:
    """Return the paths that a refusal names."""
    assert answer.status_code == 422, answer.text
    issues = answer.json()["issue"]
    assert {i["details"]["coding"][0]["code"] for i in issues} == {overwriting.REASON}
    assert all(i["code"] == "conflict" and "unique id" in i["details"]["text"] for i in issues)
    assert "MRN" not in answer.text and "Zhang" not in answer.text
    return [issue["expression"][0] for issue in issues]


@pytest.mark.requirement("DX-GW-28")
async def test_a_patient_with_another_number_does_not_take_a_stored_patients_id(
    world: Any, setting: Any
) -> None:
    await setting.compose(world, setting.sample_report())
    answer = await world.submit(bundle(somebody_else(setting), setting.ORDER))
    assert refused(answer) == ["Bundle.entry[0].resource.id"]
    assert world.peers.submitted == []
    stored = (await world.get("/fhir/Patient/p-1")).json()
    assert stored["identifier"][0]["value"] == "MRN-7431"


@pytest.mark.requirement("DX-GW-28")
async def test_the_same_patient_goes_on_as_before(world: Any, setting: Any) -> None:
    await setting.compose(world, setting.sample_report())
    both = [*setting.PATIENT["identifier"], OTHER_NUMBER]
    insured = [{"system": "urn:test:insurance", "value": "77"}]
    for identifier in (setting.PATIENT["identifier"], both, insured, []):
        again = {**setting.PATIENT, "identifier": identifier}
        answer = await world.submit(bundle(again, setting.ORDER))
        assert answer.status_code == 201, answer.text


@pytest.mark.requirement("DX-GW-28")
async def test_a_case_that_waits_has_its_patients_id_already(world: Any, setting: Any) -> None:
    assert (await world.submit(bundle(setting.PATIENT, setting.ORDER))).status_code == 201
    answer = await world.submit(bundle(somebody_else(setting), setting.ORDER))
    assert refused(answer) == ["Bundle.entry[0].resource.id"]
    again = await world.submit(bundle(setting.PATIENT, {**setting.ORDER, "id": "order-2"}))
    assert again.status_code == 201


@pytest.mark.requirement("DX-GW-28")
async def test_a_resource_of_another_patient_keeps_its_id(world: Any, setting: Any) -> None:
    await setting.compose(world, setting.sample_report())
    await put(world, potassium("Patient/p-1"))
    stranger = somebody_else(setting, id="p-2")
    order = {**setting.ORDER, "subject": {"reference": "Patient/p-2"}}
    answer = await world.submit(bundle(stranger, order, potassium("Patient/p-2")))
    assert refused(answer) == ["Bundle.entry[1].resource.id", "Bundle.entry[2].resource.id"]
    own = {**order, "id": "order-2"}
    kalium = {**potassium("Patient/p-2"), "id": "k-2"}
    assert (await world.submit(bundle(stranger, own, kalium))).status_code == 201


@pytest.mark.requirement("DX-GW-28")
async def test_one_person_under_two_ids_is_one_person(world: Any, setting: Any) -> None:
    await setting.compose(world, setting.sample_report())
    await put(world, potassium("Patient/p-1"))
    renamed = {**setting.PATIENT, "id": "p-2"}
    order = {**setting.ORDER, "subject": {"reference": "Patient/p-2"}}
    answer = await world.submit(bundle(renamed, order, potassium("Patient/p-2")))
    assert answer.status_code == 201, answer.text


@pytest.mark.requirement("DX-GW-28")
async def test_a_subject_named_by_a_full_url_is_the_patient_of_its_case(
    world: Any, setting: Any
) -> None:
    sent = {**setting.ORDER, "subject": {"reference": "urn:uuid:0e6f"}}
    event = await setting.compose(world, setting.sample_report(), publish=False)
    world.peers.identity.service_request_json = orjson.dumps(sent)
    await world.bus.publish(subjects.REPORT_COMPOSED, event, message_id="composed")
    again = {**setting.ORDER, "subject": {"reference": "urn:uuid:ffff"}}
    answer = await world.submit(bundle(somebody_else(setting, id="p-2"), again))
    assert refused(answer) == ["Bundle.entry[1].resource.id"]
    assert (await world.submit(bundle(setting.PATIENT, again))).status_code == 201


@pytest.mark.requirement("DX-GW-28")
async def test_a_case_that_was_accepted_meanwhile_fails_and_overwrites_nothing(
    world: Any, setting: Any
) -> None:
    await setting.compose(world, setting.sample_report())
    other = "5b0dd02d-fd1f-44ba-9b8d-6f7a30a8d6a1"
    world.peers.identities[other] = ReidentifyResponse(
        patient_json=orjson.dumps(somebody_else(setting)),
        service_request_json=orjson.dumps({**setting.ORDER, "id": "order-2"}),
    )
    event = await setting.compose(
        world, setting.sample_report(), ref=setting.case_ref(other), publish=False
    )
    await world.bus.publish(subjects.REPORT_COMPOSED, event, message_id="other")
    task = (await world.get(f"/fhir/Task/{other}")).json()
    assert task["status"] == "failed"
    assert task["statusReason"]["coding"][0]["code"] == overwriting.REASON
    stored = (await world.get("/fhir/Patient/p-1")).json()
    assert stored["identifier"][0]["value"] == "MRN-7431"
    assert (await world.get("/fhir/ServiceRequest/order-2")).status_code == 404


@pytest.mark.requirement("DX-GW-28")
@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (["a|1"], ["a|2"], True),
        (["a|1"], ["b|1"], False),
        (["a|1", "b|9"], ["a|2", "b|9"], False),
        (["|1"], ["|2"], True),
        ([], ["a|1"], False),
    ],
)
def test_who_differs(one: list[str], other: list[str], expected: bool) -> None:
    assert overwriting.differ(one, other) is expected
