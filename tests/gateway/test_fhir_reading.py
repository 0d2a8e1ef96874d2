"""read, vread, search and metadata, as an integrator's client uses them."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.fhir.metadata import statement
from services.gateway.fhir.search.definitions import TYPES
from services.gateway.routes import ENTRIES
from services.kernel import fhir


@pytest.fixture
async def filled(world: Any, setting: Any) -> Any:
    """A world with one report."""
    await setting.compose(world, setting.sample_report())
    return world


async def ids(world: Any, query: str) -> set[str]:
    answer = await world.get(f"/fhir/{query}")
    assert answer.status_code == 200, answer.text
    return {e["resource"]["id"] for e in answer.json().get("entry", [])}


@pytest.mark.requirement("DX-GW-10")
async def test_search_finds_by_every_form_of_a_token(filled: Any) -> None:
    laboratory = await ids(filled, "Observation?category=laboratory&_count=100")
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    assert laboratory
    assert laboratory == await ids(filled, f"Observation?category={system}|laboratory&_count=100")
    every = await ids(filled, f"Observation?category={system}|&_count=100")
    assert laboratory < every
    assert await ids(filled, "Observation?category=|laboratory") == set()
    imaging = await ids(filled, "Observation?category=imaging")
    assert await ids(filled, "Observation?category=laboratory,imaging&_count=100") == (
        laboratory | imaging
    )
    assert await ids(filled, "Observation?category=laboratory&status=final") == set()


@pytest.mark.requirement("DX-GW-10")
async def test_search_finds_by_patient_order_and_result(filled: Any) -> None:
    (report,) = await ids(filled, "DiagnosticReport?patient=Patient/p-1")
    assert await ids(filled, "DiagnosticReport?patient=p-1&status=partial") == {report}
    assert await ids(filled, "DiagnosticReport?subject=Patient/p-1") == {report}
    assert await ids(filled, "DiagnosticReport?based-on=ServiceRequest/order-1") == {report}
    assert await ids(filled, "DiagnosticReport?patient=p-2") == set()
    assert await ids(filled, f"DiagnosticReport?_id={report},other") == {report}
    (result, *_) = await ids(filled, "Observation?category=imaging")
    assert await ids(filled, f"DiagnosticReport?result={result}") == {report}
    assert await ids(filled, "Patient?identifier=urn:test:mrn|MRN-7431") == {"p-1"}


@pytest.mark.requirement("DX-GW-11")
async def test_an_unknown_parameter_is_never_ignored(filled: Any) -> None:
    strict = await filled.get("/fhir/Observation?colour=red")
    assert strict.status_code == 400
    assert strict.json()["issue"][0]["expression"] == ["http.colour"]
    lenient = await filled.get(
        "/fhir/Observation?colour=red&category=imaging", Prefer="handling=lenient"
    )
    outcome = [e for e in lenient.json()["entry"] if e["search"]["mode"] == "outcome"]
    assert outcome[0]["resource"]["issue"][0]["severity"] == "warning"


@pytest.mark.requirement("DX-GW-10")
async def test_pages_are_complete_without_a_repeat(filled: Any) -> None:
    every = await ids(filled, "Observation?_count=200")
    path: str | None = "/fhir/Observation?_count=5"
    seen: list[str] = []
    while path:
        page = (await filled.get(path)).json()
        seen += [e["resource"]["id"] for e in page["entry"]]
        links = {link["relation"]: link["url"] for link in page["link"]}
        path = links.get("next", "").removeprefix("http://gateway") or None
    assert len(seen) == len(set(seen)) and set(seen) == every


@pytest.mark.parametrize(
    "query",
    [
        "_count=-1",
        "_count=many",
        "_count=" + "9" * 40,
        "status=",
        "_after=zzz",
        "status=" + "a" * 300,
    ],
)
async def test_values_that_cannot_be_used_are_refused(filled: Any, query: str) -> None:
    answer = await filled.get(f"/fhir/Observation?{query}")
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_a_huge_count_is_cut_down(filled: Any) -> None:
    assert (await filled.get("/fhir/Observation?_count=999999999")).status_code == 200


async def test_search_by_post(filled: Any) -> None:
    answer = await filled.http.post(
        "/fhir/Observation/_search", data={"category": "imaging"}, headers=filled.bearer()
    )
    found = {e["resource"]["id"] for e in answer.json()["entry"]}
    assert found == await ids(filled, "Observation?category=imaging")


@pytest.mark.requirement("DX-GW-12")
async def test_another_tenant_sees_nothing(filled: Any) -> None:
    for kind in sorted(TYPES):
        mine = (await filled.get(f"/fhir/{kind}")).json().get("entry", [])
        theirs = await filled.get(f"/fhir/{kind}", "other")
        assert theirs.json().get("entry") is None
        for entry in mine[:3]:
            path = f"/fhir/{kind}/{entry['resource']['id']}"
            assert (await filled.get(path)).status_code == 200
            assert (await filled.get(path, "other")).status_code == 404
            assert (await filled.get(f"{path}/_history/1", "other")).status_code == 404


async def test_versions_and_conditional_reads(filled: Any, setting: Any) -> None:
    path = f"/fhir/Task/{setting.CASE_ID}"
    current = await filled.get(path)
    tag = current.headers["etag"]
    assert (await filled.get(path, **{"If-None-Match": tag})).status_code == 304
    first = await filled.get(f"{path}/_history/1")
    assert first.json()["meta"]["versionId"] == "1"
    assert (await filled.get(f"{path}/_history/99")).status_code == 404
    assert (await filled.get(f"{path}/_history/x")).status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/fhir/Task/nothing", 404),
        ("/fhir/Colour/1", 404),
        ("/fhir/Colour", 404),
        ("/fhir/Task/..%2F..%2Fetc", 404),
        ("/fhir/Task/" + "a" * 65, 400),
        ("/fhir/Task/a%20b", 400),
        ("/fhir/Task?_format=xml", 406),
    ],
)
async def test_wrong_addresses_are_answered_as_fhir(world: Any, path: str, status: int) -> None:
    answer = await world.get(path)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_xml_is_refused(world: Any) -> None:
    answer = await world.get("/fhir/Task", Accept="application/fhir+xml")
    assert answer.status_code == 406


@pytest.mark.requirement("DX-GW-13")
async def test_the_capability_statement_says_what_the_routes_do(world: Any) -> None:
    answer = await world.get("/fhir/metadata")
    statement_ = answer.json()
    assert fhir.problems(fhir.parse(answer.content)) == []
    assert statement_["fhirVersion"] == "4.0.1"
    named = {r["type"]: r for r in statement_["rest"][0]["resource"]}
    assert set(named) == set(TYPES)
    consent = {i["code"] for i in named["Consent"]["interaction"]}
    assert consent >= {"create", "update", "patch", "delete", "read", "vread", "search-type"}
    served = [pair for entry in ENTRIES for pair in entry.interactions]
    fewer = fhir.parse(statement("http://x", tuple(p for p in served if p[1] != "update")))
    consent_entry = next(r for r in fewer["rest"][0]["resource"] if r["type"] == "Consent")
    assert "update" not in {i["code"] for i in consent_entry["interaction"]}


@pytest.mark.requirement("DX-GW-14")
async def test_each_access_to_a_report_leaves_an_audit_row(filled: Any) -> None:
    (report,) = await ids(filled, "DiagnosticReport")
    await filled.get(f"/fhir/DiagnosticReport/{report}")
    rows = (await filled.get("/ops/audit", "auditor")).json()["audit"]
    reads = [r for r in rows if r["resource"] == f"DiagnosticReport/{report}"]
    assert [r["action"] for r in reads] == ["search-type", "read"]
    assert {r["agent"] for r in reads} == {"ehr-client"}
    after = reads[0]["id"]
    rest = (await filled.get(f"/ops/audit?after={after}", "auditor")).json()["audit"]
    assert all(row["id"] > after for row in rest)
