"""Who did what is written with what was done, and read by auditors alone."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text

from services.gateway.store.audit import AuditEntry
from services.gateway.store.audit_event import audit_event
from services.kernel import fhir
from services.kernel.errors import Unavailable
from tests.servers.medplum import validator

FHIR = "application/fhir+json"
BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."


class Trail:
    """A gateway with a patient in it, and what its trail says."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.http: httpx.AsyncClient = world.http

    async def send(
        self, method: str, path: str, body: Any = None, name: str = "ehr", **headers: str
    ) -> httpx.Response:
        sent = {**self.world.bearer(name), "Content-Type": FHIR, **headers}
        content = orjson.dumps(body) if body is not None else None
        return await self.http.request(method, path, content=content, headers=sent)

    async def events(self, query: str = "") -> list[dict[str, Any]]:
        """Return AuditEvents as an auditor finds them, oldest first."""
        path = f"/fhir/AuditEvent?_count=100&_sort=date{query}"
        answer = await self.send("GET", path, name="auditor")
        assert answer.status_code == 200, answer.text
        return [e["resource"] for e in answer.json().get("entry", [])]

    async def of(self, interaction: str) -> list[dict[str, Any]]:
        return [e for e in await self.events() if e["subtype"][0]["code"] == interaction]


@pytest.fixture
async def trail(world: Any, setting: Any) -> AsyncIterator[Trail]:
    made = Trail(world)
    answer = await made.send("PUT", "/fhir/Patient/p-1", setting.PATIENT)
    assert answer.status_code == 201, answer.text
    yield made


def references(event: dict[str, Any]) -> set[str]:
    found = (entity.get("what", {}).get("reference") for entity in event.get("entity", []))
    return {one for one in found if one}


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


@pytest.mark.requirement("DX-AUD-03")
async def test_what_is_refused_is_in_the_trail(trail: Trail) -> None:
    assert (await trail.send("GET", "/fhir/Patient/none")).status_code == 404
    assert (await trail.send("GET", "/fhir/Patient/p-1", name="operator")).status_code == 403
    answer = await trail.send("PUT", "/fhir/Patient/p-2", {"resourceType": "Patient", "id": "x"})
    assert answer.status_code in (400, 422)
    refused = [
        (e["subtype"][0]["code"], e["outcome"]) for e in await trail.events() if e["outcome"] != "0"
    ]
    assert refused == [("read", "4"), ("read", "4"), ("update", "4")]
    events = await trail.events()
    assert events[2]["outcomeDesc"] == "ROLE_NOT_ALLOWED"


@pytest.mark.requirement("DX-AUD-03")
async def test_wrong_password_is_in_the_trail(trail: Trail) -> None:
    await trail.world.sign_in("reader", "wrong")
    await trail.world.sign_in("reader")
    found = [
        (e["type"]["code"], e["outcome"], e["agent"][-1]["altId"])
        for e in await trail.events()
        if e["subtype"][0]["code"] == "110122"
    ]
    assert found == [("110114", "4", "reader"), ("110114", "0", "reader")]


@pytest.mark.requirement("DX-AUD-04")
@pytest.mark.parametrize("name", ["ehr", "operator", "other"])
async def test_only_an_auditor_reads_it(trail: Trail, name: str) -> None:
    events = await trail.events()
    path = f"/fhir/AuditEvent/{events[0]['id']}"
    assert (await trail.send("GET", path, name="auditor")).status_code == 200
    for refused in (path, f"{path}/_history/1", f"{path}/_history", "/fhir/AuditEvent"):
        assert (await trail.send("GET", refused, name=name)).status_code in (403, 404)
    for shown in ("/fhir/_history?_count=100", "/fhir/Patient/p-1/$everything"):
        assert "AuditEvent" not in (await trail.send("GET", shown, name=name)).text


@pytest.mark.requirement("DX-AUD-04")
async def test_an_auditor_of_another_tenant_sees_none_of_it(trail: Trail) -> None:
    await trail.events()
    store = trail.world.gateway.store
    assert await store.audit.rows("south") == []
    assert await store.settling.settle("south") == 0


@pytest.mark.requirement("DX-AUD-04")
@pytest.mark.parametrize("name", ["ehr", "auditor"])
async def test_nobody_writes_or_deletes_it(trail: Trail, name: str) -> None:
    event = (await trail.events())[0]
    path = f"/fhir/AuditEvent/{event['id']}"
    for method, address in (("PUT", path), ("DELETE", path), ("POST", "/fhir/AuditEvent")):
        answer = await trail.send(method, address, event, name=name)
        assert answer.status_code == 403, (method, answer.text)
    patch = [{"op": "replace", "path": "/outcome", "value": "8"}]
    kind = {"Content-Type": "application/json-patch+json"}
    assert (await trail.send("PATCH", path, patch, name=name, **kind)).status_code == 403
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "DELETE", "url": f"AuditEvent/{event['id']}"}}],
    }
    answer = await trail.send("POST", "/fhir", batch, name=name)
    assert answer.status_code == 403 or answer.json()["entry"][0]["response"]["status"][:3] == "403"
    assert (await trail.send("GET", path, name="auditor")).status_code == 200


@pytest.mark.requirement("DX-AUD-05")
async def test_change_and_entry_are_committed_together_or_not_at_all(trail: Trail) -> None:
    store = trail.world.gateway.store
    entry = AuditEntry(tenant="north", interaction="create", agent="a", role="ehr")
    before = len(await store.audit.rows("north"))
    with pytest.raises(RuntimeError):
        async with store.resources.writing("north") as writing:
            await writing.save({"resourceType": "Basic", "id": "b-1"})
            writing.audit(entry)
            raise RuntimeError
    assert len(await store.audit.rows("north")) == before
    assert await store.resources.find("north", "Basic", "b-1") is None


@pytest.mark.requirement("DX-AUD-05")
async def test_nothing_is_shown_that_is_not_in_the_trail(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise Unavailable("the database is away")

    monkeypatch.setattr(type(trail.world.gateway.store.audit), "write", away)
    answer = await trail.send("GET", "/fhir/Patient/p-1")
    assert answer.status_code == 503
    assert "Zhang" not in answer.text


@pytest.mark.requirement("DX-AUD-06")
async def test_the_trail_is_sealed(trail: Trail) -> None:
    await trail.send("GET", "/fhir/Patient?identifier=urn:test:mrn|MRN-7431")
    await trail.events()
    stored = b"".join(p.read_bytes() for p in trail.world.database.parent.glob("gateway.sqlite*"))
    for secret in (b"MRN-7431", b"ehr-client", base64.b64encode(b"MRN-7431")[:8]):
        assert secret not in stored


@pytest.mark.requirement("DX-AUD-06")
async def test_what_is_old_enough_is_forgotten(trail: Trail) -> None:
    await trail.events()
    store = trail.world.gateway.store
    assert await store.settling.forget(store.database.now_us() + 1_000_000) > 0
    assert await store.audit.rows("north") == []
    async with store.database.read() as connection:
        for table in ("gateway_current", "gateway_resources"):
            query = text(f"SELECT count(*) FROM {table} WHERE type = 'AuditEvent'")
            assert (await connection.execute(query)).scalar_one() == 0
        orphans = text(
            "SELECT count(*) FROM gateway_terms AS t WHERE NOT EXISTS "
            "(SELECT 1 FROM gateway_current AS c WHERE c.tenant = t.tenant AND c.key = t.key)"
        )
        assert (await connection.execute(orphans)).scalar_one() == 0
    assert (await trail.send("GET", "/fhir/Patient/p-1")).status_code == 200


@pytest.mark.requirement("DX-AUD-01")
async def test_ops_audit_tells_each_resource_that_was_shown(trail: Trail) -> None:
    await trail.send("GET", "/fhir/Patient")
    answer = await trail.send("GET", "/ops/audit", name="auditor")
    rows = [(r["action"], r["resource"]) for r in answer.json()["audit"]]
    assert rows[:3] == [
        ("update", "Patient/p-1"),
        ("search-type", "Patient"),
        ("search-type", "Patient/p-1"),
    ]


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
