"""No error says again what was sent: answers reach logs, screens and support tickets."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

MARK = "Zwetschgenknoedel7431"
FHIR_JSON = "application/fhir+json"
FORM = "application/x-www-form-urlencoded"


def resource(**members: Any) -> dict[str, Any]:
    """Return a Patient with the mark in a place."""
    return {"resourceType": "Patient", **members}


def observation(**members: Any) -> dict[str, Any]:
    """Return an Observation with the mark in a place."""
    return {"resourceType": "Observation", "status": "final", "code": {"text": "a"}, **members}


def bundle(kind: str, *entries: Any) -> dict[str, Any]:
    """Return a Bundle."""
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


BODIES: dict[str, Any] = {
    "a code that is none": resource(gender=MARK),
    "a date that is none": resource(birthDate=MARK),
    "an element that is not there": resource(maidenName=MARK),
    "a name for an element": resource(**{MARK: True}),
    "a name in an element": resource(name=[{MARK: "a"}]),
    "text for a list": resource(name=MARK),
    "a list for text": resource(gender=[MARK]),
    "an id": resource(id=f"{MARK} {MARK}"),
    "a type": {"resourceType": MARK},
    "an extension": resource(extension=[{"url": MARK, "valueDate": MARK}]),
    "a contained resource": resource(contained=[{"resourceType": MARK, "id": MARK}]),
    "markup": resource(text={"status": "generated", "div": f"<script>{MARK}</script>"}),
    "a number": observation(valueQuantity={"value": MARK}),
    "base64": {"resourceType": "Binary", "contentType": "text/plain", "data": f"{MARK}*"},
    "a condition": bundle(
        "transaction",
        {
            "resource": observation(subject={"reference": f"Patient?identifier=urn:a|{MARK}"}),
            "request": {"method": "POST", "url": "Observation"},
        },
    ),
    "a url": bundle("transaction", {"request": {"method": "GET", "url": f"{MARK}/{MARK} {MARK}"}}),
    "a method": bundle("transaction", {"request": {"method": MARK, "url": "Patient"}}),
    "a condition of an entry": bundle(
        "batch",
        {
            "resource": resource(gender=MARK),
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": f"{MARK}={MARK}"},
        },
    ),
    "a kind of Bundle": bundle(MARK),
}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Everything that is logged meanwhile."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(lambda record: not record.name.startswith(("httpx", "httpcore")))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


def silent(answer: httpx.Response, written: io.StringIO) -> None:
    """The mark is in no error: not in its content, its headers or the log."""
    assert MARK not in written.getvalue()
    if answer.status_code == 200 and answer.json().get("type") == "batch-response":
        statuses = [e["response"]["status"] for e in answer.json()["entry"]]
        assert all(status[0] in "45" for status in statuses)
    else:
        assert 400 <= answer.status_code < 500, answer.text[:500]
    assert MARK not in answer.text, answer.text
    assert MARK not in str(answer.headers)


@pytest.mark.requirement("DX-ATK-07")
@pytest.mark.parametrize("name", BODIES)
def test_an_error_in_content_says_where_and_not_what(
    http: httpx.Client, written: io.StringIO, name: str
) -> None:
    body = orjson.dumps(BODIES[name])
    kind = BODIES[name]["resourceType"]
    path = "/fhir" if kind == "Bundle" else f"/fhir/{kind if kind != MARK else 'Patient'}"
    if name == "an id":
        answer = http.put(f"{path}/good", content=body, headers={"Content-Type": FHIR_JSON})
    else:
        answer = http.post(path, content=body, headers={"Content-Type": FHIR_JSON})
    silent(answer, written)


@pytest.mark.requirement("DX-ATK-07")
@pytest.mark.parametrize("name", BODIES)
def test_validation_says_where_and_not_what(
    http: httpx.Client, written: io.StringIO, name: str
) -> None:
    body = orjson.dumps(BODIES[name])
    kind = BODIES[name]["resourceType"]
    path = f"/fhir/{kind if kind != MARK else 'Patient'}/$validate"
    answer = http.post(path, content=body, headers={"Content-Type": FHIR_JSON})
    assert answer.status_code < 500
    assert MARK not in answer.text, answer.text
    assert MARK not in written.getvalue()


REQUESTS: dict[str, tuple[str, str, str, bytes, dict[str, str]]] = {
    "an id": ("GET", f"/fhir/Patient/{MARK}", "", b"", {}),
    "an id that is none": ("GET", f"/fhir/Patient/{MARK}%20{MARK}", "", b"", {}),
    "a type": ("GET", f"/fhir/{MARK}", "", b"", {}),
    "a version": ("GET", f"/fhir/Patient/a/_history/{MARK}", "", b"", {}),
    "an operation": ("POST", f"/fhir/Patient/${MARK}", FHIR_JSON, b"{}", {}),
    "a date": ("GET", f"/fhir/Patient?birthdate={MARK}", "", b"", {}),
    "a count": ("GET", f"/fhir/Patient?_count={MARK}", "", b"", {}),
    "an include": ("GET", f"/fhir/Patient?_include=Patient:{MARK}", "", b"", {}),
    "a sort": ("GET", f"/fhir/Patient?_sort={MARK}", "", b"", {}),
    "a chain": ("GET", f"/fhir/Observation?subject.birthdate={MARK}", "", b"", {}),
    "a form": ("POST", "/fhir/Patient/_search", FORM, f"birthdate={MARK}".encode(), {}),
    "a since": ("GET", f"/fhir/Patient/_history?_since={MARK}", "", b"", {}),
    "a page": ("GET", f"/fhir/Patient?_count=5&_after={MARK}", "", b"", {}),
    "a format": ("GET", f"/fhir/Patient?_format={MARK}", "", b"", {}),
    "a media type": ("GET", "/fhir/Patient", "", b"", {"Accept": f"image/{MARK}"}),
    "a content type": ("POST", "/fhir/Patient", f"text/{MARK}", b"{}", {}),
    "a coding": ("POST", "/fhir/Patient", FHIR_JSON, b"{}", {"Content-Encoding": MARK}),
    "a match": ("PUT", "/fhir/Patient/a", FHIR_JSON, b'{"resourceType":"Patient","id":"a"}',
                {"If-Match": MARK}),
    "a condition": ("POST", "/fhir/Patient", FHIR_JSON, b'{"resourceType":"Patient"}',
                    {"If-None-Exist": f"birthdate={MARK}"}),
    "not JSON": ("POST", "/fhir/Patient", FHIR_JSON, MARK.encode(), {}),
    "key twice": ("POST", "/fhir/Patient", FHIR_JSON,
                  f'{{"resourceType":"Patient","{MARK}":1,"{MARK}":2}}'.encode(), {}),
    "a long number": ("POST", "/fhir/Patient", FHIR_JSON,
                      b'{"resourceType":"Patient","a":"' + MARK.encode() + b'","b":'
                      + b"1" * 5000 + b"}", {}),
    "a patch": ("PATCH", "/fhir/Patient/marked", "application/json-patch+json",
                orjson.dumps([{"op": "replace", "path": f"/{MARK}/0", "value": MARK}]), {}),
    "a test of a patch": ("PATCH", "/fhir/Patient/marked", "application/json-patch+json",
                          orjson.dumps([{"op": "test", "path": "/name", "value": MARK}]), {}),
    "a path of a patch": ("PATCH", "/fhir/Patient/marked", FHIR_JSON,
                          orjson.dumps({"resourceType": "Parameters", "parameter": [
                              {"name": "operation", "part": [
                                  {"name": "type", "valueCode": "delete"},
                                  {"name": "path", "valueString": f"Patient.{MARK}("}]}]}), {}),
    "a token": ("GET", "/fhir/Patient", "", b"", {"Authorization": f"Bearer {MARK}"}),
    "a user": ("GET", "/fhir/Patient", "", b"", {"Authorization": f"Basic {MARK}"}),
    "an address": ("GET", f"/{MARK}", "", b"", {}),
}  # fmt: skip


@pytest.mark.requirement("DX-ATK-07")
@pytest.mark.parametrize("name", REQUESTS)
def test_an_error_says_nothing_of_what_was_asked(
    http: httpx.Client, written: io.StringIO, name: str
) -> None:
    born = resource(id="marked", name=[{"family": MARK}], birthDate="1901-02-03")
    if http.get("/fhir/Patient/marked").status_code == 404:
        assert http.put("/fhir/Patient/marked", json=born).status_code == 201
    written.truncate(0)
    method, path, kind, content, headers = REQUESTS[name]
    headers = {**headers, **({"Content-Type": kind} if kind else {})}
    silent(http.request(method, path, content=content or None, headers=headers), written)


@pytest.mark.requirement("DX-ATK-07")
def test_a_refused_change_says_nothing_of_what_is_stored(
    http: httpx.Client, written: io.StringIO
) -> None:
    """The stored content is as private as the one that was sent."""
    mark = resource(id="stored", name=[{"family": MARK}], identifier=[{"value": MARK}])
    address = "/fhir/Patient/stored"
    assert http.put(address, json=mark).status_code in (200, 201)
    twin = {**mark, "id": "stored-2"}
    assert http.put("/fhir/Patient/stored-2", json=twin).status_code in (200, 201)
    written.truncate(0)
    other = {"resourceType": "Patient", "id": "stored"}
    silent(http.put(address, json=other, headers={"If-Match": 'W/"99"'}), written)
    condition = {"If-None-Exist": f"identifier={MARK}"}
    silent(http.post("/fhir/Patient", json=resource(), headers=condition), written)
    silent(http.put(f"/fhir/Patient?identifier={MARK}", json=resource()), written)
    silent(http.delete(f"/fhir/Patient?identifier={MARK}"), written)
    patch = [{"op": "replace", "path": "/birthDate", "value": "never"}]
    sent = {"Content-Type": "application/json-patch+json"}
    silent(http.patch(address, content=orjson.dumps(patch), headers=sent), written)
