"""A batch Bundle: every entry by itself, with its own status and the caller's rights."""

from __future__ import annotations

from typing import Any

import pytest

PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "a-1", "active": True}


def batch(*requests: tuple[str, str, Any]) -> dict[str, Any]:
    entries = []
    for method, url, resource in requests:
        made: dict[str, Any] = {"request": {"method": method, "url": url}}
        if resource is not None:
            made["resource"] = resource
        entries.append(made)
    return {"resourceType": "Bundle", "type": "batch", "entry": entries}


@pytest.mark.requirement("DX-INT-10")
async def test_each_entry_has_its_own_outcome(each_database: Any) -> None:
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "operation",
                "part": [
                    {"name": "type", "valueCode": "delete"},
                    {"name": "path", "valueString": "Patient.active"},
                ],
            }
        ],
    }
    answer = await each_database(
        "POST",
        "",
        batch(
            ("PUT", "Patient/a-1", PATIENT),
            ("GET", "Patient/none", None),
            ("POST", "Observation", {"resourceType": "Observation", "status": "final"}),
            ("GET", "Patient?active=true", None),
            ("PATCH", "Patient/a-1", parameters),
            ("GET", "Patient/a-1/_history", None),
            ("GET", "http://gateway/fhir/Patient/a-1", None),
            ("DELETE", "Patient/a-1", None),
            ("HEAD", "Patient/a-1", None),
            ("GET", "metadata", None),
            ("POST", "Patient/$validate", PATIENT),
            ("PUT", "Patient", PATIENT),
            ("GET", "$nothing", None),
            ("GET", "one/two/three/four", None),
        ),
    )
    assert answer.status_code == 200, answer.text
    entries = answer.json()["entry"]
    statuses = [entry["response"]["status"][:3] for entry in entries]
    assert statuses[:8] == ["201", "404", "422", "200", "200", "200", "200", "204"]
    assert statuses[8:] == ["410", "200", "200", "400", "400", "404"]
    assert entries[0]["response"]["location"] == "Patient/a-1/_history/1"
    assert entries[0]["response"]["etag"] == 'W/"1"' and "resource" not in entries[0]
    assert entries[1]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert entries[3]["resource"]["type"] == "searchset"
    assert "active" not in entries[6]["resource"]
    assert entries[10]["response"]["outcome"]["issue"][0]["severity"] == "information"


@pytest.mark.requirement("DX-INT-10")
async def test_an_entry_cannot_be_a_bundle_or_leave_the_server(server: Any) -> None:
    inner = batch(("GET", "Patient", None))
    for url in ("", "/", "$submit"):
        (entry,) = (await server("POST", "", batch(("POST", url, inner)))).json()["entry"]
        assert entry["response"]["status"].startswith("400"), url
    for url in ("../ops/cases", "http://elsewhere/fhir/Patient/1", "Patient/%2e%2e/x"):
        asked = batch(("GET", url, None), ("PUT", "Patient/b-1", {**PATIENT, "id": "b-1"}))
        answer = await server("POST", "", asked)
        refused, done = answer.json()["entry"]
        assert refused["response"]["status"].startswith("400"), url
        assert done["response"]["status"][:3] in ("200", "201"), "one that fails stops no other"


@pytest.mark.requirement("DX-INT-10")
async def test_an_entry_that_cannot_be_read_stops_no_other(server: Any) -> None:
    asked = batch(("POST", "Patient", PATIENT), ("PUT", "Patient/b-1", None), ("GET", "", None))
    asked["entry"].insert(0, {"resource": PATIENT})
    asked["entry"].append({"request": {"method": "COPY", "url": "Patient/1"}})
    answer = await server("POST", "", asked)
    assert answer.status_code == 200, answer.text
    statuses = [entry["response"]["status"][:3] for entry in answer.json()["entry"]]
    assert statuses == ["400", "201", "400", "400", "400"]
    at = answer.json()["entry"][4]["response"]["outcome"]["issue"][0]["expression"]
    assert at == ["Bundle.entry[4].request.method"]


@pytest.mark.requirement("DX-INT-10")
async def test_each_entry_has_the_rights_of_the_caller(server: Any, only_patient: Any) -> None:
    for name in ("a-1", "b-1"):
        await server.put({**PATIENT, "id": name})
    app = server.with_rights(only_patient("a-1", "rs"))
    answer = await app(
        "POST",
        "",
        batch(
            ("GET", "Patient/a-1", None),
            ("GET", "Patient/b-1", None),
            ("GET", "Patient", None),
            ("DELETE", "Patient/a-1", None),
        ),
    )
    entries = answer.json()["entry"]
    assert [e["response"]["status"][:3] for e in entries] == ["200", "404", "200", "403"]
    assert [e["resource"]["id"] for e in entries[2]["resource"]["entry"]] == ["a-1"]
    server.as_user = "operator"
    assert (await server("POST", "", batch(("GET", "Patient/a-1", None)))).status_code == 403
    server.as_user = "other"
    (entry,) = (await server("POST", "", batch(("GET", "Patient/a-1", None)))).json()["entry"]
    assert entry["response"]["status"].startswith("404")


@pytest.mark.requirement("DX-INT-10")
async def test_conditions_of_an_entry_hold(server: Any) -> None:
    await server.put(PATIENT)
    made = batch(
        ("PUT", "Patient/a-1", {**PATIENT, "active": False}),
        ("GET", "Patient/a-1", None),
        ("POST", "Patient", PATIENT),
    )
    made["entry"][0]["request"]["ifMatch"] = 'W/"7"'
    made["entry"][1]["request"]["ifNoneMatch"] = 'W/"1"'
    made["entry"][2]["request"]["ifNoneExist"] = "_id=a-1"
    entries = (await server("POST", "", made)).json()["entry"]
    assert [e["response"]["status"][:3] for e in entries] == ["412", "304", "200"]
