"""create, read, update and delete over HTTP: statuses, headers, versions, what is refused."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
import pytest

PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "a-1", "active": True}
HTTP_DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
)


@pytest.mark.requirement("DX-INT-01")
async def test_a_resource_lives_from_create_to_delete(each_database: Any) -> None:
    ask = each_database
    made = await ask("POST", "Patient", {"resourceType": "Patient", "id": "mine", "active": True})
    assert made.status_code == 201
    where = made.headers["location"]
    match = re.fullmatch(r"http://gateway/fhir/Patient/([0-9a-f-]{36})/_history/1", where)
    assert match, "the server chooses the id, and the address names the version"
    assert made.headers["etag"] == 'W/"1"' and HTTP_DATE.fullmatch(made.headers["last-modified"])
    path = f"Patient/{match[1]}"
    assert made.json()["id"] == match[1] and made.json()["meta"]["versionId"] == "1"
    changed = await ask("PUT", path, {**made.json(), "active": False})
    assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
    assert "location" not in changed.headers
    same = await ask("PUT", path, changed.json())
    assert (same.status_code, same.headers["etag"]) == (200, 'W/"2"'), "nothing changed"
    assert (await ask("GET", f"{path}/_history/1")).json()["active"] is True
    assert (await ask("GET", path)).json()["active"] is False
    gone = await ask("DELETE", path)
    assert (gone.status_code, gone.headers["etag"], gone.content) == (204, 'W/"3"', b"")
    assert (await ask("DELETE", path)).status_code == 204, "deleting again is no error"
    read = await ask("GET", path)
    assert read.status_code == 410 and read.json()["issue"][0]["code"] == "deleted"
    assert (await ask("GET", f"{path}/_history/3")).status_code == 410
    assert (await ask("GET", f"{path}/_history/2")).status_code == 200
    back = await ask("PUT", path, {**PATIENT, "id": match[1]})
    assert (back.status_code, back.headers["etag"]) == (201, 'W/"4"')
    assert (await ask("GET", path)).status_code == 200


@pytest.mark.requirement("DX-INT-01")
async def test_update_creates_and_never_is_404(server: Any) -> None:
    assert (await server("GET", "Patient/never")).status_code == 404
    assert (await server("DELETE", "Patient/never")).status_code == 204
    made = await server("PUT", "Patient/a-1", PATIENT)
    assert made.status_code == 201
    assert made.headers["location"] == "http://gateway/fhir/Patient/a-1/_history/1"
    for wrong in ({**PATIENT, "id": "other"}, {"resourceType": "Patient"}):
        answer = await server("PUT", "Patient/a-1", wrong)
        assert answer.status_code == 400
        assert answer.json()["issue"][0]["expression"] == ["Patient.id"]
    other = await server("PUT", "Observation/a-1", PATIENT)
    assert other.status_code == 400
    assert other.json()["issue"][0]["expression"] == ["resourceType"]


@pytest.mark.requirement("DX-INT-02")
async def test_the_version_in_if_match_is_the_one_replaced(server: Any) -> None:
    await server.put(PATIENT)
    stale = await server("PUT", "Patient/a-1", {**PATIENT, "active": False}, if_match='W/"9"')
    assert stale.status_code == 412
    assert stale.json()["issue"][0]["details"]["coding"][0]["code"] == "VERSION_CONFLICT"
    missing = await server("PUT", "Patient/none", {**PATIENT, "id": "none"}, if_match='W/"1"')
    assert missing.status_code == 412
    for number, header in enumerate(('W/"1"', '"2"', 'W/"1", W/"3"', "*"), 2):
        content = {**PATIENT, "multipleBirthInteger": number}
        answer = await server("PUT", "Patient/a-1", content, if_match=header)
        assert answer.headers["etag"] == f'W/"{number}"', header
    odd = await server("PUT", "Patient/a-1", PATIENT, if_match="5")
    assert odd.status_code == 400
    assert (await server("DELETE", "Patient/a-1", if_match='W/"1"')).status_code == 412
    assert (await server("DELETE", "Patient/a-1", if_match='W/"5"')).status_code == 204


@pytest.mark.requirement("DX-INT-02")
async def test_of_many_updates_of_one_version_one_wins(each_database: Any) -> None:
    await each_database.put(PATIENT)
    answers = await asyncio.gather(
        *(
            each_database(
                "PUT", "Patient/a-1", {**PATIENT, "multipleBirthInteger": n}, if_match='W/"1"'
            )
            for n in range(8)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7


@pytest.mark.requirement("DX-INT-02")
async def test_if_none_match_star_creates_only(server: Any) -> None:
    first = await server("PUT", "Patient/a-1", PATIENT, if_none_match="*")
    again = await server("PUT", "Patient/a-1", PATIENT, if_none_match="*")
    assert (first.status_code, again.status_code) == (201, 412)


@pytest.mark.requirement("DX-INT-02")
async def test_a_read_of_what_is_known_answers_304(server: Any) -> None:
    await server.put(PATIENT)
    read = await server("GET", "Patient/a-1")
    known = {"if_none_match": read.headers["etag"]}
    assert (await server("GET", "Patient/a-1", **known)).status_code == 304
    assert (await server("GET", "Patient/a-1", if_none_match='W/"7"')).status_code == 200
    since = read.headers["last-modified"]
    not_changed = await server("GET", "Patient/a-1", if_modified_since=since)
    assert (not_changed.status_code, not_changed.content) == (304, b"")
    assert not_changed.headers["etag"] == 'W/"1"'
    early = "Mon, 01 Jan 2001 00:00:00 GMT"
    assert (await server("GET", "Patient/a-1", if_modified_since=early)).status_code == 200
    assert (await server("GET", "Patient/a-1", if_modified_since="soon")).status_code == 200
    both = await server("GET", "Patient/a-1", if_none_match='W/"7"', if_modified_since=since)
    assert both.status_code == 200, "the entity tag decides alone"


@pytest.mark.requirement("DX-INT-03")
async def test_prefer_says_what_comes_back(server: Any) -> None:
    kinds = {
        "": "Patient",
        "return=representation": "Patient",
        "return=OperationOutcome": "OperationOutcome",
        "respond-async, return=operationoutcome": "OperationOutcome",
        "return=something": "Patient",
    }
    for header, kind in kinds.items():
        answer = await server("POST", "Patient", PATIENT, prefer=header)
        assert answer.json()["resourceType"] == kind, header
    minimal = await server("POST", "Patient", PATIENT, prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (201, b"")
    assert minimal.headers["location"] and minimal.headers["etag"]


@pytest.mark.requirement("DX-INT-01")
async def test_an_excerpt_is_marked_and_never_stored_over_the_whole(
    world: Any, setting: Any, server: Any
) -> None:
    await setting.compose(world, setting.sample_report())
    report = (await server("GET", "DiagnosticReport")).json()["entry"][0]["resource"]
    path = f"DiagnosticReport/{report['id']}"
    for query in ("_summary=true", "_summary=text", "_summary=data", "_elements=status"):
        part = (await server("GET", f"{path}?{query}")).json()
        assert part["meta"]["security"] == report["meta"]["security"], "it stays marked as AI's"
        assert "SUBSETTED" in {tag["code"] for tag in part["meta"]["tag"]}
        assert len(part) < len(report) or "text" not in report
    await server.put({**PATIENT, "birthDate": "1980-01-01"})
    part = (await server("GET", "Patient/a-1?_elements=active")).json()
    assert "birthDate" not in part
    refused = await server("PUT", "Patient/a-1", part)
    assert refused.status_code == 422 and "birthDate" in (await server("GET", "Patient/a-1")).text
    assert (await server("GET", "Patient/a-1?_summary=false")).json()["birthDate"]
    for wrong in ("_summary=count", "_summary=x", "_elements=colour", "colour=red"):
        assert (await server("GET", f"Patient/a-1?{wrong}")).status_code == 400, wrong
    lenient = await server("GET", "Patient/a-1?colour=red", prefer="handling=lenient")
    assert lenient.status_code == 200


@pytest.mark.requirement("DX-INT-04")
async def test_what_the_mesh_made_no_client_changes(world: Any, setting: Any, server: Any) -> None:
    await setting.compose(world, setting.sample_report())
    found = await server("GET", "DiagnosticReport")
    report = found.json()["entry"][0]["resource"]
    path = f"DiagnosticReport/{report['id']}"
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "DELETE", "url": path}}],
    }
    patch = [{"op": "replace", "path": "/status", "value": "final"}]
    answers = [
        await server("PUT", path, {**report, "status": "final"}),
        await server("PATCH", path, patch, content_type="application/json-patch+json"),
        await server("DELETE", path),
        await server("POST", "", bundle),
    ]
    for answer in answers:
        assert answer.status_code == 403
        assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "MESH_OWNED"
    assert (await server("GET", path)).json()["status"] == "partial"


@pytest.mark.requirement("DX-INT-04")
async def test_no_client_writes_the_audit_trail(server: Any) -> None:
    event = {"resourceType": "AuditEvent", "id": "x"}
    assert (await server("POST", "AuditEvent", event)).status_code == 403
    assert (await server("PUT", "AuditEvent/x", event)).status_code == 403
    assert (await server("DELETE", "AuditEvent/x")).status_code == 403


@pytest.mark.requirement("DX-INT-05")
async def test_a_patients_app_changes_that_patients_resources_alone(
    server: Any, only_patient: Any
) -> None:
    for name in ("a-1", "b-1"):
        await server.put({**PATIENT, "id": name})
        await server.put(_observation(name, f"o-{name}"))
    app = server.with_rights(only_patient("a-1"))
    assert (await app("GET", "Observation/o-a-1")).status_code == 200
    assert (await app("GET", "Observation/o-b-1")).status_code == 404
    assert (await app("GET", "Observation/o-b-1/_history/1")).status_code == 404
    assert (await app("GET", "Observation/o-b-1/_history")).status_code == 404
    assert (await app("POST", "Observation", _observation("a-1"))).status_code == 201
    assert (await app("POST", "Observation", _observation("b-1"))).status_code == 403
    moved = await app("PUT", "Observation/o-a-1", _observation("b-1", "o-a-1"))
    taken = await app("PUT", "Observation/o-b-1", _observation("a-1", "o-b-1"))
    assert (moved.status_code, taken.status_code) == (403, 403)
    assert (await app("DELETE", "Observation/o-b-1")).status_code == 403
    reader = server.with_rights(only_patient("a-1", "r"))
    assert (await reader("POST", "Observation", _observation("a-1"))).status_code == 403
    assert (await reader("DELETE", "Observation/o-a-1")).status_code == 403


@pytest.mark.requirement("DX-INT-05")
async def test_what_is_labelled_restricted_is_hidden_from_a_physician(server: Any) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    await server.put({**PATIENT, "meta": {"security": [label]}})
    escaped = orjson.dumps({**PATIENT, "id": "a-2", "meta": {"security": [label]}})
    escaped = escaped.replace(b"v3-Conf", b"v3\\u002dConf")
    assert (await server("PUT", "Patient/a-2", escaped)).status_code == 201
    await server.world.sign_in()
    for path in ("Patient/a-1", "Patient/a-1/_history/1", "Patient/a-1/_history", "Patient/a-2"):
        assert (await server.world.http.get(f"/fhir/{path}")).status_code == 404, path


@pytest.mark.requirement("DX-INT-05")
async def test_another_tenant_has_no_such_resource(server: Any) -> None:
    await server.put(PATIENT)
    server.as_user = "other"
    patch = [{"op": "remove", "path": "/active"}]
    for path in ("Patient/a-1", "Patient/a-1/_history/1", "Patient/a-1/_history"):
        assert (await server("GET", path)).status_code == 404
    assert (await server("GET", "Patient/a-1/$everything")).status_code == 404
    patched = await server(
        "PATCH", "Patient/a-1", patch, content_type="application/json-patch+json"
    )
    assert patched.status_code == 404
    assert (await server("DELETE", "Patient/a-1")).status_code == 204
    assert (await server("PUT", "Patient/a-1", PATIENT)).status_code == 201
    server.as_user = "ehr"
    assert (await server("GET", "Patient/a-1")).headers["etag"] == 'W/"1"'


def _observation(patient: str, name: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{patient}"},
    }
    return {**made, "id": name} if name else made


@pytest.mark.requirement("DX-INT-03")
async def test_a_reference_to_this_server_is_stored_relative(server: Any) -> None:
    ours, theirs = "http://gateway/fhir/Patient/1", "http://elsewhere/fhir/Patient/1"
    made = await server.put(
        {
            "resourceType": "Observation",
            "id": "absolute",
            "status": "final",
            "code": {"text": ours},
            "subject": {"reference": ours},
            "focus": [{"reference": theirs}, {"reference": "Patient/2"}],
        }
    )
    assert made["subject"]["reference"] == "Patient/1"
    assert [r["reference"] for r in made["focus"]] == [theirs, "Patient/2"]
    assert made["code"]["text"] == ours
