"""JSON that is made to break the reader: refused quickly, in few words, with nothing stored."""

from __future__ import annotations

import gzip
import json
import resource
import time
import zlib
from functools import cache
from typing import Any

import httpx
import pytest

FHIR_JSON = "application/fhir+json"
PATCH_JSON = "application/json-patch+json"
QUICK_S = 3.0
"""Of a processor: what the clock says depends on who else is on the machine."""
PLACES = (("POST", "/fhir/Patient"), ("PUT", "/fhir/Patient/bomb"), ("POST", "/fhir"))


def patient(extra: bytes) -> bytes:
    """Return a Patient with more members."""
    return b'{"resourceType":"Patient","id":"bomb",' + extra + b"}"


def colliding(count: int) -> bytes:
    """Return members whose whole-number names differ by the modulus of Python's hash."""
    return b",".join(b'"%d":1' % (n * ((1 << 61) - 1)) for n in range(1, count))


SYNTAX = {
    "deep arrays": patient(b'"extension":' + b"[" * 100_000 + b"]" * 100_000),
    "deep objects": patient(b'"a":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "deep and open": b"[" * 900_000,
    "deep in a string's shadow": patient(b'"a":"\\"","b":' + b"[" * 5_000 + b"]" * 5_000),
    "long whole number": patient(b'"a":' + b"9" * 500_000),
    "long fraction": patient(b'"a":0.' + b"9" * 500_000),
    "key twice": patient(b'"active":true,"active":false'),
    "type twice": b'{"resourceType":"Patient","resourceType":"Observation"}',
    "key twice by escape": patient(b'"active":true,"\\u0061ctive":false'),
    "not a number": patient(b'"a":NaN'),
    "infinite": patient(b'"a":-Infinity'),
    "leading zero": patient(b'"a":01'),
    "plus sign": patient(b'"a":+1'),
    "comma at the end": patient(b'"a":1,'),
    "comment": patient(b'"a":1/* 2 */'),
    "single quotes": b"{'resourceType':'Patient'}",
    "two values": patient(b'"active":true') + b"{}",
    "cut": patient(b'"active":true')[:-9],
    "no value": b"",
    "white space": b" \n\t" * 1000,
    "invalid UTF-8": patient(b'"gender":"\xff\xfe"'),
    "overlong UTF-8": patient(b'"gender":"\xc0\xaf"'),
    "surrogate in UTF-8": patient(b'"gender":"\xed\xa0\x80"'),
    "half a character": patient(b'"gender":"\\ud800"'),
    "UTF-16": patient(b'"active":true').decode().encode("utf-16"),
    "zero byte": patient(b'"gender":"a\x00b"'),
    "raw line end in a string": patient(b'"gender":"a\nb"'),
}

CONTENT = {
    "an array": b"[]",
    "a string": b'"Patient"',
    "a number": b"1",
    "null": b"null",
    "no type": b"{}",
    "type is no string": b'{"resourceType":["Patient"]}',
    "type is a path": b'{"resourceType":"../Patient"}',
    "unknown type": b'{"resourceType":"Nothing"}',
    "abstract type": b'{"resourceType":"DomainResource"}',
    "many keys": patient(b",".join(b'"key%d":1' % n for n in range(40_000))),
    "colliding keys": patient(colliding(20_000)),
    "key of a megabyte": patient(b'"' + b"a" * 900_000 + b'":1'),
    "huge exponent": patient(b'"multipleBirthInteger":1e99999999999999999999'),
    "tiny exponent": patient(b'"multipleBirthInteger":1e-99999999999999999999'),
    "an element that is not there": patient(b'"weight":1'),
    "array for a single": patient(b'"gender":["male"]'),
    "empty array": patient(b'"name":[]'),
    "empty object": patient(b'"name":[{}]'),
    "empty string": patient(b'"gender":""'),
    "null element": patient(b'"active":null'),
    "prototype": patient(b'"__proto__":{"active":true},"constructor":1'),
    "python": patient(b'"__class__":"os.system"'),
    "meta is a string": patient(b'"meta":"a"'),
    "language is a number": b'{"resourceType":"Patient","language":5}',
    "language is an object": b'{"resourceType":"Patient","language":{"$ne":1}}',
}


def refused(http: httpx.Client, method: str, path: str, content: bytes, **headers: str) -> Any:
    """Send it; the answer comes quickly, is small and is an OperationOutcome with an error."""
    began = time.process_time()
    answer = http.request(
        method, path, content=content, headers={"Content-Type": FHIR_JSON, **headers}
    )
    assert time.process_time() - began < QUICK_S
    assert len(answer.content) < 64 << 10
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert any(i["severity"] in ("error", "fatal") for i in outcome["issue"])
    return answer


@pytest.mark.requirement("DX-ATK-04")
@pytest.mark.parametrize(("method", "path"), PLACES)
@pytest.mark.parametrize("content", SYNTAX.values(), ids=SYNTAX)
def test_what_is_not_json_is_a_bad_request(
    http: httpx.Client, method: str, path: str, content: bytes
) -> None:
    assert refused(http, method, path, content).status_code == 400


@pytest.mark.requirement("DX-ATK-04")
@pytest.mark.parametrize(("method", "path"), PLACES)
@pytest.mark.parametrize("content", CONTENT.values(), ids=CONTENT)
def test_what_is_not_fhir_is_refused(
    http: httpx.Client, method: str, path: str, content: bytes
) -> None:
    assert refused(http, method, path, content).status_code in (400, 413, 422)
    assert http.get("/fhir/Patient/bomb").status_code == 404


@pytest.mark.requirement("DX-ATK-04")
@pytest.mark.parametrize(("method", "path"), PLACES)
@pytest.mark.parametrize("chunked", [False, True])
def test_more_bytes_than_allowed_are_not_read(
    http: httpx.Client, method: str, path: str, chunked: bool
) -> None:
    content = patient(b'"language":"' + b"a" * (20 << 20) + b'"')
    sent = (content[n : n + 65536] for n in range(0, len(content), 65536)) if chunked else content
    answer = http.request(method, path, content=sent, headers={"Content-Type": FHIR_JSON})
    assert answer.status_code == 413


BOMB_BYTES = 128 << 20


@cache
def bomb(coding: str) -> bytes:
    """Return much white space, packed."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31 if "gzip" in coding else 15)
    piece = b" " * (1 << 20)
    packed = b"".join(packer.compress(piece) for _ in range(BOMB_BYTES >> 20)) + packer.flush()
    return gzip.compress(packed) if coding == "gzip, gzip" else packed


@pytest.mark.requirement("DX-ATK-04")
@pytest.mark.parametrize(
    ("coding", "method", "path"),
    [
        *(("gzip", method, path) for method, path in PLACES),
        *((other, "POST", "/fhir/Patient") for other in ("deflate", "br", "zstd", "gzip, gzip")),
    ],
)
def test_a_compressed_bomb_is_not_blown_up(
    http: httpx.Client, coding: str, method: str, path: str
) -> None:
    packed = bomb(coding)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = refused(http, method, path, packed, **{"Content-Encoding": coding})
    assert answer.status_code in (400, 413, 415)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < BOMB_BYTES // 2 // 1024, "kilobytes"


@pytest.mark.requirement("DX-ATK-04")
@pytest.mark.parametrize(
    "content", [gzip.compress(b"{}", mtime=0)[:-4], b"not gzip", b"\x1f\x8b\x08\x00"]
)
def test_a_broken_archive_is_a_bad_request(http: httpx.Client, content: bytes) -> None:
    answer = refused(http, "POST", "/fhir/Patient", content, **{"Content-Encoding": "gzip"})
    assert answer.status_code in (400, 415)


PATCHES = {
    "not a list": b"{}",
    "no op": b'[{"path":"/active"}]',
    "unknown op": b'[{"op":"run","path":"/active"}]',
    "no such place": b'[{"op":"remove","path":"/name/7"}]',
    "huge index": b'[{"op":"add","path":"/name/99999999999999999999","value":{}}]',
    "negative index": b'[{"op":"replace","path":"/name/-1","value":{"family":"A"}}]',
    "index with a sign": b'[{"op":"replace","path":"/name/+0","value":{"family":"A"}}]',
    "underscored index": b'[{"op":"replace","path":"/name/0_0","value":{"family":"A"}}]',
    "not a pointer": b'[{"op":"replace","path":"active","value":true}]',
    "bad escape": b'[{"op":"replace","path":"/~2","value":true}]',
    "the whole": b'[{"op":"replace","path":"","value":{"resourceType":"Patient"}}]',
    "the id": b'[{"op":"replace","path":"/id","value":"other"}]',
    "the type": b'[{"op":"replace","path":"/resourceType","value":"Observation"}]',
    "a dunder": b'[{"op":"add","path":"/__class__/__init__","value":1}]',
    "doubled eighteen times": b'[{"op":"add","path":"/extension","value":[{"extension":[]}]},'
    + b",".join([b'{"op":"copy","from":"/extension","path":"/extension/0/extension/-"}'] * 18)
    + b"]",
    "nested forty times": b'[{"op":"add","path":"/extension","value":[{"url":"urn:a"}]},'
    + b",".join([b'{"op":"copy","from":"/extension","path":"/extension/0/extension"}'] * 40)
    + b"]",
    "moved into its child": b'[{"op":"move","from":"/name","path":"/name/0/given"}]',
    "twelve thousand operations": b"["
    + b",".join([b'{"op":"test","path":"/resourceType","value":"Patient"}'] * 12_000)
    + b',{"op":"test","path":"/resourceType","value":"Device"}]',
    "deep value": b'[{"op":"add","path":"/name/-","value":' + b"[" * 9000 + b"]" * 9000 + b"}]",
}


@pytest.mark.requirement("DX-ATK-04")
@pytest.mark.parametrize("content", PATCHES.values(), ids=PATCHES)
def test_a_patch_that_cannot_be_applied_changes_nothing(http: httpx.Client, content: bytes) -> None:
    address = "/fhir/Patient/patched"
    born = {"resourceType": "Patient", "id": "patched", "name": [{"family": "Before"}]}
    assert http.put(address, json=born).status_code in (200, 201)
    before = http.get(address)
    answer = refused(http, "PATCH", address, content, **{"Content-Type": PATCH_JSON})
    assert 400 <= answer.status_code < 500
    after = http.get(address)
    assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])


PATHS = {
    "a thousand steps": "Patient" + ".name" * 1000,
    "brackets": "Patient.name" + "[0]" * 5000,
    "parentheses": "Patient." + "(" * 5000,
    "a negative index": "Patient.name[-1]",
    "an expression that backtracks": "Patient.name.where(family.matches('(a+)+$'))",
    "repeat": "Patient.repeat(descendants())",
    "a trace": "Patient.trace('a')",
    "resolve": "Patient.generalPractitioner.resolve()",
    "another type": "Observation.status",
    "nothing": "",
    "a zero byte": "Patient.na\x00me",
    "a line end": "Patient.name\nPatient.active",
    "a quote": "Patient.name.where(use='" + "'" * 4000,
}


@pytest.mark.requirement("DX-ATK-04")
@pytest.mark.parametrize("kind", ["delete", "replace", "add", "insert", "move"])
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_path_of_a_patch_is_a_place_and_no_program(
    http: httpx.Client, path: str, kind: str
) -> None:
    """FHIRPath Patch: only the simple paths that name one element."""
    born = {"resourceType": "Patient", "id": "paths", "name": [{"family": "a" * 60 + "!"}]}
    if http.get("/fhir/Patient/paths").status_code != 200:
        assert http.put("/fhir/Patient/paths", json=born).status_code == 201
    parts = [
        {"name": "type", "valueCode": kind},
        {"name": "path", "valueString": path},
        {"name": "name", "valueString": "active"},
        {"name": "value", "valueBoolean": True},
        {"name": "index", "valueInteger": 0},
        {"name": "source", "valueInteger": 1},
        {"name": "destination", "valueInteger": 2},
    ]
    patch = {
        "resourceType": "Parameters",
        "parameter": [{"name": "operation", "part": parts}],
    }
    answer = refused(http, "PATCH", "/fhir/Patient/paths", json.dumps(patch).encode())
    assert 400 <= answer.status_code < 500
    assert http.get("/fhir/Patient/paths").headers["etag"] == 'W/"1"'
