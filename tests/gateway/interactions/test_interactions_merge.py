"""JSON Merge Patch (RFC 7396), and what no patch may make."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.fhir import json_patch
from services.kernel.errors import InvalidInput

WEIGHT = (
    b'{"resourceType":"Observation","id":"w","status":"final","code":{"text":"w"},'
    b'"valueQuantity":{"value":72.50,"unit":"kg"},'
    b'"component":[{"code":{"text":"c"},"valueQuantity":{"value":1.0e2}},'
    b'{"code":{"text":"d"},"valueString":"x"}],"note":[{"text":"one"},{"text":"two"}]}'
)


@pytest.mark.requirement("DX-INT-08")
async def test_a_merge_patch_replaces_members_and_null_takes_away(each_database: Any) -> None:
    ask = each_database
    assert (await ask("PUT", "Observation/w", WEIGHT)).status_code == 201
    change = (
        b'{"valueQuantity":{"unit":null,"code":"kg"},"note":[{"text":"three"}],"language":"de"}'
    )
    for kind in ("application/merge-patch+json", "application/json"):
        answer = await ask("PATCH", "Observation/w", change, content_type=kind)
        assert answer.status_code == 200, answer.text
        assert answer.headers["etag"] == 'W/"2"', "the second changes nothing"
    assert b'"valueQuantity":{"value":72.50,"code":"kg"}' in answer.content
    assert answer.json()["note"] == [{"text": "three"}]
    assert len(answer.json()["component"]) == 2
    listed = b'[{"op":"remove","path":"/language"}]'
    answer = await ask("PATCH", "Observation/w", listed, content_type="application/json")
    assert answer.status_code == 200 and "language" not in answer.json()


@pytest.mark.requirement("DX-INT-08")
async def test_a_merge_patch_that_does_not_fit_is_refused(each_database: Any) -> None:
    ask = each_database
    assert (await ask("PUT", "Observation/w", WEIGHT)).status_code == 201
    for wrong, status in (
        (b'{"id":"other"}', 422),
        (b'{"id":null}', 422),
        (b'{"resourceType":"Basic"}', 422),
        (b'{"status":null}', 422),
        (b'{"colour":"red"}', 422),
        (b"[]", 400),
        (b'"x"', 400),
    ):
        kind = "application/merge-patch+json"
        answer = await ask("PATCH", "Observation/w", wrong, content_type=kind)
        assert answer.status_code == status, wrong
    members = await ask("PATCH", "Observation/w", b'{"language":"de"}')
    assert members.status_code == 400, "application/fhir+json is a resource: Parameters"


@pytest.mark.requirement("DX-INT-16")
@pytest.mark.parametrize("kind", ["copy", "move", "text"])
def test_a_json_patch_makes_nothing_that_could_not_be_sent(kind: str) -> None:
    if kind == "text":
        copies = [{"op": "copy", "from": "/a", "path": f"/b{n}"} for n in range(40)]
        resource, patch = {"a": "x" * (1 << 20)}, copies
    elif kind == "copy":
        copies = [{"op": "copy", "from": "/a", "path": "/a/0/a"}] * 40
        resource, patch = {"a": [{}]}, copies
    else:
        chain: Any = {}
        for _ in range(40):
            chain = {"a": chain}
        resource = {"b": chain, "c": chain}
        patch = [{"op": "move", "from": "/b", "path": "/c" + "/a" * 40 + "/x"}]
    with pytest.raises(InvalidInput):
        json_patch.require_bounded(json_patch.apply(resource, patch))
