"""Who may export what, whose a job is, and what the trail says of it."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.access.rights import ANY, Permission
from tests.gateway.export.exported import RS, observation, patient, rights


@pytest.mark.requirement("DX-BLK-04")
async def test_scopes_narrow_what_is_exported(bulk: Any, client: Any, keep: Any) -> None:
    await keep(
        bulk.world,
        patient(),
        observation(1, "laboratory"),
        observation(2, "imaging"),
        {"resourceType": "Organization", "id": "org", "name": "n"},
    )
    only = Permission("Observation", RS, criteria=(("category", "laboratory"),))
    narrow = client("lab", rights(only, Permission("Patient", RS)))
    assert await narrow.ids() == {"Observation/o-1", "Patient/p-1"}
    refused = await narrow.start(_type="Organization")
    assert refused.status_code == 403
    reader = client("reader", rights(Permission("Patient", frozenset("r"))))
    assert await reader.ids() == set(), "reading one by one is not searching"


@pytest.mark.requirement("DX-BLK-04")
async def test_restricted_resources_need_that_right(bulk: Any, client: Any, keep: Any) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    await keep(bulk.world, patient(1), patient(2, meta={"security": [label]}))
    assert await client("plain", rights(Permission(ANY, RS))).ids() == {"Patient/p-1"}
    assert await bulk.ids() == {"Patient/p-1", "Patient/p-2"}


@pytest.mark.requirement("DX-BLK-04")
async def test_a_job_is_its_clients_alone(bulk: Any, client: Any, keep: Any) -> None:
    await keep(bulk.world, patient())
    begun = await bulk.start()
    await bulk.work()
    address = begun.headers["content-location"]
    file = (await bulk.get(address)).json()["output"][0]["url"]
    others = [
        client("another", rights(Permission(ANY, RS))),
        client("south", rights(Permission(ANY, RS)), "south"),
    ]
    for other in others:
        for url in (address, file):
            assert (await other.get(url)).status_code == 404
        assert (await other.delete(address)).status_code == 404
    assert (await bulk.http.get(file)).status_code == 401
    assert (await bulk.get(file)).status_code == 200


@pytest.mark.requirement("DX-BLK-04")
async def test_a_client_that_may_read_less_by_now_gets_no_file(
    bulk: Any, client: Any, keep: Any
) -> None:
    await keep(bulk.world, patient(), observation(1))
    wide = client("shrinking", rights(Permission(ANY, RS)))
    manifest = await wide.manifest()
    narrow = client(
        "shrinking",
        rights(Permission("Patient", RS), Permission("Observation", RS, criteria=(("code", "x"),))),
    )
    got = {e["type"]: (await narrow.get(e["url"])).status_code for e in manifest["output"]}
    assert got == {"Patient": 200, "Observation": 403}


@pytest.mark.requirement("DX-BLK-07")
async def test_only_so_many_run_at_a_time(bulk: Any, client: Any, keep: Any) -> None:
    await keep(bulk.world, patient())
    assert [(await bulk.start()).status_code for _ in range(3)] == [202, 202, 429]
    refused = await bulk.start()
    assert int(refused.headers["retry-after"]) > 0
    every = rights(Permission(ANY, RS))
    codes = [(await client(f"c-{n}", every).start()).status_code for n in range(3)]
    assert codes == [202, 202, 429], "and of a tenant"
    assert (await client("s", every, "south").start()).status_code == 202
    await bulk.work()
    assert (await bulk.start()).status_code == 202


@pytest.mark.requirement("DX-BLK-07")
async def test_kick_off_and_files_are_audited(bulk: Any, keep: Any) -> None:
    await keep(bulk.world, patient())
    manifest = await bulk.manifest("/fhir/Patient/$export", patient="Patient/p-1")
    await bulk.lines(manifest)
    rows = [row.entry for row in await bulk.world.gateway.store.audit.rows("north")]
    kick_off = next(entry for entry in rows if entry.interaction == "$export")
    assert kick_off.patients == ("Patient/p-1",)
    assert "$export" in kick_off.query
    assert [e.resource for e in rows if e.interaction == "$export-file"] == ["Patient"]
