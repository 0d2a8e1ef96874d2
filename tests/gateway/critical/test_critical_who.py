"""Who may see and acknowledge a critical result: labels, patients, versions, bad parameters."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.gateway.profiles import conform
from services.kernel import fhir

R = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
NIGHT = {"name": "reader", "valueReference": {"reference": "Practitioner/night"}}


async def acknowledge(
    world: Any, told: Any, *parameters: Any, name: str = "ehr", content: bytes = b"", **more: str
) -> Any:
    headers = {**world.bearer(name), "Content-Type": "application/fhir+json", **more}
    body = {"resourceType": "Parameters", "parameter": list(parameters or (NIGHT,))}
    return await world.http.post(
        f"/fhir/Communication/{told['id']}/$acknowledge",
        content=content or fhir.dump(body),
        headers=headers,
    )


def labels(resource: Any) -> list[str]:
    return [each["code"] for each in resource["meta"].get("security", [])]


@pytest.mark.requirement("DX-CRI-15")
async def test_a_label_on_a_result_counts_before_the_submission_is_noted(
    world: Any, setting: Any, telling: Any
) -> None:
    known = telling.identity(setting)
    known.confidentiality = "R"
    world.peers.identity = known
    (told,) = await telling.tell(world, setting, restricted=True)
    assert "R" in labels(told) and conform.problems(told) == []
    await world.sign_in()
    assert (await world.http.get(f"/fhir/Communication/{told['id']}")).status_code == 404
    for path in ("/worklist", f"/cases/{setting.CASE_ID}"):
        answer = await world.http.get(path, headers={"Accept": "text/html"})
        assert "6.8" not in answer.text and "Zhang" not in answer.text
    await setting.compose(world, setting.sample_report())
    report = (await world.get("/fhir/DiagnosticReport")).json()["entry"][0]["resource"]
    assert "R" in labels(report)


@pytest.mark.requirement("DX-CRI-15")
async def test_whoever_may_not_see_it_may_not_acknowledge_it(
    world: Any, setting: Any, telling: Any
) -> None:
    known = telling.identity(setting)
    known.confidentiality = "V"
    world.peers.identity = known
    (told,) = await telling.tell(world, setting, restricted=True)
    await world.sign_in()
    answer = await world.http.post(
        f"/cases/{setting.CASE_ID}/critical", data={"csrf": "x", "notice": told["id"]}
    )
    assert answer.status_code in (403, 404)
    (told,) = await telling.communications(world)
    assert told["status"] == "in-progress"


@pytest.mark.requirement("DX-CRI-16")
async def test_an_old_version_is_not_acknowledged(world: Any, setting: Any, telling: Any) -> None:
    (told,) = await telling.tell(world, setting)
    answer = await acknowledge(world, told, **{"If-Match": 'W/"7"'})
    assert answer.status_code == 412
    assert answer.json()["resourceType"] == "OperationOutcome"
    (told,) = await telling.communications(world)
    assert told["status"] == "in-progress"
    answer = await acknowledge(world, told, **{"If-Match": 'W/"1"'})
    assert answer.status_code == 200 and answer.json()["status"] == "completed"


@pytest.mark.requirement("DX-CRI-16")
@pytest.mark.parametrize(
    "parameters",
    [
        (NIGHT, NIGHT),
        (NIGHT, {"name": "raeder", "valueString": "x"}),
        ({"name": "READER", "valueReference": {"reference": "Practitioner/night"}},),
        ({"name": "reader", "valueReference": {"reference": "Practitioner/a/../b"}},),
        (
            {
                "name": "reader",
                "valueReference": {"reference": "https://else.example/Practitioner/1"},
            },
        ),
        ({"name": "reader", "valueReference": ["Practitioner/night"]},),
        ({"name": "reader", "valueReference": {"reference": "Practitioner/1", "display": 7}},),
        ("reader",),
    ],
)
async def test_parameters_that_say_something_else_are_refused_as_an_outcome(
    world: Any, setting: Any, telling: Any, parameters: Any
) -> None:
    (told,) = await telling.tell(world, setting)
    answer = await acknowledge(world, told, *parameters)
    assert answer.status_code == 400, answer.text
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome" and fhir.problems(outcome) == []
    (told,) = await telling.communications(world)
    assert told["status"] == "in-progress"


@pytest.mark.requirement("DX-CRI-16")
@pytest.mark.parametrize("content", [b"{", b"[]", b"null", b'{"resourceType":"Patient"}', b"\xff"])
async def test_content_that_is_no_parameters_is_refused(
    world: Any, setting: Any, telling: Any, content: bytes
) -> None:
    (told,) = await telling.tell(world, setting)
    answer = await acknowledge(world, told, content=content)
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.requirement("DX-CRI-16")
async def test_ten_people_at_once_are_ten_readers_and_ten_entries_of_the_trail(
    world: Any, setting: Any, telling: Any
) -> None:
    (told,) = await telling.tell(world, setting)
    people = [{"reference": f"Practitioner/p{n}"} for n in range(10)]
    answers = await asyncio.gather(
        *(acknowledge(world, told, {"name": "reader", "valueReference": p}) for p in people)
    )
    assert {each.status_code for each in answers} == {200}
    (told,) = await telling.communications(world)
    read = [e for e in told["extension"] if e["url"].endswith(":acknowledgement")]
    assert len(read) == 10 and told["status"] == "completed"
    assert conform.problems(told) == [] and fhir.problems(told) == []
    found = await world.get(
        f"/fhir/AuditEvent?entity=Communication/{told['id']}&_count=100", "auditor"
    )
    codes = [e["resource"]["subtype"][0]["code"] for e in found.json()["entry"]]
    assert codes.count("operation") == 10
