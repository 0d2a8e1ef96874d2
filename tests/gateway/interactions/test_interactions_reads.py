"""Reads in a transaction: one that fails fails the whole, and they see what was done."""

from __future__ import annotations

from typing import Any

import pytest

PATIENT: dict[str, Any] = {"resourceType": "Patient", "active": True}


def entry(method: str, url: str, resource: Any = None) -> dict[str, Any]:
    """Return an entry with a request."""
    request = {"request": {"method": method, "url": url}}
    return {**request, "resource": resource} if resource else request


def bundle(*entries: Any) -> dict[str, Any]:
    """Return a transaction."""
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


@pytest.mark.requirement("DX-INT-09")
async def test_a_read_that_fails_fails_the_whole(each_database: Any) -> None:
    """R4 http, 3.1.0.11.2: every entry succeeds, or nothing is done."""
    assert (await each_database("PUT", "Patient/old", {**PATIENT, "id": "old"})).status_code == 201
    planted = entry("PUT", "Patient/new-2", {**PATIENT, "id": "new-2"})
    wrong = {
        "Patient/none": 404,
        "Patient/new-2/_history/7": 404,
        "Patient/none/_history": 404,
        "Nothing/1": 404,
        "Patient?shoe=43": 400,
        "Patient/new-2?shoe=43": 400,
        "Patient/a b": 400,
        "//evil.example/fhir/Patient/1": 404,
        "/ops/status": 404,
    }
    for url, status in wrong.items():
        answer = await each_database("POST", "", bundle(planted, entry("GET", url)))
        assert answer.status_code == status, (url, answer.text)
        assert "Bundle.entry[1]" in answer.text
        assert (await each_database("GET", "Patient/new-2")).status_code == 404
    gone = bundle(planted, entry("DELETE", "Patient/old"), entry("GET", "Patient/old"))
    assert (await each_database("POST", "", gone)).status_code == 410
    good = bundle(planted, entry("GET", "Patient/new-2"), entry("GET", "Patient?active=true"))
    answer = await each_database("POST", "", good)
    assert [e["response"]["status"][:3] for e in answer.json()["entry"]] == ["201", "200", "200"]
