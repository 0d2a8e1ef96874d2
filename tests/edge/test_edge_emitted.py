"""`@medplum/core` finds nothing wrong in what the gateway itself writes.

Everything is collected through the served gateway, and validated in one run of node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

FHIR_JSON = "application/fhir+json"
SAMPLE = "emitted"

Collect = Callable[[str, httpx.Response], None]


def put(http: httpx.Client, kind: str, own: str, **members: Any) -> httpx.Response:
    """Store a resource."""
    body = {"resourceType": kind, "id": own, **members}
    return http.put(f"/fhir/{kind}/{own}", json=body)


def population(http: httpx.Client) -> None:
    """Store what the answers are made of."""
    for _ in range(2):
        put(http, "Patient", SAMPLE, name=[{"family": "Emitted", "text": str(_)}])
    about = {"reference": f"Patient/{SAMPLE}"}
    put(http, "Practitioner", SAMPLE, name=[{"family": "Emitter"}])
    put(http, "Observation", SAMPLE, status="final", code={"text": "a"}, subject=about)
    put(http, "Group", SAMPLE, type="person", actual=True, member=[{"entity": about}])
    put(
        http,
        "Composition",
        SAMPLE,
        status="final",
        type={"text": "letter"},
        subject=about,
        date="2026-01-01",
        author=[{"reference": f"Practitioner/{SAMPLE}"}],
        title="A letter",
        section=[{"title": "a", "entry": [{"reference": f"Observation/{SAMPLE}"}]}],
    )


def bundles(http: httpx.Client, keep: Collect) -> None:
    """Collect Bundles of every kind."""
    for path in (
        "Patient",
        "Patient?_count=1",
        "Patient?family=nobody-has-it",
        "Patient?_summary=count",
        "Patient?_count=0",
        "Observation?_include=Observation:subject",
        f"Patient?_id={SAMPLE}&_revinclude=Observation:subject&_sort=-_lastUpdated",
        f"Patient/{SAMPLE}/Observation",
        f"Patient/{SAMPLE}/_history",
        "Patient/_history",
        "_history?_count=20",
        f"Patient/{SAMPLE}/$everything",
        f"Composition/{SAMPLE}/$document",
    ):
        keep(path, http.get(f"/fhir/{path}"))
    for path in ("Patient?_summary=true", f"Patient?_id={SAMPLE}&_elements=name"):
        keep(path, http.get(f"/fhir/{path}"))
    lenient = {"Prefer": "handling=lenient"}
    keep("lenient", http.get("/fhir/Patient?shoe-size=43", headers=lenient))
    keep("form", http.post("/fhir/Patient/_search", data={"_id": SAMPLE}))
    http.delete("/fhir/Patient/emitted-gone")
    put(http, "Patient", "emitted-gone")
    http.delete("/fhir/Patient/emitted-gone")
    keep("history with a deletion", http.get("/fhir/Patient/emitted-gone/_history"))
    for kind in ("batch", "transaction"):
        asked = [
            {
                "fullUrl": "urn:uuid:7f7f9f77-8b59-4a26-8b0d-97c43f3a3c5d",
                "resource": {"resourceType": "Patient", "active": True},
                "request": {"method": "POST", "url": "Patient"},
            },
            {"request": {"method": "GET", "url": f"Patient/{SAMPLE}"}},
            {"request": {"method": "GET", "url": "Patient?family=Emitted"}},
        ]
        if kind == "batch":
            asked.append({"request": {"method": "GET", "url": "Patient/nobody"}})
            asked.append({"request": {"method": "DELETE", "url": "Patient/nobody"}})
        sent = {"resourceType": "Bundle", "type": kind, "entry": asked}
        keep(kind, http.post("/fhir", json=sent))


def outcomes(edge: Any, http: httpx.Client, keep: Collect) -> None:
    """Collect an OperationOutcome of every status there is to have."""
    patient = {"resourceType": "Patient"}
    xml = {"Content-Type": "application/fhir+xml"}
    put(http, "Patient", "emitted-twin-1", identifier=[{"value": "emitted-twin"}])
    put(http, "Patient", "emitted-twin-2", identifier=[{"value": "emitted-twin"}])
    twins = {"If-None-Exist": "identifier=emitted-twin"}
    stale = {"If-Match": 'W/"77"'}
    got = [
        http.post("/fhir/Patient", content=b"{", headers={"Content-Type": FHIR_JSON}),
        http.get("/fhir/Patient?shoe-size=43"),
        http.get("/fhir/Patient", headers={"Authorization": "Bearer wrong"}),
        http.get("/fhir/Patient", headers=edge.bearer("operator")),
        http.get("/fhir/Patient/nobody"),
        http.get("/fhir/Nothing/1"),
        http.put("/fhir/_history", json=patient),
        http.put("/fhir", json=patient),
        http.get("/fhir/Patient?_format=xml"),
        http.get("/fhir/Patient/emitted-gone"),
        put(http, "Patient", "somebody-else", id="another"),
        http.put(f"/fhir/Patient/{SAMPLE}", json=patient | {"id": SAMPLE}, headers=stale),
        http.post("/fhir/Patient", json=patient, headers=twins),
        http.post("/fhir/Patient", content=b"<a/>", headers=xml),
        http.post("/fhir/Patient", json={**patient, "birthDate": "never", "gender": ["x"]}),
        http.post("/fhir/Patient", json={**patient, "maidenName": "x"}),
        http.get("/fhir/Patient?_list=1"),
        http.post("/fhir/Patient/$validate", json=patient),
        http.post("/fhir/Patient/$validate", json={**patient, "birthDate": "never"}),
        http.post("/fhir/AuditEvent", json={"resourceType": "AuditEvent"}),
    ]
    minimal = {"Prefer": "return=OperationOutcome"}
    got.append(http.post("/fhir/Patient", json=patient, headers=minimal))
    for answer in got:
        assert answer.json()["resourceType"] == "OperationOutcome", answer.text[:200]
        keep(f"{answer.status_code} {answer.request.method} {answer.request.url.path}", answer)
    found = {answer.status_code for answer in got}
    assert found >= {400, 401, 403, 404, 405, 406, 410, 412, 415, 422, 200}


def of_a_case(edge: Any, http: httpx.Client, keep: Collect) -> None:
    """Collect what the mesh makes of a case, and the case's Task."""
    edge.do(edge.setting.compose(edge.world, edge.setting.sample_report()))
    for kind in (
        "DiagnosticReport", "Observation", "Device", "Provenance", "Media", "Task",
        "DocumentReference", "RiskAssessment", "DetectedIssue", "ImagingStudy",
        "FamilyMemberHistory",
    ):  # fmt: skip
        keep(f"case {kind}", http.get(f"/fhir/{kind}?_count=100"))


def exported(edge: Any, http: httpx.Client, found: dict[str, Any]) -> None:
    """Collect a line of each file of an export, after its manifest."""
    headers = {"Prefer": "respond-async"}
    begun = http.get("/fhir/$export", headers=headers)
    assert begun.status_code == 202, begun.text
    place = begun.headers["content-location"]

    async def work() -> None:
        while await edge.world.gateway.exports.once():
            pass

    edge.do(work())
    manifest = http.get(place)
    assert manifest.status_code == 200
    for entry in (*manifest.json()["output"], *manifest.json().get("error", [])):
        lines = http.get(entry["url"]).content.splitlines()
        assert len(lines) == entry["count"]
        found[f"export {entry['type']}"] = orjson.loads(lines[0])


def conformance(http: httpx.Client, keep: Collect) -> None:
    """Collect the statement and the definitions it names."""
    keep("metadata", http.get("/fhir/metadata"))
    statement = http.get("/fhir/metadata").json()
    served = {r["type"] for r in statement["rest"][0]["resource"]}
    for kind in ("StructureDefinition", "ImplementationGuide", "CodeSystem", "ValueSet", "Basic"):
        if kind in served:
            keep(kind, http.get(f"/fhir/{kind}?_count=50"))


@pytest.fixture(scope="module")
def emitted(edge: Any) -> dict[str, Any]:
    """Everything, under the name of where it came from."""
    found: dict[str, Any] = {}

    def keep(name: str, answer: httpx.Response) -> None:
        found[name] = answer.json()

    with edge.http() as http:
        population(http)
        bundles(http, keep)
        outcomes(edge, http, keep)
        of_a_case(edge, http, keep)
        conformance(http, keep)
        exported(edge, http, found)
    with edge.http("auditor") as http:
        keep("trail", http.get("/fhir/AuditEvent?_count=200"))
        assert len(found["trail"]["entry"]) > 50
    return found


@pytest.mark.requirement("DX-ATK-11")
def test_medplum_finds_nothing_wrong_in_what_the_gateway_writes(
    emitted: dict[str, Any], medplum_issues: Callable[..., list[Any]]
) -> None:
    names = list(emitted)
    everything = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {
                "fullUrl": f"urn:uuid:00000000-0000-4000-8000-{number:012}",
                "resource": emitted[name],
            }
            for number, name in enumerate(names)
        ],
    }
    everything["entry"].append(
        {"fullUrl": "urn:uuid:broken", "resource": {"resourceType": "Patient", "gender": 5}}
    )
    names.append("broken")
    wrong: dict[str, set[str]] = {}
    for issue in medplum_issues(everything):
        where = (issue.get("expression") or [""])[0]
        place = where.partition("entry[")[2].partition("]")[0]
        name = names[int(place)] if place.isdigit() else "?"
        wrong.setdefault(name, set()).add(f"{where.partition('].')[2]}: {issue['details']['text']}")
    assert set(wrong) == {"broken"}, wrong


@pytest.mark.requirement("DX-ATK-11")
def test_bundles_are_what_the_standard_says_beyond_their_schema(emitted: dict[str, Any]) -> None:
    """R4 bundle: invariants and prose that a validator of one resource does not see."""
    for name, value in emitted.items():
        if value["resourceType"] != "Bundle":
            continue
        entries = value.get("entry", [])
        kind = value["type"]
        for entry in entries:
            if kind == "searchset":
                assert entry["search"]["mode"] in ("match", "include", "outcome"), name
            if kind in ("batch-response", "transaction-response", "history"):
                assert entry["response"]["status"][:3].isdigit(), name
            if kind == "history":
                assert entry["request"]["method"] in ("POST", "PUT", "DELETE"), name
                gone = entry["request"]["method"] == "DELETE"
                assert ("resource" in entry) is not gone, name
            resource, url = entry.get("resource"), entry.get("fullUrl", "")
            if resource and "id" in resource and not url.startswith("urn:") and url:
                assert url.endswith(f"/{resource['resourceType']}/{resource['id']}"), name
        if kind in ("searchset", "history"):
            links = {link["relation"]: link["url"] for link in value["link"]}
            assert links["self"].startswith("http"), name
            matches = sum(e.get("search", {}).get("mode") == "match" for e in entries)
            assert value.get("total", matches) >= matches, name
            versions = [
                (e["fullUrl"], e["resource"]["meta"]["versionId"])
                for e in entries
                if "resource" in e and "meta" in e["resource"]
            ]
            assert len(versions) == len(set(versions)), name
        if kind == "document":
            assert entries[0]["resource"]["resourceType"] == "Composition", name
            assert value["identifier"] and value["timestamp"], name


@pytest.mark.requirement("DX-ATK-11")
def test_the_statement_is_true(http: httpx.Client, emitted: dict[str, Any]) -> None:
    """Every type and search parameter it names is answered, and nobody needs a token for it."""
    statement = emitted["metadata"]
    assert statement["fhirVersion"] == "4.0.1" and statement["kind"] == "instance"
    rest = statement["rest"][0]
    for resource in rest["resource"]:
        kind = resource["type"]
        codes = {i["code"] for i in resource["interaction"]}
        if "search-type" in codes:
            answer = http.get(f"/fhir/{kind}?_count=1")
            allowed = (200,) if kind != "AuditEvent" else (200, 403)
            assert answer.status_code in allowed, (kind, answer.text[:300])
        if kind != "AuditEvent":
            names = [
                parameter["name"]
                for parameter in resource.get("searchParam", [])
                if parameter["type"] != "composite" and not parameter["name"].startswith("_")
            ]
            for first in range(0, len(names), 30):
                query = "&".join(f"{name}:missing=true" for name in names[first : first + 30])
                answer = http.get(f"/fhir/{kind}?{query}&_count=1")
                assert answer.status_code == 200, (kind, query, answer.text)
    unnamed = {"read", "create"} - {i["code"] for r in rest["resource"] for i in r["interaction"]}
    assert not unnamed


@pytest.mark.requirement("DX-ATK-11")
def test_the_statement_is_read_without_a_token(edge: Any) -> None:
    """A SMART client reads it to learn where to ask for one."""
    with edge.http("") as stranger:
        answer = stranger.get("/fhir/metadata")
        assert answer.status_code == 200
        assert answer.json()["resourceType"] == "CapabilityStatement"
        assert stranger.get("/fhir/.well-known/smart-configuration").status_code == 200
        assert stranger.get("/fhir/Patient").status_code == 401
