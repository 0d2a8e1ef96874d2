"""Another tenant's resources answer as resources that never were, whatever is tried.

What is tried comes from the CapabilityStatement: an interaction that it names and that is not
tried here fails the test.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import httpx
import pytest

KINDS = (
    "Patient", "Observation", "DiagnosticReport", "Composition", "Group", "Encounter",
    "ServiceRequest", "Task", "Consent", "DocumentReference", "Binary", "Device", "Practitioner",
)  # fmt: skip
SECRET = "Quittenmus"
THERE, NOWHERE = "isolated-a1", "isolated-b2"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)")
MADE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
VOLATILE = {"date", "last-modified", "content-length", "expires", "server"}


def content(kind: str, name: str, secret: str = SECRET) -> dict[str, Any]:
    """Return a small valid resource of a type, about the Patient of the same name."""
    patient = {"reference": f"Patient/{name}"}
    concept = {"text": secret}
    more: dict[str, dict[str, Any]] = {
        "Patient": {"name": [{"family": secret}], "birthDate": "1931-05-06"},
        "Observation": {"status": "final", "code": concept, "subject": patient},
        "DiagnosticReport": {"status": "partial", "code": concept, "subject": patient},
        "Composition": {
            "status": "final",
            "type": concept,
            "subject": patient,
            "date": "2026-01-01",
            "author": [{"reference": f"Practitioner/{name}"}],
            "title": secret,
        },
        "Group": {
            "type": "person", "actual": True, "name": secret, "member": [{"entity": patient}],
        },
        "Encounter": {
            "status": "finished", "class": {"code": "AMB"}, "type": [concept], "subject": patient,
        },
        "ServiceRequest": {
            "status": "active", "intent": "order", "code": concept, "subject": patient,
        },
        "Task": {"status": "ready", "intent": "order", "for": patient, "code": concept},
        "Consent": {
            "status": "active",
            "scope": concept,
            "category": [concept],
            "patient": patient,
            "policyRule": concept,
        },
        "DocumentReference": {
            "status": "current",
            "subject": patient,
            "content": [{"attachment": {"url": f"Binary/{name}", "title": secret}}],
        },
        "Binary": {"contentType": "text/plain", "data": b64encode(secret.encode()).decode()},
        "Device": {"deviceName": [{"name": secret, "type": "other"}], "patient": patient},
        "Practitioner": {"name": [{"family": secret}]},
    }  # fmt: skip
    identifier = {} if kind == "Binary" else {"identifier": [{"system": "urn:iso", "value": name}]}
    if kind == "Composition":
        identifier = {"identifier": {"system": "urn:iso", "value": name}}
    return {"resourceType": kind, "id": name, **identifier, **more[kind]}


@pytest.fixture(scope="module")
def north(edge: Any) -> None:
    """What the tenant north has stored: one of each type, with a history."""
    with edge.http("ehr") as client:
        for version in (SECRET, f"{SECRET} again"):
            for kind in KINDS:
                body = content(kind, THERE, version)
                answer = client.put(f"/fhir/{kind}/{THERE}", json=body)
                assert answer.status_code in (200, 201), (kind, answer.text)


Try = Callable[[httpx.Client, str, str], httpx.Response]
PATCH = {"Content-Type": "application/json-patch+json"}
REPLACE = b'[{"op":"add","path":"/language","value":"de"}]'


def entry(method: str, url: str, **more: Any) -> dict[str, Any]:
    """Return a Bundle with one entry."""
    asked = {"request": {"method": method, "url": url}, **more}
    return {"resourceType": "Bundle", "type": "batch", "entry": [asked]}


def put_new(http: httpx.Client, kind: str, name: str) -> httpx.Response:
    """Update, which creates one of one's own."""
    answer = http.put(f"/fhir/{kind}/{name}", json=content(kind, name, "mine"))
    http.delete(f"/fhir/{kind}/{name}")
    return answer


TRIES: dict[str, list[Try]] = {
    "read": [
        lambda http, kind, name: http.get(f"/fhir/{kind}/{name}"),
        lambda http, kind, name: http.head(f"/fhir/{kind}/{name}"),
        lambda http, kind, name: http.get(f"/fhir/{kind}/{name}?_summary=true"),
        lambda http, kind, name: http.get(f"/fhir/{kind}/{name}?_elements=id"),
        lambda http, kind, name: http.post("/fhir", json=entry("GET", f"{kind}/{name}")),
    ],
    "vread": [
        lambda http, kind, name: http.get(f"/fhir/{kind}/{name}/_history/1"),
        lambda http, kind, name: http.get(f"/fhir/{kind}/{name}/_history/2"),
    ],
    "conditional-read": [
        lambda http, kind, name: http.get(
            f"/fhir/{kind}/{name}", headers={"If-None-Match": 'W/"2"'}
        ),
        lambda http, kind, name: http.get(
            f"/fhir/{kind}/{name}", headers={"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
        ),
    ],
    "history-instance": [
        lambda http, kind, name: http.get(f"/fhir/{kind}/{name}/_history"),
        lambda http, kind, name: http.get(f"/fhir/{kind}/{name}/_history?_count=1"),
    ],
    "history-type": [lambda http, kind, name: http.get(f"/fhir/{kind}/_history?_count=500")],
    "history-system": [lambda http, kind, name: http.get("/fhir/_history?_count=500")],
    "patch": [
        lambda http, kind, name: http.patch(f"/fhir/{kind}/{name}", content=REPLACE, headers=PATCH),
    ],
    "delete": [lambda http, kind, name: http.delete(f"/fhir/{kind}/{name}")],
    "update": [
        lambda http, kind, name: http.put(
            f"/fhir/{kind}/{name}", json=content(kind, name), headers={"If-Match": 'W/"2"'}
        ),
        put_new,
    ],
    "create": [
        lambda http, kind, name: http.post(
            f"/fhir/{kind}",
            json={k: v for k, v in content(kind, name, "mine").items() if k != "id"},
            headers={"If-None-Exist": f"_id={name}"},
        ),
    ],
    "search-type": [
        lambda http, kind, name: http.get(f"/fhir/{kind}?_id={name}"),
        lambda http, kind, name: http.get(f"/fhir/{kind}?_id={name}&_summary=count"),
        lambda http, kind, name: http.post(f"/fhir/{kind}/_search", data={"_id": name}),
        lambda http, kind, name: http.get(
            f"/fhir/{kind}?identifier=urn:iso|{name}&_total=accurate"
        ),
    ],
    "conditional-update": [
        lambda http, kind, name: http.put(
            f"/fhir/{kind}?_id={name}",
            json=content(kind, name, "mine"),
            headers={"If-Match": 'W/"2"'},
        ),
    ],
    "conditional-patch": [
        lambda http, kind, name: http.patch(
            f"/fhir/{kind}?_id={name}", content=REPLACE, headers=PATCH
        ),
    ],
    "conditional-delete": [lambda http, kind, name: http.delete(f"/fhir/{kind}?_id={name}")],
    "$everything": [lambda http, kind, name: http.get(f"/fhir/Patient/{name}/$everything")],
    "$document": [lambda http, kind, name: http.get(f"/fhir/Composition/{name}/$document")],
    "$validate": [
        lambda http, kind, name: http.post(
            f"/fhir/{kind}/{name}/$validate", json=content(kind, name, "mine")
        ),
        lambda http, kind, name: http.get(f"/fhir/{kind}/{name}/$validate"),
    ],
    "transaction": [
        lambda http, kind, name: http.post(
            "/fhir", json={**entry("GET", f"{kind}/{name}"), "type": "transaction"}
        ),
        lambda http, kind, name: http.post(
            "/fhir", json={**entry("DELETE", f"{kind}?_id={name}"), "type": "transaction"}
        ),
        lambda http, kind, name: http.post(
            "/fhir",
            json={
                **entry(
                    "POST",
                    "Observation",
                    resource={
                        "resourceType": "Observation",
                        "status": "final",
                        "code": {"text": "mine"},
                        "subject": {"reference": f"Patient?identifier=urn:iso|{name}"},
                    },
                ),
                "type": "transaction",
            },
        ),
    ],
    "batch": [lambda http, kind, name: http.post("/fhir", json=entry("DELETE", f"{kind}/{name}"))],
    "compartment": [
        lambda http, kind, name: http.get(f"/fhir/Patient/{name}/Observation"),
        lambda http, kind, name: http.get(f"/fhir/Patient/{name}/*"),
        lambda http, kind, name: http.get(f"/fhir/Encounter/{name}/Observation"),
    ],
    "chain": [
        lambda http, kind, name: http.get(f"/fhir/Observation?subject=Patient/{name}"),
        lambda http, kind, name: http.get(f"/fhir/Observation?subject:Patient._id={name}"),
        lambda http, kind, name: http.get(f"/fhir/Patient?_has:Observation:subject:_id={name}"),
        lambda http, kind, name: http.get(
            f"/fhir/Patient?_id={name}&_revinclude=Observation:subject"
        ),
    ],
    "$export": [
        lambda http, kind, name: http.get(
            f"/fhir/Group/{name}/$export", headers={"Prefer": "respond-async"}
        ),
    ],
    "$submit": [],
    "$acknowledge": [
        lambda http, kind, name: http.post(f"/fhir/Communication/{name}/$acknowledge"),
    ],
    "$status": [lambda http, kind, name: http.get(f"/fhir/Subscription/{name}/$status")],
    "get-ws-binding-token": [
        lambda http, kind, name: http.get(f"/fhir/Subscription/{name}/$get-ws-binding-token"),
    ],
    "$events": [lambda http, kind, name: http.get(f"/fhir/Subscription/{name}/$events")],
}
ALIASES = {
    "conditional-create": "create", "search-system": "search-type", "everything": "$everything",
    "document": "$document", "validate": "$validate", "export": "$export", "status": "$status",
    "events": "$events", "submit": "$submit", "acknowledge": "$acknowledge",
}  # fmt: skip


def plain(answer: httpx.Response, name: str) -> tuple[int, dict[str, str], str]:
    """Return an answer without the name that was asked for and what changes by itself."""

    def masked(text: str) -> str:
        return MADE.sub("MADE", MOMENT.sub("MOMENT", text.replace(name, "NAME")))

    headers = {k: masked(v) for k, v in answer.headers.items() if k not in VOLATILE}
    return answer.status_code, headers, masked(answer.text)


@pytest.mark.requirement("DX-ATK-09")
@pytest.mark.parametrize("interaction", TRIES)
def test_what_another_tenant_has_is_as_if_it_were_not(
    edge: Any, north: None, interaction: str
) -> None:
    with edge.http("other") as south:
        for number, attempt in enumerate(TRIES[interaction]):
            for kind in KINDS:
                real, never = attempt(south, kind, THERE), attempt(south, kind, NOWHERE)
                case = f"{interaction} {number} {kind}: {real.request.method} {real.request.url}"
                assert plain(real, THERE) == plain(never, NOWHERE), case
                assert SECRET not in real.text, case
                assert real.status_code < 500 or real.status_code == 501, case
    with edge.http("ehr") as north_client:
        for kind in KINDS:
            kept = north_client.get(f"/fhir/{kind}/{THERE}")
            assert kept.headers["etag"] == 'W/"2"', (interaction, kind)


@pytest.mark.requirement("DX-ATK-09")
def test_every_interaction_the_statement_names_is_tried(http: httpx.Client) -> None:
    statement = http.get("/fhir/metadata").json()
    rest = statement["rest"][0]
    named = {i["code"] for r in rest["resource"] for i in r["interaction"]}
    named |= {i["code"] for i in rest.get("interaction", [])}
    named |= {o["name"] for r in rest["resource"] for o in r.get("operation", [])}
    named |= {o["name"] for o in rest.get("operation", [])}
    tried = set(TRIES) | set(ALIASES)
    assert {name for name in named if name not in tried} == set()
