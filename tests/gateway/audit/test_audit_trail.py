"""The trail: who reads it, that it is whole, sealed and forgotten in time."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from sqlalchemy import text

from services.gateway.store.audit import AuditEntry
from services.kernel.errors import Unavailable
from tests.gateway.audit.asking import Trail


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
