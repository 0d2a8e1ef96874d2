"""Who did what is written with what was done, and read by auditors alone."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from services.gateway.store.audit import AuditEntry
from services.gateway.store.audit_event import audit_event
from services.kernel import fhir
from tests.gateway.audit.asking import BALP, Trail, references
from tests.servers.medplum import validator


@pytest.mark.requirement("DX-AUD-01")
async def test_each_interaction_leaves_one_audit_event(trail: Trail) -> None:
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient/p-1"},
    }
    made = await trail.send("POST", "/fhir/Observation", observation)
    name = made.json()["id"]
    await trail.send("GET", f"/fhir/Observation/{name}")
    await trail.send("GET", f"/fhir/Observation/{name}/_history/1")
    await trail.send(
        "PUT", f"/fhir/Observation/{name}", {**observation, "id": name, "note": [{"text": "again"}]}
    )
    await trail.send("GET", "/fhir/Observation?patient=Patient/p-1")
    await trail.send("DELETE", f"/fhir/Observation/{name}")
    events = [e for e in await trail.events() if f"Observation/{name}" in str(e)]
    found = [(e["subtype"][0]["code"], e["action"], e["outcome"]) for e in events]
    assert found == [
        ("create", "C", "0"),
        ("read", "R", "0"),
        ("vread", "R", "0"),
        ("update", "U", "0"),
        ("search-type", "E", "0"),
        ("delete", "D", "0"),
    ]
    for event in events[:5]:
        assert "Patient/p-1" in references(event)
    assert f"Observation/{name}/_history/1" in references(events[0])
    ids = {event["id"] for event in events}
    assert ids <= {e["id"] for e in await trail.events("&patient=Patient/p-1")}
    found_by = {e["id"] for e in await trail.events(f"&entity=Observation/{name}")}
    assert {events[4]["id"], events[5]["id"]} <= found_by
    answer = await trail.send("GET", "/fhir/Patient/p-1/AuditEvent?_count=100", name="auditor")
    assert ids <= {entry["resource"]["id"] for entry in answer.json()["entry"]}
    assert await trail.events("&patient=Patient/p-2") == []


@pytest.mark.requirement("DX-AUD-02")
async def test_audit_event_follows_the_patterns(trail: Trail) -> None:
    await trail.send(
        "GET",
        "/fhir/Patient?identifier=urn:test:mrn|MRN-7431",
        **{"X-Request-Id": "req-77", "Purpose": "HPAYMT"},
    )
    await trail.send("GET", "/fhir/Patient/p-1")
    (query,) = await trail.of("search-type")
    assert query["meta"]["profile"] == [BALP + "PatientQuery"]
    assert query["type"]["code"] == "rest"
    client, server = query["agent"]
    assert client["type"]["coding"][0]["code"] == "110153"
    assert client["who"]["identifier"]["value"] == "ehr-client"
    assert client["requestor"] is True
    assert server["type"]["coding"][0]["code"] == "110152"
    assert query["purposeOfEvent"][0]["coding"][0]["code"] == "HPAYMT"
    by_role = {e.get("role", e["type"])["code"]: e for e in query["entity"]}
    sent = base64.b64decode(by_role["24"]["query"]).decode()
    assert sent.startswith("/fhir/Patient?identifier=")
    assert by_role["XrequestId"]["what"]["identifier"]["value"] == "req-77"
    assert by_role["1"]["what"]["reference"] == "Patient/p-1"
    (read,) = await trail.of("read")
    assert read["meta"]["profile"] == [BALP + "PatientRead"]
    assert read["agent"][0]["type"]["coding"][0]["code"] == "110152"
    assert read["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"


@pytest.mark.requirement("DX-AUD-02")
async def test_audit_events_conform_to_r4(trail: Trail) -> None:
    await trail.world.sign_in()
    await trail.http.get("/worklist", headers={"Accept": "text/html"})
    await trail.send("GET", "/fhir/Patient/none")
    await trail.send("GET", "/fhir/Patient/p-1")
    await trail.send("POST", "/ops/dead/7/retry", name="operator")
    events = await trail.events()
    assert len(events) >= 6
    for event in events:
        assert fhir.problems(event) == [], event


@pytest.mark.requirement("DX-AUD-02")
async def test_a_validator_that_is_not_ours_finds_nothing_wrong(
    trail: Trail, request: pytest.FixtureRequest
) -> None:
    await trail.world.sign_in()
    await trail.http.get("/worklist", headers={"Accept": "text/html"})
    await trail.send("GET", "/fhir/Patient?name=Zhang", **{"X-Request-Id": "r-1"})
    await trail.send("GET", "/fhir/Patient/none")
    entries = [{"resource": event} for event in await trail.events()]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    validate = validator(request.config.cache.mkdir("medplum"))
    assert [i for i in validate(bundle) if i["severity"] == "error"] == []


@pytest.mark.requirement("DX-AUD-02")
@pytest.mark.parametrize(
    ("interaction", "code", "action"),
    [
        ("$everything", "operation", "E"),
        ("$export", "operation", "R"),
        ("notify", "notify", "R"),
        ("sign", "sign", "U"),
        ("submit", "submit", "C"),
        ("something-new", "something-new", "E"),
    ],
)
def test_every_interaction_has_an_audit_event(interaction: str, code: str, action: str) -> None:
    entry = AuditEntry(
        tenant="north",
        interaction=interaction,
        agent="a",
        role="physician",
        time_us=1,
        practitioner="urn:x|1",
        client_id="app",
        resource="study:1",
        request_id="r",
        trace_id="t",
    )
    event = audit_event(entry, ["Patient/p-1"], "https://gateway.example")
    assert fhir.problems(event) == []
    assert event["subtype"][0]["code"] == code
    assert event["action"] == action
    assert [agent["requestor"] for agent in event["agent"]] == [False, False, True]
    worse = audit_event(replace(entry, outcome="8", reason="X"), [], "localhost:1")
    assert fhir.problems(worse) == []
