"""A transaction Bundle: all or nothing, the standard's order, every link resolved."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

A = "urn:uuid:aaaaaaaa-0000-4000-8000-000000000001"
B = "urn:uuid:bbbbbbbb-0000-4000-8000-000000000002"
IDENTIFIER = {"system": "urn:test:mrn", "value": "7"}
PATIENT: dict[str, Any] = {"resourceType": "Patient", "identifier": [IDENTIFIER]}
BASIC = {"resourceType": "Basic", "code": {"text": "x"}, "identifier": [{"value": "9"}]}
QUERY = "identifier=urn:test:mrn|7"


def entry(method: str, url: str, resource: Any = None, full_url: str = "", **more: str) -> Any:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **more}}
    if resource is not None:
        made["resource"] = resource
    if full_url:
        made["fullUrl"] = full_url
    return made


def bundle(*entries: Any, kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def observation(patient: str, **more: Any) -> dict[str, Any]:
    made = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": patient},
    }
    return {**made, **more}


def location(answered: Any) -> str:
    return str(answered["response"]["location"]).partition("/_history/")[0]


@pytest.mark.requirement("DX-INT-09")
async def test_links_are_resolved_wherever_they_stand(each_database: Any) -> None:
    link = f"<a href=\"{A}\">her</a> {A} <img src='{A}'/>"
    text = f'<div xmlns="http://www.w3.org/1999/xhtml">{link}</div>'
    about = observation(
        A,
        text={"status": "generated", "div": text},
        extension=[
            {"url": "urn:x", "valueReference": {"reference": A}},
            {"url": "urn:y", "valueUri": A},
            {"url": "urn:z", "valueString": A},
        ],
        identifier=[{"system": "urn:ietf:rfc:3986", "value": A}],
        derivedFrom=[{"reference": f"{B}/_history/1"}],
        contained=[{"resourceType": "Basic", "id": "c", "code": {}, "subject": {"reference": A}}],
    )
    about["contained"][0]["code"] = {"text": "c"}
    other = observation(A, hasMember=[{"reference": B}])
    answer = await each_database(
        "POST",
        "",
        bundle(
            entry("POST", "Observation", about, "urn:uuid:cccccccc-0000-4000-8000-000000000003"),
            entry("POST", "Observation", other, B),
            entry("POST", "Patient", PATIENT, A),
        ),
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["type"] == "transaction-response"
    first, second, third = answer.json()["entry"]
    patient = location(third)
    assert third["response"] == {
        "status": "201 Created",
        "location": f"{patient}/_history/1",
        "etag": 'W/"1"',
        "lastModified": third["response"]["lastModified"],
    }
    stored = (await each_database("GET", location(first))).json()
    assert stored["subject"]["reference"] == patient
    assert stored["extension"][0]["valueReference"]["reference"] == patient
    assert stored["extension"][1]["valueUri"] == patient
    assert stored["extension"][2]["valueString"] == A, "a string is no link"
    assert stored["identifier"][0]["value"] == A
    assert stored["contained"][0]["subject"]["reference"] == patient
    assert stored["derivedFrom"][0]["reference"] == location(second)
    div = stored["text"]["div"]
    assert f'href="{patient}"' in div and f"src='{patient}'" in div and f" {A} " in div
    circle = (await each_database("GET", location(second))).json()
    assert circle["hasMember"][0]["reference"] == location(second), "an entry may name itself"


@pytest.mark.requirement("DX-INT-09")
async def test_one_wrong_entry_and_nothing_is_stored(each_database: Any) -> None:
    await each_database.put({**PATIENT, "id": "there"})
    wrong = [
        entry("POST", "Observation", {"resourceType": "Observation", "status": "final"}),
        entry("POST", "Observation", observation("urn:uuid:dddddddd-0000-4000-8000-000000000004")),
        entry("PUT", "Patient/there", {**PATIENT, "id": "there", "active": True}, ifMatch='W/"9"'),
        entry("POST", "Observation", observation("Patient?identifier=none")),
        entry("PUT", "Patient/other", {**PATIENT, "id": "there"}),
        entry("PATCH", "Patient/none", {"resourceType": "Parameters", "parameter": []}),
        entry("POST", "Nothing", {"resourceType": "Nothing"}),
        entry("POST", "Observation/x/$validate", observation("Patient/there")),
        entry("DELETE", "Patient/new-1"),
        entry("PUT", "Patient/new-1", {**PATIENT, "id": "new-1"}),
        entry("GET", "../ops/cases"),
        {"resource": PATIENT},
    ]
    statuses = []
    for one in wrong:
        made = bundle(entry("PUT", "Patient/new-1", {**PATIENT, "id": "new-1"}), one)
        answer = await each_database("POST", "", made)
        statuses.append(answer.status_code)
        assert answer.json()["resourceType"] == "OperationOutcome"
        told = answer.json()["issue"][0]
        where = told.get("expression", [told["diagnostics"]])[0]
        assert where.startswith("Bundle.entry["), answer.text
        assert (await each_database("GET", "Patient/new-1")).status_code == 404
    assert (await each_database("GET", "Patient/there")).headers["etag"] == 'W/"1"'
    assert statuses == [422, 400, 412, 412, 400, 404, 400, 400, 400, 400, 400, 400]


@pytest.mark.requirement("DX-INT-09")
async def test_the_order_is_delete_post_put_patch_get(server: Any) -> None:
    await server.put({**PATIENT, "id": "old"})
    await server.put({"resourceType": "Basic", "id": "b", "code": {"text": "1"}})
    patch = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": "W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9jb2RlL3RleHQiLCJ2YWx1ZSI6IjIifV0=",
    }
    made = bundle(
        entry("GET", "Basic/b"),
        entry("PATCH", "Basic/b", patch),
        entry("PUT", "Patient/new", {**PATIENT, "id": "new", "link": []} | {"active": True}),
        entry("POST", "Patient", PATIENT, A, ifNoneExist=QUERY),
        entry("DELETE", "Patient/old"),
    )
    del made["entry"][2]["resource"]["link"]
    answer = await server("POST", "", made)
    assert answer.status_code == 200, answer.text
    read, patched, put, posted, deleted = answer.json()["entry"]
    assert read["resource"]["code"]["text"] == "2", "reads see what was done"
    assert patched["response"]["etag"] == 'W/"2"'
    assert put["response"]["status"] == "201 Created"
    assert posted["response"]["status"] == "201 Created", "the only match was deleted before"
    assert deleted["response"]["status"] == "204 No Content"


@pytest.mark.requirement("DX-INT-09")
async def test_conditional_entries_and_references(server: Any) -> None:
    await server.put({**PATIENT, "id": "p"})
    numbered = observation(A, identifier=[{"system": "urn:o", "value": "1"}])
    made = bundle(
        entry("POST", "Patient", PATIENT, A, ifNoneExist=QUERY),
        entry("POST", "Observation", observation(A), B),
        entry("POST", "Observation", observation(f"Patient?{QUERY}")),
        entry("PUT", "Observation?identifier=urn:o|1", numbered),
    )
    answer = await server("POST", "", made)
    assert answer.status_code == 200, answer.text
    existing, first, second, third = answer.json()["entry"]
    assert existing["response"]["status"] == "200 OK" and location(existing) == "Patient/p"
    for one in (first, second, third):
        stored = (await server("GET", location(one))).json()
        assert stored["subject"]["reference"] == "Patient/p"
    again = (await server("POST", "", made)).json()["entry"]
    assert location(again[3]) == location(third) and again[3]["response"]["status"] == "200 OK"


@pytest.mark.requirement("DX-INT-09")
async def test_a_condition_may_mean_an_entry_of_the_same_bundle(server: Any) -> None:
    made = bundle(
        entry("POST", "Patient", PATIENT, A, ifNoneExist=QUERY),
        entry("POST", "Patient", PATIENT, B, ifNoneExist=QUERY),
        entry("POST", "Observation", observation(f"Patient?{QUERY}")),
        entry("POST", "Observation", observation(B)),
    )
    answer = await server("POST", "", made)
    assert answer.status_code == 200, answer.text
    one, same, first, second = answer.json()["entry"]
    assert location(one) == location(same)
    for made_of in (first, second):
        stored = (await server("GET", location(made_of))).json()
        assert stored["subject"]["reference"] == location(one)


@pytest.mark.requirement("DX-INT-09")
async def test_the_same_resource_twice_is_refused(server: Any) -> None:
    await server.put({**PATIENT, "id": "p"})
    twice = [
        [entry("PUT", "Patient/p", {**PATIENT, "id": "p"}) for _ in range(2)],
        [entry("PUT", "Patient/p", {**PATIENT, "id": "p"}), entry("DELETE", "Patient/p")],
        [
            entry("PUT", f"Patient?{QUERY}", PATIENT),
            entry("PUT", "Patient/p", {**PATIENT, "id": "p"}),
        ],
        [entry("POST", "Patient", PATIENT, A), entry("POST", "Patient", PATIENT, A)],
        [entry("PUT", "Basic?identifier=x|9", BASIC) for _ in range(2)],
        [
            entry("PUT", "Basic?identifier=x|9", BASIC),
            entry("POST", "Basic", BASIC, ifNoneExist="identifier=x|9"),
        ],
    ]
    for entries in twice:
        answer = await server("POST", "", bundle(*entries))
        assert answer.status_code == 400, answer.text
    assert (await server("GET", "Patient/p")).headers["etag"] == 'W/"1"'


@pytest.mark.requirement("DX-INT-09")
async def test_transactions_at_once_make_one_patient(each_database: Any) -> None:
    made = bundle(
        entry("POST", "Patient", PATIENT, A, ifNoneExist=QUERY),
        entry("POST", "Observation", observation(A)),
    )
    answers = await asyncio.gather(*(each_database("POST", "", made) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({location(answer.json()["entry"][0]) for answer in answers}) == 1
    assert len({location(answer.json()["entry"][1]) for answer in answers}) == 6


@pytest.mark.requirement("DX-INT-03")
async def test_prefer_in_a_transaction(server: Any) -> None:
    made = bundle(entry("POST", "Patient", PATIENT))
    plain = (await server("POST", "", made)).json()["entry"][0]
    whole = (await server("POST", "", made, prefer="return=representation")).json()["entry"][0]
    told = (await server("POST", "", made, prefer="return=OperationOutcome")).json()["entry"][0]
    assert "resource" not in plain and whole["resource"]["identifier"] == [IDENTIFIER]
    assert told["response"]["outcome"]["resourceType"] == "OperationOutcome"


@pytest.mark.requirement("DX-INT-05")
async def test_a_transaction_has_the_rights_of_its_caller(server: Any, only_patient: Any) -> None:
    await server.put({**PATIENT, "id": "a"})
    app = server.with_rights(only_patient("a"))
    fine = entry("POST", "Observation", observation("Patient/a"))
    foreign = entry("POST", "Observation", observation("Patient/b"))
    assert (await app("POST", "", bundle(fine))).status_code == 200
    assert (await app("POST", "", bundle(fine, foreign))).status_code == 403
    found = (await server("GET", "Observation")).json()
    assert len(found["entry"]) == 1


@pytest.mark.requirement("DX-INT-16")
async def test_a_bundle_has_at_most_so_many_entries(server: Any) -> None:
    many = [entry("DELETE", f"Basic/{number}") for number in range(2001)]
    for kind in ("transaction", "batch"):
        answer = await server("POST", "", bundle(*many, kind=kind))
        assert answer.status_code == 413


@pytest.mark.requirement("DX-INT-11")
async def test_a_submission_is_told_from_a_transaction(server: Any, setting: Any) -> None:
    consent = {"resourceType": "Consent", "id": "c-1"}
    case = [setting.PATIENT, setting.ORDER, consent]
    peers = server.world.peers
    submissions = [
        {"resourceType": "Bundle", "type": "collection", "entry": []},
        {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [{"resource": resource} for resource in case],
        },
        bundle(*(entry("PUT", f"{r['resourceType']}/{r['id']}", r) for r in case)),
    ]
    for number, one in enumerate(submissions, 1):
        answer = await server("POST", "", one)
        assert answer.status_code == 201 and answer.json()["resourceType"] == "Task", one
        assert len(peers.submitted) == number
    plain = bundle(entry("PUT", "Patient/p-1", setting.PATIENT))
    assert (await server("POST", "", plain)).json()["type"] == "transaction-response"
    assert (await server("POST", "", bundle())).json()["type"] == "transaction-response"
    assert len(peers.submitted) == 3
    asked = await server("POST", "$submit", plain)
    assert asked.json()["resourceType"] == "Task" and len(peers.submitted) == 4
    assert peers.submitted[3] == orjson.dumps(plain), "the bytes as they came"
