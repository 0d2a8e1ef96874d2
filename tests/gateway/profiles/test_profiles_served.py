"""Profiles from a running gateway: read, found by address, used by $validate, named in metadata."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.profiles.conform import problems
from services.kernel import fhir

PREFIX = "urn:dxmesh:fhir:StructureDefinition:"


@pytest.mark.requirement("DX-PRO-05")
async def test_a_profile_is_read_and_found_by_its_address(world: Any) -> None:
    read = await world.get("/fhir/StructureDefinition/dxmesh-finding")
    assert read.status_code == 200
    assert read.json()["url"] == f"{PREFIX}finding"
    found = await world.get(f"/fhir/StructureDefinition?url={PREFIX}finding")
    assert [entry["resource"]["id"] for entry in found.json()["entry"]] == ["dxmesh-finding"]
    values = await world.get("/fhir/ValueSet?url=urn:dxmesh:fhir:ValueSet:assertion")
    assert values.json()["total"] == 1
    assert (await world.get("/fhir/CodeSystem/dxmesh-review")).status_code == 200
    assert (await world.http.get("/fhir/StructureDefinition/dxmesh-finding")).status_code == 401


@pytest.mark.requirement("DX-PRO-05")
async def test_what_others_stored_is_served_beside_ours(world: Any) -> None:
    own = {
        "resourceType": "StructureDefinition",
        "id": "theirs",
        "url": "urn:theirs",
        "name": "Theirs",
        "status": "draft",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
    }
    async with world.gateway.store.resources.writing("north") as writing:
        await writing.save(own)
    assert (await world.get("/fhir/StructureDefinition/theirs")).json()["url"] == "urn:theirs"
    found = await world.get("/fhir/StructureDefinition?url=urn:theirs")
    assert [entry["resource"]["id"] for entry in found.json()["entry"]] == ["theirs"]
    assert (await world.get("/fhir/StructureDefinition/dxmesh-none-such")).status_code == 404


@pytest.mark.requirement("DX-PRO-05")
async def test_validate_holds_a_resource_against_a_profile(world: Any, setting: Any) -> None:
    report = setting.sample_report("en")["entry"][0]["resource"]
    headers = {**world.bearer(), "Content-Type": "application/fhir+json"}
    address = f"/fhir/DiagnosticReport/$validate?profile={PREFIX}report-unreviewed"
    good = await world.http.post(address, content=fhir.dump(report), headers=headers)
    assert [i["severity"] for i in good.json()["issue"]] == ["information"], good.text
    report["status"] = "final"
    bad = await world.http.post(address, content=fhir.dump(report), headers=headers)
    assert ["DiagnosticReport.status"] in [i.get("expression") for i in bad.json()["issue"]]


@pytest.mark.requirement("DX-PRO-05")
async def test_metadata_names_them(world: Any) -> None:
    statement = (await world.get("/fhir/metadata")).json()
    named = {
        entry["type"]: entry.get("supportedProfile", [])
        for entry in statement["rest"][0]["resource"]
    }
    assert f"{PREFIX}report-signed" in named["DiagnosticReport"]
    assert f"{PREFIX}case" in named["Task"]
    [group] = [each for each in statement["rest"][0]["resource"] if each["type"] == "Group"]
    operations = [*statement["rest"][0]["operation"], *group["operation"]]
    named_exports = [each["definition"] for each in operations if each["name"] == "export"]
    assert [url.rpartition("/")[2] for url in named_exports] == ["export", "group-export"]
    assert any("bulk-data" in url for url in statement["instantiates"])


@pytest.mark.requirement("DX-PRO-01")
async def test_what_is_stored_conforms_with_identity_restored(world: Any, setting: Any) -> None:
    await setting.compose(world, setting.sample_report("zh"))
    stored = await world.gateway.store.resources.of_case("north", setting.CASE_ID)
    claimed = 0
    for each in stored:
        resource = fhir.parse(each.content)
        claimed += "profile" in resource.get("meta", {})
        assert problems(resource) == [], each.type
    assert claimed > 20
