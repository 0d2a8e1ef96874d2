"""Content that is hostile or broken: a typed refusal that says where, and repeats nothing."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest

from services.gateway.fhir import content
from services.kernel.errors import InvalidInput

SECRET = "Zhang-Wei-1964"


def deep(levels: int) -> bytes:
    return b'{"resourceType":"Basic","x":' + b"[" * levels + b"]" * levels + b"}"


BROKEN: list[tuple[bytes, int, str]] = [
    (b"", 400, "NOT_JSON"),
    (b"  ", 400, "NOT_JSON"),
    (b"{" + SECRET.encode(), 400, "NOT_JSON"),
    (b"[]", 400, "BAD_REQUEST"),
    (b'"Patient"', 400, "BAD_REQUEST"),
    (b'{"resourceType":7}', 400, "BAD_REQUEST"),
    (b'{"resourceType":"Patient","active":NaN}', 400, "NOT_JSON"),
    (b'{"resourceType":"Patient","active":true,"active":true}', 400, "DUPLICATE_KEY"),
    (b'{"resourceType":"Patient","language":"\xff\xfe"}', 400, "NOT_UTF8"),
    (b'{"resourceType":"Patient","language":"\\ud800"}', 400, "NOT_JSON"),
    (deep(70), 400, "TOO_DEEP"),
    (deep(200_000), 400, "TOO_DEEP"),
    (b'{"resourceType":"Patient","x":' + b"9" * 100_000 + b"}", 400, "LONG_NUMBER"),
    (b'{"resourceType":"Patient","x":1e' + b"9" * 70 + b"}", 400, "LONG_NUMBER"),
    (b'{"resourceType":"Patient","' + SECRET.encode() + b'":1}', 422, "NOT_CONFORMANT"),
    (
        b'{"resourceType":"Patient","birthDate":"' + SECRET.encode() + b'"}',
        422,
        "NOT_CONFORMANT",
    ),
    (
        b'{"resourceType":"Patient","gender":"' + SECRET.encode() + b'"}',
        422,
        "NOT_CONFORMANT",
    ),
    (b'{"resourceType":"Patient","name":[]}', 422, "NOT_CONFORMANT"),
    (b'{"resourceType":"Patient","name":[{}]}', 422, "NOT_CONFORMANT"),
    (b'{"resourceType":"Patient","language":""}', 422, "NOT_CONFORMANT"),
    (b'{"resourceType":"Patient","active":null}', 422, "NOT_CONFORMANT"),
    (b'{"resourceType":"Patient","active":"yes","birthDate":5}', 422, "NOT_CONFORMANT"),
]


@pytest.mark.requirement("DX-INT-16")
async def test_broken_content_is_refused(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    for came, status, reason in BROKEN:
        answer = await server("POST", "Patient", came)
        assert answer.status_code == status, (came[:80], answer.text)
        assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == reason, came[:80]
        asked = await server("POST", "Patient/$validate", came)
        assert asked.status_code == (200 if status == 422 else status)
        assert asked.json()["issue"][0]["severity"] == "error"
        if b'"' + SECRET.encode() + b'":' not in came:  # an element's name is told
            assert SECRET not in answer.text + asked.text
    assert SECRET not in caplog.text


@pytest.mark.requirement("DX-INT-16")
def test_a_number_in_a_string_may_be_long() -> None:
    long = b"9" * 500
    assert content.parse(b'{"a":"' + long + b'"}') == {"a": long.decode()}
    with pytest.raises(InvalidInput):
        content.parse(b'{"a":' + long + b"}")


TRICKS = [
    "Patient/..",
    "Patient/%2e%2e",
    "Patient/a%2fb",
    "Patient/a_b",
    "Patient/" + "a" * 65,
    "Patient/a%00b",
    "Patient/%F0%9F%98%80",
    "Patient/a%0d%0ab",
    "patient/a",
    "Nothing/a",
    "Parameters/a",
    "DomainResource/a",
    "SubscriptionTopic/a",
    "Patient/a/_history/0x1",
    "Patient/a/_history/99999999999",
]


@pytest.mark.requirement("DX-INT-16")
async def test_ids_and_types_with_tricks(server: Any) -> None:
    for path in TRICKS:
        for method in ("GET", "PUT", "DELETE"):
            answer = await server(method, path, b'{"resourceType":"Patient","id":"a"}')
            assert answer.status_code in (400, 404, 405), (method, path, answer.status_code)
            assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.requirement("DX-INT-16")
async def test_a_packed_bomb_is_cut_off(server: Any) -> None:
    bomb = gzip.compress(b" " * (40 << 20), 9)
    assert len(bomb) < 100_000
    for path in ("Patient", ""):
        answer = await server("POST", path, bomb, content_encoding="gzip")
        assert answer.status_code == 413, path
    odd = await server("POST", "Patient", b"no gzip", content_encoding="gzip")
    half = await server("POST", "Patient", bomb[:1000], content_encoding="gzip")
    other = await server("POST", "Patient", b"{}", content_encoding="br")
    assert [odd.status_code, half.status_code, other.status_code] == [400, 400, 415]
    packed = gzip.compress(orjson.dumps({"resourceType": "Patient", "active": True}))
    assert (await server("POST", "Patient", packed, content_encoding="gzip")).status_code == 201


@pytest.mark.requirement("DX-INT-16")
async def test_a_resource_has_a_largest_size(server: Any) -> None:
    large = b'{"resourceType":"Patient","language":"' + b"x" * (16 << 20) + b'"}'
    answer = await server("POST", "Patient", large)
    assert answer.status_code == 413
    assert answer.json()["issue"][0]["code"] == "too-costly"


@pytest.mark.requirement("DX-INT-16")
async def test_a_nest_of_contained_resources_is_refused_not_walked_forever(server: Any) -> None:
    inner: dict[str, Any] = {"resourceType": "Basic", "id": "b", "code": {"text": "x"}}
    for _ in range(60):
        inner = {**inner, "contained": [inner]}
    answer = await server("POST", "Basic", inner)
    assert answer.status_code in (400, 422)
