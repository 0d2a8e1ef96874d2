"""Conditional create, update, patch and delete; two at the same time make one resource."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

IDENTIFIER = {"system": "urn:test:mrn", "value": "7"}
PATIENT: dict[str, Any] = {"resourceType": "Patient", "identifier": [IDENTIFIER]}
QUERY = "identifier=urn:test:mrn%7C7"
JSON_PATCH = "application/json-patch+json"


async def count(server: Any, kind: str = "Patient") -> int:
    return len((await server("GET", kind)).json().get("entry", []))


@pytest.mark.requirement("DX-INT-06")
async def test_two_conditional_creates_at_once_make_one(each_database: Any) -> None:
    ask = each_database
    answers = await asyncio.gather(
        *(ask("POST", "Patient", PATIENT, if_none_exist=QUERY) for _ in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await count(ask) == 1


@pytest.mark.requirement("DX-INT-06")
async def test_a_condition_may_come_with_its_address(server: Any) -> None:
    """HAPI's client writes the whole address into If-None-Exist, others ?query or Type?query."""
    made = (await server("POST", "Patient", PATIENT)).json()["id"]
    for before in ("", "?", "Patient?", "/Patient?", "http://gateway/fhir/Patient?"):
        answer = await server("POST", "Patient", PATIENT, if_none_exist=f"{before}{QUERY}")
        assert (answer.status_code, answer.json()["id"]) == (200, made), before
        request = {"method": "POST", "url": "Patient", "ifNoneExist": f"{before}{QUERY}"}
        entry = {"request": request, "resource": PATIENT}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        (done,) = (await server("POST", "", bundle)).json()["entry"]
        assert done["response"]["location"].startswith(f"Patient/{made}/"), before
    for before in ("Practitioner?", "http://elsewhere/fhir/Patient?", "Patient/1?"):
        answer = await server("POST", "Patient", PATIENT, if_none_exist=f"{before}{QUERY}")
        assert answer.status_code == 400, before
    assert await count(server) == 1


@pytest.mark.requirement("DX-INT-06")
async def test_a_condition_that_several_meet_is_412(server: Any) -> None:
    for name in ("a", "b"):
        await server.put({**PATIENT, "id": name})
    answers = [
        await server("POST", "Patient", PATIENT, if_none_exist=QUERY),
        await server("PUT", f"Patient?{QUERY}", PATIENT),
        await server("DELETE", f"Patient?{QUERY}"),
        await server(
            "PATCH",
            f"Patient?{QUERY}",
            [{"op": "add", "path": "/active", "value": True}],
            content_type=JSON_PATCH,
        ),
    ]
    for answer in answers:
        assert answer.status_code == 412
        assert answer.json()["issue"][0]["code"] == "multiple-matches"
    assert await count(server) == 2


@pytest.mark.requirement("DX-INT-06")
async def test_a_conditional_update_creates_then_updates(server: Any) -> None:
    made = await server("PUT", f"Patient?{QUERY}", PATIENT)
    assert made.status_code == 201
    again = await server("PUT", f"Patient?{QUERY}", {**PATIENT, "active": True})
    assert again.status_code == 200 and again.json()["id"] == made.json()["id"]
    other = await server("PUT", f"Patient?{QUERY}", {**PATIENT, "id": "other"})
    assert other.status_code == 400, "the id must be that of the match"
    elsewhere = "identifier=urn:test:mrn%7C8"
    named = await server("PUT", f"Patient?{elsewhere}", {"resourceType": "Patient", "id": "n-1"})
    assert named.status_code == 201 and named.json()["id"] == "n-1"
    taken = await server("PUT", f"Patient?{elsewhere}", {"resourceType": "Patient", "id": "n-1"})
    assert taken.status_code == 409, "an id in use is not taken over by a condition it misses"


@pytest.mark.requirement("DX-INT-06")
async def test_a_conditional_patch_and_delete(server: Any) -> None:
    change = [{"op": "add", "path": "/active", "value": True}]
    none = await server("PATCH", f"Patient?{QUERY}", change, content_type=JSON_PATCH)
    assert none.status_code == 404
    assert (await server("DELETE", f"Patient?{QUERY}")).status_code == 204
    await server.put({**PATIENT, "id": "a"})
    patched = await server("PATCH", f"Patient?{QUERY}", change, content_type=JSON_PATCH)
    assert patched.status_code == 200 and patched.json()["active"] is True
    assert (await server("DELETE", f"Patient?{QUERY}")).status_code == 204
    assert (await server("GET", "Patient/a")).status_code == 410
    made = await server("POST", "Patient", PATIENT, if_none_exist=QUERY)
    assert made.status_code == 201, "what was deleted is not found"


@pytest.mark.requirement("DX-INT-06")
async def test_a_condition_is_never_read_half(server: Any) -> None:
    await server.put({**PATIENT, "id": "a"})
    for query in ("", "colour=red", "_format=json", "_count=1", f"{QUERY}&colour=red"):
        for method in ("PUT", "DELETE"):
            content = PATIENT if method == "PUT" else None
            answer = await server(method, f"Patient?{query}", content)
            assert answer.status_code == 400, (method, query)
        if query:
            refused = await server("POST", "Patient", PATIENT, if_none_exist=query)
            assert refused.status_code == 400, query
    assert (await server("GET", "Patient/a")).headers["etag"] == 'W/"1"'


@pytest.mark.requirement("DX-INT-06")
async def test_a_condition_sees_what_its_caller_may_see(server: Any, only_patient: Any) -> None:
    order = {
        "resourceType": "ServiceRequest",
        "identifier": [IDENTIFIER],
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/b"},
    }
    await server.put({**order, "id": "of-b"})
    app = server.with_rights(only_patient("a"))
    mine = {**order, "subject": {"reference": "Patient/a"}}
    made = await app("POST", "ServiceRequest", mine, if_none_exist=QUERY)
    assert made.status_code == 201, "the other patient's order is not found by it"
    blind = server.with_rights(only_patient("a", "c"))
    assert (await blind("POST", "ServiceRequest", mine, if_none_exist=QUERY)).status_code == 403


@pytest.mark.requirement("DX-INT-06")
async def test_a_query_in_the_address_of_a_create_is_its_condition(server: Any) -> None:
    """fhirpy's get_or_create sends it so; passed over in silence it would make duplicates."""
    first = await server("POST", f"Patient?{QUERY}&_format=json", PATIENT)
    again = await server("POST", f"Patient?{QUERY}", PATIENT)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert (await server("POST", "Patient?_format=json", PATIENT)).status_code == 201
    assert (await server("POST", f"Patient?{QUERY}", PATIENT)).status_code == 412
    both = await server("POST", f"Patient?{QUERY}", PATIENT, if_none_exist=QUERY)
    unknown = await server("POST", "Patient?shoe=43", PATIENT)
    assert (both.status_code, unknown.status_code) == (400, 400)


@pytest.mark.requirement("DX-INT-06")
async def test_a_version_alone_is_taken_in_if_none_match(server: Any) -> None:
    await server.put({**PATIENT, "id": "bare"})
    assert (await server("GET", "Patient/bare", if_none_match="1")).status_code == 304
    assert (await server("GET", "Patient/bare", if_none_match="2")).status_code == 200
    assert (await server("GET", "Patient/bare", if_none_match="one")).status_code == 400
