"""What a browser, a proxy or a careless client could be made to do with the FHIR address."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

EVIL = "https://evil.example"
ADDRESSES = ("/fhir/metadata", "/fhir/Patient", "/fhir/Patient/nobody", "/fhir/Nothing", "/fhir")
PATIENT = {"resourceType": "Patient", "name": [{"family": "Cache"}]}


@pytest.mark.requirement("DX-ATK-08")
@pytest.mark.parametrize("path", ADDRESSES)
def test_another_site_is_given_no_leave(http: httpx.Client, path: str) -> None:
    """Without a tenant's setting no origin may read, and none is ever reflected."""
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "*"}
    for origin in (EVIL, "null", "http://edge"):
        answers = (
            http.get(path, headers={"Origin": origin}),
            http.options(path, headers={"Origin": origin, **asked}),
        )
        for answer in answers:
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.requirement("DX-ATK-08")
def test_a_page_of_another_site_cannot_use_a_physicians_session(edge: Any) -> None:
    with edge.http("") as browser:
        form = {"name": "reader", "password": edge.setting.PASSWORD, "next": "/worklist"}
        signed = browser.post("/sign-in", data=form, headers={"Origin": edge.url})
        assert signed.status_code == 303
        sent = browser.post(
            "/fhir/Patient",
            json=PATIENT,
            headers={"Origin": EVIL, "Content-Type": "application/fhir+json"},
        )
        assert sent.status_code in (401, 403)


@pytest.mark.requirement("DX-ATK-08")
@pytest.mark.parametrize("path", ADDRESSES)
def test_no_answer_may_be_kept_by_a_cache_others_use(http: httpx.Client, path: str) -> None:
    for answer in (http.get(path), http.head(path)):
        kept = answer.headers["cache-control"]
        assert "no-store" in kept or "private" in kept
        assert "public" not in kept and "s-maxage" not in kept
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.requirement("DX-ATK-08")
@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "DEBUG", "PROPFIND"])
@pytest.mark.parametrize("path", ["/fhir/Patient/nobody", "/fhir/metadata", "/"])
def test_methods_nobody_needs_are_refused(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, path, headers={"X-Planted": "echo-me"})
    assert answer.status_code in (400, 404, 405, 501)
    assert "echo-me" not in answer.text


@pytest.mark.requirement("DX-ATK-08")
def test_a_method_cannot_be_put_in_a_header_or_field(http: httpx.Client) -> None:
    made = http.put("/fhir/Patient/override", json={**PATIENT, "id": "override"})
    assert made.status_code in (200, 201)
    tries = [
        http.get("/fhir/Patient/override", headers={name: "DELETE"})
        for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
    ]
    tries.append(http.get("/fhir/Patient/override?_method=DELETE"))
    http.post("/fhir/Patient/override", data={"_method": "DELETE"})
    assert http.get("/fhir/Patient/override").status_code == 200, tries


@pytest.mark.requirement("DX-ATK-08")
@pytest.mark.parametrize("name", ["access_token", "token", "bearer_token"])
def test_a_token_in_the_address_is_no_token(edge: Any, name: str) -> None:
    """It would stand in the logs of every proxy (RFC 6750, 2.3 and 5.3)."""
    with edge.http("") as client:
        token = edge.setting.TOKENS["ehr"]
        assert client.get(f"/fhir/Patient?{name}={token}").status_code == 401
        sent = client.post("/fhir/Patient/_search", data={name: token})
        assert sent.status_code == 401


@pytest.mark.requirement("DX-ATK-08")
@pytest.mark.parametrize(
    "credential",
    [
        "Bearer",
        "Basic {0}",
        "Bearer {0} {0}",
        "Bearer {0},Bearer {0}",
        'Bearer token="{0}"',
        "Bearer \u00e9",
        "Bearer " + "a" * 20_000,
    ],
)
def test_a_credential_is_a_bearer_token_and_nothing_else(edge: Any, credential: str) -> None:
    given = credential.format(edge.setting.TOKENS["ehr"])
    with edge.http("") as client:
        answer = client.get("/fhir/Patient", headers={"Authorization": given.encode("latin-1")})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


CONFUSED = {
    "xml": ("application/fhir+xml", b"<Patient xmlns='http://hl7.org/fhir'/>"),
    "entities": (
        "application/xml",
        b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><Patient>&b;</Patient>",
    ),
    "form": ("application/x-www-form-urlencoded", b"resourceType=Patient"),
    "multipart": ("multipart/form-data; boundary=x", b"--x--"),
    "text": ("text/plain", b'{"resourceType":"Patient"}'),
    "turtle": ("application/fhir+turtle", b"a b c ."),
    "patch type at create": ("application/json-patch+json", b"[]"),
    "none": ("", b'{"resourceType":"Patient"}'),
}


@pytest.mark.requirement("DX-ATK-08")
@pytest.mark.parametrize(("kind", "content"), CONFUSED.values(), ids=CONFUSED)
@pytest.mark.parametrize("path", ["/fhir/Patient", "/fhir", "/fhir/Patient/$validate"])
def test_content_of_another_kind_is_refused(
    http: httpx.Client, kind: str, content: bytes, path: str
) -> None:
    """A cross-site form can send three of these without being asked (CORS)."""
    answer = http.post(path, content=content, headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.requirement("DX-ATK-08")
@pytest.mark.parametrize("kind", ["application/fhir+xml", "text/turtle", "image/png", "a/b;q=0"])
def test_an_answer_of_another_kind_is_refused(http: httpx.Client, kind: str) -> None:
    assert http.get("/fhir/Patient", headers={"Accept": kind}).status_code in (200, 406)
    if "xml" in kind:
        assert http.get("/fhir/Patient", headers={"Accept": kind}).status_code == 406
        assert http.get("/fhir/Patient?_format=xml").status_code == 406


@pytest.mark.requirement("DX-ATK-08")
@pytest.mark.parametrize(
    "target",
    [
        EVIL,
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "/worklist\r\nX-Planted: 1",
        "/%0d%0aX-Planted:1",
        " //evil.example",
    ],
)
def test_signing_in_leads_nowhere_else(edge: Any, target: str) -> None:
    form = {"name": "reader", "password": edge.setting.PASSWORD, "next": target}
    with edge.http("") as browser:
        answer = browser.post("/sign-in", data=form, headers={"Origin": edge.url})
        assert answer.status_code == 303
        goal = answer.headers["location"]
        assert goal.startswith("/") and not goal.startswith(("//", "/\\", "/\t"))
        assert "x-planted" not in answer.headers


@pytest.mark.requirement("DX-ATK-08")
def test_a_slash_too_many_does_not_redirect(http: httpx.Client) -> None:
    for path in ("//evil.example/fhir", "/fhir/Patient/", "/fhir//Patient", "/fhir/../healthz/"):
        answer = http.get(path, follow_redirects=False)
        assert answer.status_code < 300 or answer.status_code >= 400
