"""Search as a client meets it: Bundles, summaries, POST, compartments, refusals and limits."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from services.kernel import fhir

PATIENT = {
    "resourceType": "Patient",
    "id": "a",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Kim</div>'},
    "name": [{"family": "Kim", "given": ["Minh"]}],
    "birthDate": "1990-05-01",
    "contact": [{"name": {"family": "Other"}}],
    "communication": [{"language": {"text": "vi"}, "preferred": True}],
}
OBSERVATION = b"""{"resourceType": "Observation", "id": "o", "status": "final",
 "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
 "subject": {"reference": "Patient/a"},
 "component": [{"code": {"text": "x"}, "valueQuantity": {"value": 1.50}}],
 "note": [{"text": "free"}],
 "valueQuantity": {"value": 5.40, "unit": "g/dL"}}"""


@pytest.fixture
async def served(world: Any) -> Any:
    """A world with a patient and a value of hers."""
    headers = {**world.bearer(), "Content-Type": "application/fhir+json"}
    for path, content in (
        ("Patient/a", orjson.dumps(PATIENT)),
        ("Observation/o", OBSERVATION),
    ):
        answer = await world.http.put(f"/fhir/{path}", content=content, headers=headers)
        assert answer.status_code == 201, answer.text
    return world


async def bundle(world: Any, path: str, **headers: str) -> dict[str, Any]:
    answer = await world.get(f"/fhir/{path}", **headers)
    assert answer.status_code == 200, answer.text
    found = fhir.parse(answer.content)
    assert (found["resourceType"], found["type"]) == ("Bundle", "searchset")
    return dict(found)


def entries(found: dict[str, Any], mode: str = "match") -> list[dict[str, Any]]:
    return [e["resource"] for e in found.get("entry", []) if e["search"]["mode"] == mode]


def link(found: dict[str, Any], relation: str) -> str:
    return next((x["url"] for x in found["link"] if x["relation"] == relation), "")


@pytest.mark.requirement("DX-SEA-11")
async def test_a_bundle_says_what_was_used_and_how_many_there_are(served: Any) -> None:
    found = await bundle(
        served, "Patient?family=kim&colour=red&_revinclude=Observation:subject",
        Prefer="handling=lenient",
    )  # fmt: skip
    assert fhir.problems(found) == []
    assert found["total"] == 1
    asked = dict(parse_qsl(urlsplit(link(found, "self")).query))
    assert asked == {"family": "kim", "_revinclude": "Observation:subject"}
    assert [r["id"] for r in entries(found)] == ["a"]
    assert [r["id"] for r in entries(found, "include")] == ["o"]
    assert found["entry"][0]["fullUrl"] == "http://gateway/fhir/Patient/a"
    (outcome,) = entries(found, "outcome")
    assert outcome["issue"][0]["expression"] == ["http.colour"]
    assert outcome["issue"][0]["severity"] == "warning"


@pytest.mark.requirement("DX-SEA-11")
async def test_a_next_link_leads_on_and_the_total_is_asked_for(served: Any) -> None:
    headers = {**served.bearer(), "Content-Type": "application/fhir+json"}
    for n in range(3):
        content = orjson.dumps({"resourceType": "Patient", "id": f"n{n}"})
        await served.http.put(f"/fhir/Patient/n{n}", content=content, headers=headers)
    found = await bundle(served, "Patient?_count=2&_total=accurate")
    assert found["total"] == 4 and len(entries(found)) == 2
    rest = await bundle(served, link(found, "next").removeprefix("http://gateway/fhir/"))
    assert len(entries(rest)) == 2 and not link(rest, "next")
    assert "total" not in await bundle(served, "Patient?_count=2&_total=none")
    assert "total" not in await bundle(served, "Patient?_count=2")
    for path in ("Patient?_count=0", "Patient?_summary=count"):
        counted = await bundle(served, path)
        assert counted["total"] == 4 and "entry" not in counted
    other = link(found, "next").replace("Patient?", "Observation?")
    answer = await served.get(other.removeprefix("http://gateway"))
    assert answer.status_code == 400


@pytest.mark.requirement("DX-SEA-11")
async def test_summaries_and_elements_keep_what_must_be_there(served: Any) -> None:
    (patient,) = entries(await bundle(served, "Patient?_summary=true"))
    assert {"name", "birthDate"} <= set(patient) and not {"text", "contact"} & set(patient)
    assert patient["meta"]["tag"][-1]["code"] == "SUBSETTED"
    (patient,) = entries(await bundle(served, "Patient?_summary=text"))
    assert set(patient) == {"resourceType", "id", "meta", "text"}
    (patient,) = entries(await bundle(served, "Patient?_summary=data"))
    assert "text" not in patient and "contact" in patient
    (patient,) = entries(await bundle(served, "Patient?_elements=birthDate"))
    assert set(patient) == {"resourceType", "id", "meta", "birthDate"}
    (whole,) = entries(await bundle(served, "Patient?_summary=false"))
    assert "tag" not in whole["meta"]
    (value,) = entries(await bundle(served, "Observation?_elements=value"))
    assert {"status", "code", "valueQuantity"} <= set(value) and "note" not in value
    assert value["valueQuantity"]["value"].written == "5.40"
    (value,) = entries(await bundle(served, "Observation?_summary=true"))
    assert value["component"][0]["valueQuantity"]["value"].written == "1.50"
    assert "note" not in value


@pytest.mark.requirement("DX-SEA-11")
async def test_search_by_post_takes_address_and_form(served: Any) -> None:
    async def post(path: str, content: bytes, kind: str) -> Any:
        headers = {**served.bearer(), "Content-Type": kind}
        return await served.http.post(f"/fhir/{path}", content=content, headers=headers)

    form = "application/x-www-form-urlencoded"
    answer = await post("Patient/_search?family=kim", b"birthdate=1990-05-01", form)
    assert answer.json()["total"] == 1
    assert link(answer.json(), "self").endswith("Patient?family=kim&birthdate=1990-05-01")
    answer = await post("Patient/_search?family=kim", b"birthdate=1991", form)
    assert answer.json()["total"] == 0
    answer = await post("Patient/a/Observation/_search", b"code=718-7", form)
    assert answer.json()["total"] == 1
    assert (await post("Patient/_search", b"{}", "application/json")).status_code == 415
    assert (await post("Patient/_search", b"family=\xff", form)).status_code == 400
    assert (await post("Patient/_search", b"a=1&" * 500, form)).status_code == 400
    assert (await post("Patient/_search", b"a" * 200_000, form)).status_code == 413


@pytest.mark.requirement("DX-SEA-10")
async def test_compartments(served: Any) -> None:
    assert (await bundle(served, "Patient/a/Observation?code=718-7"))["total"] == 1
    assert (await bundle(served, "Patient/b/Observation"))["total"] == 0
    every = await bundle(served, "Patient/a/*")
    assert {r["resourceType"] for r in entries(every)} == {"Patient", "Observation"}
    for path in ("Organization/1/Observation", "Patient/a/Organization", "Patient/a/Colour"):
        assert (await served.get(f"/fhir/{path}")).status_code == 404, path
    assert (await served.get("/fhir/Patient/a/*?status=final")).status_code == 400


@pytest.mark.requirement("DX-SEA-08")
async def test_who_may_not_search_a_type_is_told_so(served: Any) -> None:
    assert (await served.get("/fhir/Patient", "auditor")).status_code == 403
    assert (await served.get("/fhir/AuditEvent", "ehr")).status_code == 403
    assert (await served.get("/fhir/Patient/a/*", "operator")).status_code == 403
    trail = (await served.get("/fhir/Patient/a/*", "auditor")).json()
    assert {r["resourceType"] for r in entries(trail)} <= {"AuditEvent"}
    assert (await bundle(served, "Patient", name="other"))["total"] == 0


@pytest.mark.requirement("DX-SEA-04")
@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("_list=42", "lists are not searched"),
        ("_text=x", "full text"),
        ("_content=x", "full text"),
        ("_filter=name eq x", "filter expressions"),
        ("_query=x", "named queries"),
        ("colour=red", "searched by: _id"),
        ("name:soundslike=x", "takes no such modifier; served: :exact, :contains, :missing"),
        ("gender:in=http://x", "no value set with this url is loaded here"),
        ("family=", "is empty"),
        ("_count=1&_count=2", "given twice"),
        ("organization.colour=x", "searched by"),
    ],
)
async def test_a_refusal_says_what_to_do(served: Any, query: str, says: str) -> None:
    answer = await served.get(f"/fhir/Patient?{query}")
    assert answer.status_code == 400
    issue = answer.json()["issue"][0]
    assert says in issue["details"]["text"]


@pytest.mark.requirement("DX-SEA-09")
@pytest.mark.parametrize(
    "query",
    [
        "&".join(f"_tag={n}" for n in range(80)),
        "family=" + "a" * 5000,
        "family=" + ",".join("a" * 200),
        "x" * 400 + "=1",
        "organization.partof.partof.partof.name=x",
        "_has:Observation:patient:_has:Observation:has-member:_has:Task:focus:status=x",
        "_sort=" + ",".join(["birthdate"] * 9),
        "_elements=" + ",".join(["name"] * 99),
        "&".join(["_include=Patient:link"] * 30),
        "_count=1e9",
        "_count=%D9%A3",
        "birthdate=0000",
        "birthdate=2013-01-01T25:00:00Z",
    ],
)
async def test_more_than_is_allowed_is_refused(served: Any, query: str) -> None:
    answer = await served.get(f"/fhir/Patient?{query}")
    assert answer.status_code == 400
    assert len(answer.content) < 8000


@pytest.mark.requirement("DX-SEA-09")
@pytest.mark.parametrize(
    "value",
    ["(a+)+$" * 300, "%" * 2000, "\\" * 3999, "a|" * 1500, "'; DROP TABLE gateway_terms; --",
     "\u0000", "\ud7ff", "ﷺ" * 500, "a\u0301" * 1500, "9" * 4000, "-" * 3000],
)  # fmt: skip
async def test_strange_strings_cost_no_time_and_are_not_repeated(served: Any, value: str) -> None:
    for name in ("family", "family:contains", "identifier", "birthdate", "_id", "organization",
                 "_profile", "_profile:above", "_after"):  # fmt: skip
        started = time.process_time()
        answer = await served.http.get(
            "/fhir/Patient", params={name: value}, headers=served.bearer()
        )
        assert time.process_time() - started < 1.5, name
        assert answer.status_code in (200, 400), (name, answer.text)
        if answer.status_code == 400:
            assert value[:20] not in answer.json()["issue"][0]["details"]["text"]
    assert (await bundle(served, "Patient"))["total"] == 1


@pytest.mark.requirement("DX-SEA-12")
async def test_the_index_holds_nothing_that_can_be_read(served: Any) -> None:
    """Looks for every text of the resources in the raw rows of the index."""
    database = served.gateway.store.database
    async with database.engine.connect() as connection:
        terms = (await connection.exec_driver_sql("SELECT * FROM gateway_terms")).all()
        ranges = (await connection.exec_driver_sql("SELECT * FROM gateway_ranges")).all()
    assert len(terms) > 50 and ranges
    raw = b"".join(term for _, term, _ in terms) + b"".join(row[1] for row in ranges)
    for text in (b"Kim", b"kim", b"Minh", b"718-7", b"Patient", b"final", b"loinc"):
        assert text not in raw
    assert all(len(term) == 16 for _, term, _ in terms)
    north = {term for tenant, term, _ in terms if tenant == "north"}
    headers = {**served.bearer("other"), "Content-Type": "application/fhir+json"}
    await served.http.put("/fhir/Patient/a", content=orjson.dumps(PATIENT), headers=headers)
    async with database.engine.connect() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT term FROM gateway_terms WHERE tenant = 'south'"
        )
        south = {row[0] for row in rows}
    assert south and not south & north, "the same values of two tenants have no term in common"
