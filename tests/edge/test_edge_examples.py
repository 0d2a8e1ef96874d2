"""The official R4 examples, stored through the served gateway and read back equal.

HL7 FHIR 4.0.1, CC0; they lie beside the repository and are skipped where they do not.
"""

from __future__ import annotations

import json
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "fhir" / "r4_examples.tar.xz"
BATCH_BYTES = 700_000
REFUSED = {"AuditEvent", "Subscription"}
"""The server alone writes the trail; a Subscription needs an address the operator allows."""
FHIR_JSON = {"Content-Type": "application/fhir+json"}

pytestmark = pytest.mark.skipif(
    not ARCHIVE.exists(), reason="the official examples are not beside the repository"
)

Key = tuple[str, str]


def exact(content: bytes) -> Any:
    """Return JSON with every number as it is written, less what a server sets in `meta`."""

    def number(text: str) -> tuple[str, str]:
        return ("number", text)

    value = json.loads(content, parse_float=number, parse_int=number)
    meta = value.get("meta", {})
    for name in ("versionId", "lastUpdated"):
        meta.pop(name, None)
    if not meta:
        value.pop("meta", None)
    return value


@pytest.fixture(scope="module")
def examples() -> dict[Key, bytes]:
    """Every example with an id; of two with the same, the last."""
    found: dict[Key, bytes] = {}
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".json"):
                opened = archive.extractfile(member)
                assert opened
                content = opened.read()
                value = json.loads(content)
                if "id" in value and value["resourceType"] not in REFUSED:
                    found[(value["resourceType"], value["id"])] = content
    assert len(found) > 600 and len({kind for kind, _ in found}) > 120
    return found


def batches(entries: list[bytes]) -> Iterator[bytes]:
    """Yield batch Bundles of a size the gateway takes; resources stand in them as written."""
    while entries:
        size = count = 0
        while count < len(entries) and (not count or size + len(entries[count]) < BATCH_BYTES):
            size += len(entries[count])
            count += 1
        inside = b",".join(entries[:count])
        yield b'{"resourceType":"Bundle","type":"batch","entry":[' + inside + b"]}"
        del entries[:count]


def run(http: httpx.Client, entries: list[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the response entry of each."""
    for bundle in batches(entries):
        answer = http.post("/fhir", content=bundle, headers=FHIR_JSON)
        assert answer.status_code == 200, answer.text[:500]
        yield from answer.json()["entry"]


def written(examples: dict[Key, bytes]) -> list[bytes]:
    """Return the entries that store the examples."""
    line = b'{"resource":%s,"request":{"method":"PUT","url":"%s/%s"}}'
    return [
        line % (content.removeprefix(b"\xef\xbb\xbf"), kind.encode(), name.encode())
        for (kind, name), content in examples.items()
    ]


@pytest.mark.requirement("DX-ATK-12")
def test_every_official_example_is_stored_and_read_back_equal(
    http: httpx.Client, examples: dict[Key, bytes]
) -> None:
    refused = defaultdict(list)
    for key, entry in zip(examples, run(http, written(examples)), strict=True):
        if not entry["response"]["status"].startswith(("200", "201")):
            refused[entry["response"]["status"]].append((key, entry.get("response")))
    assert not refused, {
        status: (len(keys), [(k, str(r)[:300]) for k, r in keys[:4]])
        for status, keys in refused.items()
    }
    different = []
    for (kind, name), content in examples.items():
        answer = http.get(f"/fhir/{kind}/{name}", headers={"Accept": "application/fhir+json"})
        if answer.status_code != 200 or exact(answer.content) != exact(content):
            different.append((kind, name, answer.status_code))
    assert not different


@pytest.mark.requirement("DX-ATK-12")
def test_one_by_one_the_bytes_themselves_are_kept(
    http: httpx.Client, examples: dict[Key, bytes]
) -> None:
    """White space, order, escapes: all but `meta` is what came in."""
    kept = 0
    for (kind, name), content in examples.items():
        if b'"meta"' in content or kind == "Binary" or len(content) > 20_000 or kept == 60:
            continue
        address = f"/fhir/{kind}/bytes-{kept}"
        own = content.replace(f'"id": "{name}"'.encode(), b'"id": "bytes-%d"' % kept, 1)
        if own == content:
            continue
        assert http.put(address, content=own, headers=FHIR_JSON).status_code == 201, name
        answer = http.get(address).content
        start, end = answer.index(b'"meta"'), answer.index(b"}", answer.index(b'"meta"')) + 1
        left = answer[:start].rstrip().rstrip(b","), answer[end:].lstrip().lstrip(b",")
        assert own.startswith(left[0].rstrip()) and own.endswith(left[1].lstrip()), name
        kept += 1
    assert kept == 60


@pytest.mark.requirement("DX-ATK-12")
@pytest.mark.parametrize(
    "number",
    ["19.00", "0.0", "1E2", "1e+2", "-0.010", "123456789012345678.000000001", "1.0e-10", "0.1"],
)
def test_a_decimal_keeps_its_last_digit(http: httpx.Client, number: str) -> None:
    name = "decimal-" + str(abs(hash(number)))
    content = (
        f'{{"resourceType":"Observation","id":"{name}","status":"final","code":{{"text":"a"}},'
        f'"valueQuantity":{{"value":{number}}}}}'
    )
    address = f"/fhir/Observation/{name}"
    assert http.put(address, content=content, headers=FHIR_JSON).status_code == 201
    assert f'"value":{number}}}'.encode() in http.get(address).content.replace(b" ", b"")
    found = http.get(f"/fhir/Observation?_id={name}").content.replace(b" ", b"")
    assert f'"value":{number}}}'.encode() in found
