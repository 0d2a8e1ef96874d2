"""HTTP around FHIR: formats, HEAD, compression, pretty answers, other origins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest

from services.gateway import app
from services.gateway.fhir import transport
from services.kernel.settings import BadSettings

PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "a-1", "active": True}
APP = "https://app.example"


@pytest.mark.requirement("DX-INT-14")
async def test_json_is_the_only_form(server: Any) -> None:
    await server.put(PATIENT)
    path = "Patient/a-1"
    for accept in (
        "application/fhir+json",
        "application/json;q=0.9, text/xml",
        "*/*",
        "text/html",
        "application/fhir+json; fhirVersion=4.0",
        "application/fhir+json; fhirVersion=4.0.1",
        "",
    ):
        assert (await server("GET", path, accept=accept)).status_code == 200, accept
    for accept in (
        "application/fhir+xml",
        "text/turtle",
        "application/json;q=0",
        "application/fhir+json; fhirVersion=5.0",
    ):
        refused = await server("GET", path, accept=accept)
        assert refused.status_code == 406, accept
        assert refused.json()["issue"][0]["code"] == "not-supported"
    for form, status in (("json", 200), ("application/fhir%2Bjson", 200), ("xml", 406)):
        assert (await server("GET", f"{path}?_format={form}")).status_code == status, form
    over = await server("GET", f"{path}?_format=json", accept="application/fhir+xml")
    assert over.status_code == 200, "_format overrides Accept"
    for kind in (
        "application/fhir+xml",
        "text/plain",
        "",
        "application/fhir+json; fhirVersion=5.0",
        "application/json; charset=iso-8859-1",
    ):
        answer = await server("POST", "Patient", PATIENT, content_type=kind)
        assert answer.status_code == 415, kind
    kind = "application/fhir+json; charset=utf-8; fhirVersion=4.0"
    assert (await server("POST", "Patient", PATIENT, content_type=kind)).status_code == 201


@pytest.mark.requirement("DX-INT-14")
async def test_an_answer_names_its_request(server: Any) -> None:
    await server.put(PATIENT)
    for path in ("Patient/a-1", "Patient/none", "Patient/a-1/_history"):
        answer = await server("GET", path, x_request_id="abc-1")
        assert answer.headers["x-request-id"] == "abc-1", path
        assert "x-request-id" not in (await server("GET", path)).headers
    long = await server("GET", "Patient/a-1", x_request_id="a" * 5000)
    assert "x-request-id" not in long.headers, "one that is not kept is not named"


@pytest.mark.requirement("DX-INT-14")
async def test_head_is_get_without_content(server: Any) -> None:
    await server.put(PATIENT)
    for path in ("Patient/a-1", "Patient/a-1/_history/1", "Patient", "metadata", "Patient/none"):
        get, head = await server("GET", path), await server("HEAD", path)
        assert head.status_code == get.status_code and head.content == b"", path
        for name in ("content-type", "etag", "last-modified"):
            assert head.headers.get(name) == get.headers.get(name), (path, name)


@pytest.mark.requirement("DX-INT-14")
async def test_a_long_answer_is_compressed_for_those_who_take_it(server: Any) -> None:
    await server.put({**PATIENT, "name": [{"text": "x" * 5000}]})
    packed = await server("GET", "Patient/a-1", accept_encoding="gzip")
    plain = await server("GET", "Patient/a-1", accept_encoding="identity")
    never = await server("GET", "Patient/a-1", accept_encoding="gzip;q=0, br")
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 500
    assert packed.content == plain.content == never.content
    assert "content-encoding" not in plain.headers and "content-encoding" not in never.headers
    assert {a.headers["vary"] for a in (packed, plain)} == {"Accept-Encoding"}
    assert packed.headers["etag"] == plain.headers["etag"]
    short = await server("GET", "Patient/none", accept_encoding="gzip")
    assert "content-encoding" not in short.headers
    page = await server.world.http.get("/sign-in", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in page.headers, "a page with a secret is not compressed"


@pytest.mark.requirement("DX-INT-14")
async def test_a_pretty_answer_says_the_same(server: Any) -> None:
    content = b'{"resourceType":"Patient","id":"a-1","name":[{"text":"a, {b}: \\"[c]\\""}]}'
    await server("PUT", "Patient/a-1", content)
    plain = await server("GET", "Patient/a-1")
    pretty = await server("GET", "Patient/a-1?_pretty=true")
    assert pretty.json() == plain.json() and pretty.content.count(b"\n") > 5
    assert int(pretty.headers["content-length"]) == len(pretty.content)
    assert (await server("GET", "Patient/a-1?_pretty=false")).content == plain.content
    assert orjson.loads(transport.pretty(b'{"a":[],"b":{},"c":[1.50,{"d":null}]}'))
    assert b"1.50" in transport.pretty(b'{"c":1.50}')


@pytest.mark.requirement("DX-INT-14")
async def test_no_origin_may_ask_unless_the_tenant_says_so(server: Any, world: Any) -> None:
    await server.put(PATIENT)
    asked = {"Origin": APP, "Access-Control-Request-Method": "GET"}
    closed = await world.http.options("/fhir/Patient/a-1", headers=asked)
    assert closed.status_code == 204 and "access-control-allow-origin" not in closed.headers
    read = await server("GET", "Patient/a-1", origin=APP)
    assert "access-control-allow-origin" not in read.headers
    settings = replace(world.gateway.settings, cors_origins=f"north={APP}; south=https://s.example")
    opened = app.make(replace(world.gateway, settings=settings))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=opened), base_url="http://gateway"
    ) as http:
        world.http = http
        preflight = await http.options("/fhir/Patient/a-1", headers=asked)
        assert preflight.headers["access-control-allow-origin"] == APP
        assert "If-None-Exist" in preflight.headers["access-control-allow-headers"]
        assert "PATCH" in preflight.headers["access-control-allow-methods"]
        answer = await server("GET", "Patient/a-1", origin=APP)
        assert answer.headers["access-control-allow-origin"] == APP
        assert "Location" in answer.headers["access-control-expose-headers"]
        assert "Origin" in answer.headers["vary"]
        foreign = await server("GET", "Patient/a-1", origin="https://s.example")
        assert "access-control-allow-origin" not in foreign.headers, "another tenant's origin"
        unknown = await http.get("/fhir/Patient/a-1", headers={"Origin": APP})
        assert unknown.status_code == 401
        assert unknown.headers["access-control-allow-origin"] == APP
        for origin in ("https://evil.example", "null", f"{APP}.evil.example"):
            shut = await http.options("/fhir/Patient/a-1", headers={**asked, "Origin": origin})
            assert "access-control-allow-origin" not in shut.headers, origin
        for answered in (preflight, answer, unknown):
            assert "access-control-allow-credentials" not in answered.headers
        worklist = await http.get("/worklist", headers={"Origin": APP})
        assert "access-control-allow-origin" not in worklist.headers
        assert (await server("GET", "metadata")).json()["rest"][0]["security"]["cors"] is True


@pytest.mark.requirement("DX-INT-14")
@pytest.mark.parametrize(
    "text", ["*", "north=*", "north", "north=app.example", "=https://a", "north=https://a/b", "x="]
)
def test_a_setting_that_opens_more_than_it_says_is_refused(text: str) -> None:
    with pytest.raises(BadSettings):
        transport.origins(text)
