"""One resource against one search parameter, as the tables of the R4 search page have it."""

from __future__ import annotations

from typing import Any

from services.gateway.fhir.search.match import matches
from services.gateway.fhir.search.query import parse
from services.kernel import fhir

NOW_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


def found(resource: dict[str, Any], name: str, value: str) -> bool:
    parsed = fhir.parse(fhir.dump(resource))
    query = parse(
        resource["resourceType"],
        [(name, value)],
        base_url="http://server/fhir",
        now_us=NOW_US,
    )
    assert not query.unknown, query.unknown
    return matches(query, parsed)


def observation(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}} | elements


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p"} | elements
