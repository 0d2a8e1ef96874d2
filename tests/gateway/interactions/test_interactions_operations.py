"""$validate, Patient/$everything and Composition/$document."""

from __future__ import annotations

from typing import Any

import pytest

PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "a-1", "active": True}


def observation(name: str, patient: str = "a-1", **more: Any) -> dict[str, Any]:
    made = {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{patient}"},
    }
    return {**made, **more}


async def follow(server: Any, path: str) -> list[str]:
    """Return what every page of $everything holds."""
    found: list[str] = []
    while path:
        answer = await server("GET", path)
        assert answer.status_code == 200, answer.text
        for entry in answer.json().get("entry", []):
            mark = "" if entry["search"]["mode"] == "match" else "+"
            found.append(mark + entry["fullUrl"].partition("/fhir/")[2])
        links = {link["relation"]: link["url"] for link in answer.json()["link"]}
        path = links.get("next", "").removeprefix("http://gateway/fhir/")
    return found


@pytest.mark.requirement("DX-INT-12")
async def test_validate_tells_what_is_wrong_and_stores_nothing(server: Any) -> None:
    fine = await server("POST", "Patient/$validate", PATIENT)
    assert fine.status_code == 200 and fine.json()["issue"][0]["severity"] == "information"
    by_device = observation("o", performer=[{"reference": "Device/d"}])
    wrong: list[tuple[str, Any, str]] = [
        ("Observation", {"resourceType": "Observation", "status": "final"}, "Observation.code"),
        ("Observation", observation("o", status="done"), "Observation.status"),
        ("Task", {"resourceType": "Task", "status": "done", "intent": "order"}, "Task.status"),
        ("Patient", {**PATIENT, "gender": "m"}, "Patient.gender"),
        ("Patient", {**PATIENT, "colour": "m"}, "Patient.unknown"),
        ("Observation", by_device, "Observation.performer[0]"),
        ("Observation", PATIENT, "resourceType"),
        (
            "MedicinalProduct",
            {"resourceType": "MedicinalProduct", "meta": 1},
            "MedicinalProduct.meta",
        ),
        ("Patient", {**PATIENT, "contained": [{"resourceType": "Nothing"}]}, "Patient.contained"),
    ]
    for kind, resource, path in wrong:
        answer = await server("POST", f"{kind}/$validate", resource)
        issues = answer.json()["issue"]
        assert issues[0]["severity"] == "error", (kind, path)
        assert issues[0]["expression"][0].startswith(path), issues
    stored = await server("POST", "Observation", by_device, prefer="return=OperationOutcome")
    assert stored.status_code == 201, "a misdirected reference is a warning on a write"
    assert [i["severity"] for i in stored.json()["issue"]] == ["information", "warning"]
    assert (await server("GET", "Patient")).json().get("entry") is None


@pytest.mark.requirement("DX-INT-12")
async def test_every_status_of_r4_is_valid(server: Any) -> None:
    """Those that the models leave out too."""
    known = ("registered", "preliminary", "final", "amended", "corrected", "cancelled")
    for status in (*known, "entered-in-error", "unknown"):
        answer = await server("POST", "Observation/$validate", observation("o", status=status))
        assert answer.json()["issue"][0]["severity"] == "information", status
    report = {**observation("r"), "resourceType": "DiagnosticReport"}
    for status in ("partial", "appended", *known, "entered-in-error", "unknown"):
        asked = {**report, "status": status}
        answer = await server("POST", "DiagnosticReport/$validate", asked)
        assert answer.json()["issue"][0]["severity"] == "information", status


@pytest.mark.requirement("DX-INT-12")
async def test_an_operation_that_is_not_served_is_said_to_be_none(server: Any) -> None:
    await server.put(PATIENT)
    for path in ("$nope", "Patient/$nope", "Patient/a-1/$nope", "Observation/o/$everything"):
        answer = await server("GET", path)
        assert answer.status_code == 404, path
        assert "operation" in answer.json()["issue"][0]["diagnostics"], path


@pytest.mark.requirement("DX-INT-12")
async def test_validate_takes_parameters_and_a_mode(server: Any) -> None:
    def asked(**parts: Any) -> dict[str, Any]:
        made = [{"name": name, **value} for name, value in parts.items()]
        return {"resourceType": "Parameters", "parameter": made}

    async def severity(path: str, content: Any) -> str:
        answer = await server("POST", path, content)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["issue"][0]["severity"])

    nameless = {"resourceType": "Patient"}
    update = {"mode": {"valueCode": "update"}}
    assert await severity("Patient/$validate", asked(resource={"resource": PATIENT})) == (
        "information"
    )
    assert await severity(
        "Patient/$validate", asked(resource={"resource": nameless}, **update)
    ) == ("error")
    await server.put(PATIENT)
    assert await severity("Patient/a-1/$validate", {**PATIENT, "id": "b"}) == "error"
    assert await severity("Patient/a-1/$validate", asked(mode={"valueCode": "delete"})) == (
        "information"
    )
    assert (await server("GET", "Patient/a-1/$validate")).status_code == 200
    for query in ("", "?mode=delete"):
        assert await severity(f"Patient/a-1/$validate{query}", None) == "information", query
    assert (await server("POST", "Patient/$validate", None)).status_code == 400
    assert (await server("POST", "Patient/none/$validate", asked(**update))).status_code == 404
    bad = await server("POST", "Patient/$validate", asked(mode={"valueCode": "guess"}))
    unknown = await server("POST", "Patient/$validate?profile=urn:nobody", PATIENT)
    empty = await server("POST", "Patient/$validate", asked())
    assert [bad.status_code, unknown.status_code, empty.status_code] == [400, 404, 400]


@pytest.fixture
async def charted(each_database: Any) -> Any:
    put = each_database.put
    await put({**PATIENT, "managingOrganization": {"reference": "Organization/org"}})
    await put({**PATIENT, "id": "b-1"})
    for name in ("org", "not-referred-to"):
        await put({"resourceType": "Organization", "id": name, "name": "x"})
    await put({"resourceType": "Practitioner", "id": "dr"})
    for number in range(5):
        performer = [{"reference": "Practitioner/dr"}]
        when = f"2026-03-0{number + 1}"
        await put(observation(f"o-{number}", performer=performer, effectiveDateTime=when))
    await put(observation("of-b", "b-1"))
    order = {"resourceType": "ServiceRequest", "id": "s", "status": "active", "intent": "order"}
    await put({**order, "subject": {"reference": "Patient/a-1"}})
    return each_database


@pytest.mark.requirement("DX-INT-12")
async def test_everything_of_a_patient_and_nothing_of_another(charted: Any) -> None:
    whole = await follow(charted, "Patient/a-1/$everything")
    assert whole[0] == "Patient/a-1" and len(whole) == len(set(whole))
    inside = {"Patient/a-1", "ServiceRequest/s", *(f"Observation/o-{n}" for n in range(5))}
    assert set(whole) == inside | {"+Organization/org", "+Practitioner/dr"}
    paged = await follow(charted, "Patient/a-1/$everything?_count=2")
    assert [name for name in paged if name[0] != "+"] == [n for n in whole if n[0] != "+"]
    some = await follow(charted, "Patient/a-1/$everything?_type=Observation,Practitioner")
    assert set(some) == {"+Practitioner/dr", *(f"Observation/o-{n}" for n in range(5))}
    dated = await follow(
        charted, "Patient/a-1/$everything?start=2026-03-02&end=2026-03-03&_type=Observation"
    )
    assert set(dated) - {"+Practitioner/dr"} == {"Observation/o-1", "Observation/o-2"}
    assert await follow(charted, "Patient/a-1/$everything?_since=2100") == []
    for wrong in ("_type=Nothing", "start=x", "_count=x", "_place=x", "colour=red"):
        answer = await charted("GET", f"Patient/a-1/$everything?{wrong}")
        assert answer.status_code in (400, 404), wrong
    assert (await charted("GET", "Patient/none/$everything")).status_code == 404
    asked = {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueCode": "Patient"}]}
    posted = (await charted("POST", "Patient/a-1/$everything", asked)).json()
    assert [e["fullUrl"][-11:] for e in posted["entry"]] == ["Patient/a-1"]


@pytest.mark.requirement("DX-INT-05")
async def test_everything_is_no_way_around_rights(charted: Any, only_patient: Any) -> None:
    app = charted.with_rights(only_patient("a-1", "r"))
    found = await follow(app, "Patient/a-1/$everything")
    assert "Observation/o-1" in found and not [name for name in found if name[0] == "+"]
    assert (await app("GET", "Patient/b-1/$everything")).status_code == 404
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    await charted.put(observation("o-1", meta={"security": [label]}))
    assert "Observation/o-1" not in await follow(app, "Patient/a-1/$everything")
    charted.as_user = "auditor"
    assert (await charted("GET", "Patient/a-1/$everything")).status_code == 403


@pytest.mark.requirement("DX-INT-12")
async def test_a_document_holds_all_that_its_composition_names(charted: Any) -> None:
    report = {
        "resourceType": "DiagnosticReport",
        "id": "rep",
        "status": "final",
        "code": {"text": "r"},
        "result": [{"reference": "Observation/o-1"}, {"reference": "Observation/gone"}],
    }
    composition = {
        "resourceType": "Composition",
        "id": "doc",
        "status": "final",
        "type": {"text": "t"},
        "date": "2026-03-01",
        "title": "t",
        "author": [{"reference": "Practitioner/dr"}],
        "subject": {"reference": "Patient/a-1"},
        "section": [{"entry": [{"reference": "DiagnosticReport/rep"}]}],
    }
    await charted.put(composition)
    incomplete = await charted("GET", "Composition/doc/$document")
    assert incomplete.status_code == 422
    assert incomplete.json()["issue"][0]["details"]["coding"][0]["code"] == "DOCUMENT_INCOMPLETE"
    await charted.put(report)
    made = await charted("GET", "Composition/doc/$document")
    assert made.status_code == 200, made.text
    bundle = made.json()
    assert bundle["type"] == "document" and bundle["timestamp"] and bundle["identifier"]["value"]
    names = [entry["fullUrl"].partition("/fhir/")[2] for entry in bundle["entry"]]
    assert names[0] == "Composition/doc"
    assert set(names[1:]) == {
        "Practitioner/dr",
        "Patient/a-1",
        "DiagnosticReport/rep",
        "Observation/o-1",
    }
    assert (await charted("GET", f"Bundle/{bundle['id']}")).status_code == 404, "not stored"
    kept = await charted("POST", "Composition/doc/$document?persist=true")
    assert kept.status_code == 201
    path = kept.headers["location"].removeprefix("http://gateway/fhir/")
    assert (await charted("GET", path)).json()["type"] == "document"
    assert (await charted("GET", "Composition/doc/$document?persist=maybe")).status_code == 400
    assert (await charted("GET", "Composition/none/$document")).status_code == 404
