"""POST /fhir: a Bundle becomes a case with a Task; what is refused is answered by path."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.gateway.progress import Case, Step, task, with_step
from services.kernel.errors import Forbidden, InvalidInput, RemoteError, Unavailable, Violation

FHIR = "application/fhir+json"


def bundle(setting: Any) -> dict[str, Any]:
    resources = [setting.PATIENT, setting.ORDER]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": resource} for resource in resources],
    }


@pytest.mark.requirement("DX-GW-05")
async def test_a_submission_answers_with_its_task(world: Any, setting: Any) -> None:
    answer = await world.submit(bundle(setting))
    assert answer.status_code == 201
    assert answer.headers["content-type"] == FHIR
    task = answer.json()
    assert task["resourceType"] == "Task" and task["status"] == "accepted"
    assert answer.headers["location"] == f"http://gateway/fhir/Task/{task['id']}"
    assert task["priority"] == "urgent" and task["for"]["reference"] == "Patient/p-1"
    assert orjson.loads(world.peers.submitted[0]) == bundle(setting)
    read = await world.get(f"/fhir/Task/{task['id']}")
    assert read.json() == task and read.headers["etag"] == 'W/"1"'


@pytest.mark.requirement("DX-GW-05")
async def test_the_same_submission_again_is_the_first_case(world: Any, setting: Any) -> None:
    first = await world.submit(bundle(setting))
    second = await world.submit(bundle(setting))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()


@pytest.mark.requirement("DX-GW-06")
async def test_a_refused_consent_is_403_and_a_rejected_task(world: Any, setting: Any) -> None:
    world.peers.fails = Forbidden("the consent has lapsed", reason="EXPIRED")
    answer = await world.submit(bundle(setting))
    assert answer.status_code == 403
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "EXPIRED"
    path = answer.headers["location"].removeprefix("http://gateway")
    task = (await world.get(path)).json()
    assert task["status"] == "rejected"
    assert task["statusReason"]["coding"][0]["code"] == "EXPIRED"
    assert "for" not in task
    assert (await world.submit(bundle(setting))).headers["location"] == answer.headers["location"]


@pytest.mark.requirement("DX-GW-07")
async def test_ingests_violations_come_back_by_path(world: Any, setting: Any) -> None:
    problems = [Violation("Bundle.entry", "no Patient"), Violation("Bundle.type", "missing")]
    world.peers.fails = RemoteError(
        "the Bundle cannot be used",
        reason="NOT_A_SUBMISSION",
        grpc_status="INVALID_ARGUMENT",
        facts={},
        violations=problems,
    )
    answer = await world.submit(bundle(setting))
    assert answer.status_code == 422
    found = [issue["expression"][0] for issue in answer.json()["issue"]]
    assert found == ["Bundle.entry", "Bundle.type"]
    assert (await world.get("/fhir/Task")).json().get("entry") is None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput("not JSON", reason="NOT_JSON"), 400),
        (InvalidInput("too deep", reason="TOO_DEEP"), 400),
        (Unavailable("ingest is away"), 503),
        (RuntimeError("Zhang 1964-03-15"), 500),
    ],
)
@pytest.mark.requirement("DX-GW-07")
async def test_every_error_is_an_operation_outcome(
    world: Any, setting: Any, error: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    world.peers.fails = error
    answer = await world.submit(bundle(setting))
    assert answer.status_code == status
    assert answer.headers["content-type"] == FHIR
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert ("retry-after" in answer.headers) == (status == 503)
    assert "Zhang" not in answer.text and "Zhang" not in caplog.text


async def test_what_is_too_large_empty_or_of_another_type_is_refused(world: Any) -> None:
    headers = {**world.bearer(), "Content-Type": FHIR}
    large = await world.http.post("/fhir", content=b"{" + b" " * (1 << 20), headers=headers)
    empty = await world.http.post("/fhir", content=b"  ", headers=headers)
    xml = await world.http.post(
        "/fhir", content=b"<Bundle/>", headers={**headers, "Content-Type": "application/fhir+xml"}
    )
    assert [large.status_code, empty.status_code, xml.status_code] == [413, 400, 415]
    assert world.peers.submitted == []


async def test_a_stream_without_a_length_is_cut_off_at_the_limit(world: Any) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        for _ in range(1000):
            sent += 64 << 10
            yield b" " * (64 << 10)

    headers = {**world.bearer(), "Content-Type": FHIR}
    answer = await world.http.post("/fhir", content=endless(), headers=headers)
    assert answer.status_code == 413 and sent < 4 << 20


@pytest.mark.requirement("DX-GW-08")
async def test_a_consent_is_recorded_for_the_patient_of_a_case(world: Any, setting: Any) -> None:
    headers = {**world.bearer(), "Content-Type": FHIR}
    consent = {
        "resourceType": "Consent",
        "id": "c-1",
        "status": "inactive",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"coding": [{"code": "59284-0"}]}],
        "patient": {"reference": "Patient/p-1"},
        "policyRule": {"coding": [{"code": "OPTIN"}]},
    }
    content = orjson.dumps(consent)
    unknown = await world.http.put("/fhir/Consent/c-1", content=content, headers=headers)
    assert unknown.status_code == 201 and world.peers.consents == [], "stored, and no more"
    await world.submit(bundle(setting))
    again = await world.http.put("/fhir/Consent/c-1", content=content, headers=headers)
    assert again.status_code == 200, "the same content, but now its patient is known"
    assert world.peers.consents[0][0] == "subject-1"
    posted = await world.http.post("/fhir/Consent", content=content, headers=headers)
    assert posted.status_code == 201
    sent = orjson.loads(world.peers.consents[1][1])
    assert sent["id"] == posted.json()["id"], "told under the id it is stored under"
    other = await world.http.put("/fhir/Consent/other", content=content, headers=headers)
    assert other.status_code == 400
    world.peers.fails = Unavailable("consent is away")
    failed = await world.http.put(
        "/fhir/Consent/c-1", content=content.replace(b"inactive", b"active"), headers=headers
    )
    assert failed.status_code == 503, "what consent does not know is not stored either"
    world.peers.fails = None
    await world.http.delete("/fhir/Consent/c-1", headers=world.bearer())
    assert orjson.loads(world.peers.consents[-1][1])["status"] == "inactive"
    await world.http.put("/fhir/Consent/c-1", content=content, headers=headers)
    assert (await world.get("/fhir/Consent/c-1")).json()["status"] == "inactive"


@pytest.mark.requirement("DX-RCV-05")
def test_images_that_are_awaited_are_a_problem_until_the_case_begins() -> None:
    problem = {"source": "Bundle.entry[4]", "reason": "IMAGES_AWAITED", "message": "12 are here"}
    received, begun = Step("received", "done", 1, 1), Step("deidentified", "done", 2, 3)
    case = with_step(Case("demo", "case-1", label={"problems": [problem]}), received)
    assert "IMAGES_AWAITED" in str(task(case))
    assert "IMAGES_AWAITED" not in str(task(with_step(case, begun)))
