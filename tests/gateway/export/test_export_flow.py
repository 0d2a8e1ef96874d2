"""An export from its kick-off to its end: what is in it, and as of when."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

OBSERVATION = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "Potassium"},
    "subject": {"reference": "Patient/p-1"},
}
EXACT = (
    b'{ "resourceType" : "Observation","id":"exact", "status": "final",\n\r\n'
    b'  "code": {"text": "a \\n b \xe9\x92\xbe"}, "subject":{"reference":"Patient/p-1"},\n'
    b'  "valueQuantity": {"value": 6.800, "unit": "mmol/L"} }'
)


def patient(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p-{number}"} | more


def observation(number: int, patient: int = 1, **more: Any) -> dict[str, Any]:
    subject = {"reference": f"Patient/p-{patient}"}
    return OBSERVATION | {"id": f"o-{number}", "subject": subject} | more


@pytest.mark.requirement("DX-BLK-01")
async def test_everything_of_the_tenant_is_exported_byte_for_byte(bulk: Any, keep: Any) -> None:
    await keep(bulk.world, patient(), EXACT)
    await keep(bulk.world, patient(9), tenant="south")
    manifest = await bulk.manifest()
    assert manifest["requiresAccessToken"] is True
    assert manifest["request"].endswith("/fhir/$export")
    assert (manifest["deleted"], manifest["error"]) == ([], [])
    lines = await bulk.lines(manifest)
    assert set(lines) == {"Patient", "Observation"}
    [line] = lines["Observation"]
    stored = await bulk.world.gateway.store.resources.read("north", "Observation", "exact")
    assert line == stored.content.replace(b"\n", b" ").replace(b"\r", b" ")
    assert b"6.800" in line
    assert orjson.loads(line)["code"]["text"] == "a \n b 钾"


@pytest.mark.requirement("DX-BLK-01")
async def test_a_kick_off_says_where_to_ask_and_a_running_job_how_far_it_is(
    bulk: Any, keep: Any
) -> None:
    await keep(bulk.world, patient())
    begun = await bulk.start()
    assert begun.status_code == 202
    address = begun.headers["content-location"]
    waiting = await bulk.get(address)
    assert waiting.status_code == 202
    assert int(waiting.headers["retry-after"]) > 0
    assert 0 < len(waiting.headers["x-progress"]) <= 100
    await bulk.work()
    done = await bulk.get(address)
    assert done.status_code == 200
    assert "expires" in done.headers
    assert done.headers["content-type"].startswith("application/json")


@pytest.mark.requirement("DX-BLK-02")
async def test_what_is_written_after_the_kick_off_is_not_in_it(
    bulk: Any, keep: Any, drop: Any
) -> None:
    await keep(bulk.world, patient(), observation(1), observation(2), observation(3))
    begun = await bulk.start()
    await keep(bulk.world, observation(1, status="amended"), observation(4))
    await drop(bulk.world, "Observation", "o-2")
    await bulk.work()
    manifest = (await bulk.get(begun.headers["content-location"])).json()
    lines = [orjson.loads(line) for line in (await bulk.lines(manifest))["Observation"]]
    assert {each["id"]: each["status"] for each in lines} == {
        "o-1": "final", "o-2": "final", "o-3": "final",
    }  # fmt: skip


@pytest.mark.requirement("DX-BLK-02")
async def test_two_exports_one_after_the_other_miss_nothing(
    bulk: Any, keep: Any, drop: Any
) -> None:
    await keep(bulk.world, patient(), observation(1), observation(2), observation(3))
    first = await bulk.manifest()
    await keep(bulk.world, observation(1, status="amended"), observation(4))
    await drop(bulk.world, "Observation", "o-2")
    second = await bulk.manifest(_since=first["transactionTime"], _type="Observation")
    changed = await bulk.lines(second)
    ids = {orjson.loads(line)["id"] for line in changed["Observation"]}
    assert ids == {"o-1", "o-4"}
    [gone] = (await bulk.lines(second, "deleted"))["Bundle"]
    requests = [entry["request"] for entry in orjson.loads(gone)["entry"]]
    assert requests == [{"method": "DELETE", "url": "Observation/o-2"}]


@pytest.mark.requirement("DX-BLK-01")
async def test_until_leaves_out_what_is_later(bulk: Any, keep: Any) -> None:
    await keep(bulk.world, patient())
    early = await bulk.ids(_until="2001-01-01T00:00:00Z")
    assert early == set()
    assert await bulk.ids(_until="2100-01-01T00:00:00Z") == {"Patient/p-1"}


@pytest.mark.requirement("DX-BLK-01")
async def test_types_elements_and_filters(bulk: Any, keep: Any) -> None:
    laboratory = [{"coding": [{"system": "urn:c", "code": "laboratory"}]}]
    await keep(
        bulk.world,
        patient(gender="male", birthDate="1964-03-15"),
        observation(1, category=laboratory),
        observation(2),
        observation(3, status="preliminary"),
    )
    assert await bulk.ids(_type="Patient") == {"Patient/p-1"}
    query = "Observation?category=laboratory"
    assert await bulk.ids(_type="Observation", _typeFilter=query) == {"Observation/o-1"}
    either = f"{query},Observation?status=preliminary"
    assert await bulk.ids(_typeFilter=either) == {
        "Observation/o-1", "Observation/o-3", "Patient/p-1",
    }  # fmt: skip
    manifest = await bulk.manifest(_elements="Patient.gender,status")
    lines = await bulk.lines(manifest)
    [cut] = [orjson.loads(line) for line in lines["Patient"]]
    assert cut["gender"] == "male"
    assert "birthDate" not in cut
    assert cut["meta"]["tag"][-1]["code"] == "SUBSETTED"
    assert all("subject" not in orjson.loads(line) for line in lines["Observation"])


@pytest.mark.requirement("DX-BLK-03")
async def test_patients_and_groups(bulk: Any, keep: Any) -> None:
    members = [
        {"entity": {"reference": "Patient/p-1"}},
        {"entity": {"reference": "Patient/p-3"}, "inactive": True},
        {"entity": {"reference": "Practitioner/d-1"}},
    ]
    group = {"resourceType": "Group", "id": "g-1", "type": "person", "actual": True}
    await keep(
        bulk.world,
        *(patient(number) for number in (1, 2, 3)),
        *(observation(number, number) for number in (1, 2, 3)),
        {"resourceType": "Organization", "id": "org-1", "name": "North"},
        group | {"member": members},
        group | {"id": "g-2"},
    )
    everybody = await bulk.ids("/fhir/Patient/$export")
    assert {f"Observation/o-{n}" for n in (1, 2, 3)} <= everybody
    assert "Organization/org-1" not in everybody
    one = {"Patient/p-1", "Observation/o-1"}
    named = await bulk.ids("/fhir/Patient/$export", patient="Patient/p-2")
    assert {each for each in named if "Group" not in each} == {"Patient/p-2", "Observation/o-2"}
    found = await bulk.ids("/fhir/Group/g-1/$export", _type="Patient,Observation")
    assert found == one
    assert await bulk.ids("/fhir/Group/g-2/$export") == set()
    assert (await bulk.start("/fhir/Group/g-9/$export")).status_code == 404


@pytest.mark.requirement("DX-BLK-01")
async def test_a_post_takes_parameters(bulk: Any, keep: Any) -> None:
    await keep(bulk.world, patient(1), patient(2), observation(1))
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueReference": {"reference": "Patient/p-1"}},
            {"name": "_type", "valueString": "Patient"},
        ],
    }
    headers = bulk.headers | {"Prefer": "respond-async", "Content-Type": "application/fhir+json"}
    begun = await bulk.http.post("/fhir/Patient/$export", json=parameters, headers=headers)
    assert begun.status_code == 202, begun.text
    await bulk.work()
    manifest = (await bulk.get(begun.headers["content-location"])).json()
    assert [entry["count"] for entry in manifest["output"]] == [1]


@pytest.mark.requirement("DX-BLK-01")
@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/fhir/$export", {"_outputFormat": "text/csv"}),
        ("/fhir/$export", {"_type": "Nothing"}),
        ("/fhir/Patient/$export", {"_type": "Organization"}),
        ("/fhir/$export", {"_since": "yesterday"}),
        ("/fhir/$export", {"_typeFilter": "Observation?no-such=1"}),
        ("/fhir/$export", {"_typeFilter": "Observation?subject.name=x"}),
        ("/fhir/$export", {"_typeFilter": "x"}),
        ("/fhir/$export", {"_elements": "name.family"}),
        ("/fhir/$export", {"organizeOutputBy": "Patient"}),
        ("/fhir/$export", {"patient": "Patient/1"}),
        ("/fhir/Patient/$export", {"patient": "../x"}),
    ],
)
async def test_what_cannot_be_served_is_refused(bulk: Any, path: str, params: Any) -> None:
    answer = await bulk.start(path, **params)
    assert answer.status_code == 400, answer.text
    assert answer.json()["issue"][0]["expression"][0].startswith("http.")


@pytest.mark.requirement("DX-BLK-01")
async def test_lenient_handling_leaves_aside_what_is_not_served(bulk: Any, keep: Any) -> None:
    await keep(bulk.world, patient())
    params = {"_type": "Patient,Organization", "includeAssociatedData": "x"}
    headers = bulk.headers | {"Prefer": "respond-async, handling=lenient"}
    begun = await bulk.http.get("/fhir/Patient/$export", params=params, headers=headers)
    assert begun.status_code == 202
    without = await bulk.http.get("/fhir/$export", headers=bulk.headers)
    assert without.status_code == 400
    assert "respond-async" in without.text
