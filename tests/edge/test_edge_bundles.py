"""Bundles that turn in circles, contradict themselves or reach for other addresses."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

QUICK_S = 3.0
"""Of a processor: what the clock says depends on who else is on the machine."""


@pytest.mark.requirement("DX-ATK-06")
def test_a_transaction_that_turns_in_circles_ends(http: httpx.Client) -> None:
    """Two resources that refer to each other are legal; a circle of conditions is not."""
    names = [f"urn:uuid:6b5d1a8e-0000-4000-8000-{n:012}" for n in range(60)]
    ring = [
        {
            "fullUrl": name,
            "resource": {
                "resourceType": "Observation",
                "status": "final",
                "code": {"text": "circle"},
                "hasMember": [{"reference": names[(n + 1) % len(names)]}],
            },
            "request": {"method": "POST", "url": "Observation"},
        }
        for n, name in enumerate(names)
    ]
    began = time.process_time()
    answer = http.post("/fhir", json=transaction(ring))
    assert time.process_time() - began < QUICK_S * 3
    assert answer.status_code == 200, answer.text[:500]
    place = answer.json()["entry"][0]["response"]["location"].partition("/_history")[0]
    made = http.get("/fhir/" + "/".join(place.split("/")[-2:])).json()
    assert made["hasMember"][0]["reference"].startswith("Observation/")


def transaction(entries: list[Any]) -> dict[str, Any]:
    """Return a transaction Bundle."""
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def entry(method: str, url: str, **members: Any) -> dict[str, Any]:
    """Return an entry with a request."""
    return {"request": {"method": method, "url": url}, **members}


PATIENT = {"resourceType": "Patient", "active": True}
BAD_BUNDLES = {
    "itself as an entry": [
        entry("POST", "Bundle", resource=transaction([entry("POST", "", resource=PATIENT)])),
        entry("POST", "", resource=transaction([])),
    ],
    "an entry that is a transaction": [entry("POST", "/", resource=transaction([]))],
    "the same twice": [
        entry("PUT", "Patient/twice", resource={**PATIENT, "id": "twice"}),
        entry("PUT", "Patient/twice", resource={**PATIENT, "id": "twice"}),
    ],
    "made and deleted": [
        entry("PUT", "Patient/twice", resource={**PATIENT, "id": "twice"}),
        entry("DELETE", "Patient/twice"),
    ],
    "fullUrl twice": [
        entry("POST", "Patient", resource=PATIENT, fullUrl="urn:uuid:" + "a" * 8),
        entry("POST", "Patient", resource=PATIENT, fullUrl="urn:uuid:" + "a" * 8),
    ],
    "another server": [entry("GET", "https://evil.example/fhir/Patient/1")],
    "no protocol": [entry("GET", "//evil.example/fhir/Patient/1")],
    "out of the base": [entry("GET", "../ops/status")],
    "out of the base, encoded": [entry("GET", "%2e%2e/ops/status")],
    "another address of ours": [entry("GET", "/ops/status")],
    "an unknown method": [entry("TRACE", "Patient/1")],
    "a line end": [entry("GET", "Patient/1\r\nX-Planted: 1")],
    "a circle of conditions": [
        entry(
            "POST",
            "Observation",
            resource={
                "resourceType": "Observation",
                "status": "final",
                "code": {"text": "a"},
                "subject": {"reference": "Patient?identifier=urn:ring|nobody"},
            },
        )
    ],
    "a reference to nothing": [
        entry(
            "POST",
            "Observation",
            resource={
                "resourceType": "Observation",
                "status": "final",
                "code": {"text": "a"},
                "subject": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000009"},
            },
        )
    ],
    "ten thousand": [entry("GET", "Patient/nobody")] * 10_000,
}


@pytest.mark.requirement("DX-ATK-06")
@pytest.mark.parametrize("name", BAD_BUNDLES)
def test_a_transaction_that_is_wrong_does_nothing(http: httpx.Client, name: str) -> None:
    own = "planted-" + "".join(c for c in name if c.isalnum())
    planted = entry("PUT", f"Patient/{own}", resource={**PATIENT, "id": own})
    began = time.process_time()
    answer = http.post("/fhir", json=transaction([planted, *BAD_BUNDLES[name]]))
    assert time.process_time() - began < QUICK_S * 2
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert http.get(f"/fhir/Patient/{own}").status_code == 404
