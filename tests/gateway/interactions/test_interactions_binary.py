"""A Binary as its content, and under whose rights it is read."""

from __future__ import annotations

from typing import Any

import pytest

PDF = b"%PDF-1.7 \x00\xff"
LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}


@pytest.mark.requirement("DX-INT-17")
async def test_content_goes_in_and_comes_out(each_database: Any) -> None:
    made = await each_database("POST", "Binary", PDF, content_type="application/pdf")
    assert made.status_code == 201
    path = f"Binary/{made.json()['id']}"
    raw = await each_database("GET", path, accept="application/pdf")
    assert raw.content == PDF and raw.headers["content-type"] == "application/pdf"
    assert (
        raw.headers["etag"] == 'W/"1"'
        and "default-src 'none'" in raw.headers["content-security-policy"]
    )
    as_resource = (await each_database("GET", path, accept="application/fhir+json")).json()
    assert (
        as_resource["resourceType"] == "Binary" and as_resource["contentType"] == "application/pdf"
    )
    assert (await each_database("GET", f"{path}?_format=json")).json() == as_resource
    changed = await each_database("PUT", path, b"<b>x</b>", content_type="text/html; charset=utf-8")
    assert changed.status_code == 200
    page = await each_database("GET", path, accept="*/*")
    assert page.content == b"<b>x</b>" and page.headers["content-type"].startswith("text/html")
    assert page.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert (await each_database("GET", f"{path}/_history/1", accept="*/*")).content == PDF


@pytest.mark.requirement("DX-INT-17")
async def test_what_says_no_kind_is_refused(server: Any) -> None:
    for kind in ("", "pdf", "application/fhir+xml", "text/html\x7f"):
        answer = await server("POST", "Binary", PDF, content_type=kind)
        assert answer.status_code == 415, kind
    resource = {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="}
    made = await server("POST", "Binary", resource)
    assert (await server("GET", f"Binary/{made.json()['id']}", accept="text/plain")).content == b"x"


@pytest.mark.requirement("DX-INT-17")
async def test_the_security_context_decides_who_reads(server: Any, only_patient: Any) -> None:
    for name in ("a", "b"):
        await server.put({"resourceType": "Patient", "id": name})
    paths = {}
    for name in ("a", "b"):
        made = await server(
            "POST",
            "Binary",
            PDF,
            content_type="application/pdf",
            x_security_context=f"http://gateway/fhir/Patient/{name}",
        )
        assert made.json()["securityContext"]["reference"] == f"Patient/{name}"
        paths[name] = f"Binary/{made.json()['id']}"
    app = server.with_rights(only_patient("a", "r"))
    assert (await app("GET", paths["a"], accept="*/*")).content == PDF
    assert (await app("GET", paths["b"], accept="*/*")).status_code == 404
    for odd in ("Patient", "http://elsewhere/Patient/a", "../Patient/a", "Nothing/a"):
        answer = await server(
            "POST", "Binary", PDF, content_type="application/pdf", x_security_context=odd
        )
        assert answer.status_code == 400, odd


@pytest.mark.requirement("DX-INT-17")
async def test_a_label_on_the_security_context_holds_wherever_the_content_is_shown(
    server: Any,
) -> None:
    report = {"resourceType": "Basic", "id": "r", "code": {"text": "x"}}
    await server.put({**report, "meta": {"security": [LABEL]}})
    context = {"securityContext": {"reference": "Basic/r"}}
    plain = {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="}
    await server.put({**plain, "id": "under", **context})
    await server.put(
        {**plain, "id": "own", "meta": {"security": [LABEL]}}
        | {"securityContext": {"reference": "Patient/p"}}
    )
    await server.put({"resourceType": "Patient", "id": "p"})
    await server.put({**plain, "id": "free"})
    http = server.world.http
    await server.world.sign_in()
    for path in ("under", "under/_history/1", "under/_history", "own", "own/_history/1"):
        answer = await http.get(f"/fhir/Binary/{path}", headers={"Accept": "application/json"})
        assert answer.status_code == 404, path
    for path in ("Binary", "Binary?_id=under,own,free", "Binary/_history", "_history?_count=500"):
        shown = (await http.get(f"/fhir/{path}")).text
        assert "Binary/free" in shown, path
        assert "Binary/under" not in shown and "Binary/own" not in shown, path
    assert (await http.get("/fhir/Binary?_summary=count")).json()["total"] == 1
    await server("DELETE", "Basic/r")
    assert (await http.get("/fhir/Binary/under", headers={"Accept": "*/*"})).status_code == 404
    assert (await server("GET", "Binary/under", accept="*/*")).content == b"x"


@pytest.mark.requirement("DX-INT-17")
async def test_a_content_type_that_no_header_can_hold_is_not_sent(server: Any) -> None:
    for number, kind in enumerate(("text/html\nx", "文/本")):
        binary = {"resourceType": "Binary", "id": f"b{number}", "contentType": kind, "data": "eA=="}
        stored = await server("PUT", f"Binary/b{number}", binary)
        if stored.status_code == 201:
            raw = await server("GET", f"Binary/b{number}", accept="*/*")
            assert (raw.status_code, raw.content) == (200, b"x"), kind
            assert raw.headers["content-type"] == "application/octet-stream"
