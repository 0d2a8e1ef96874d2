"""What an Observation of a report is to a physician: kind, name, urgency. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.gateway.signing import REVIEW_TAG
from services.gateway.web.facts import NOT_DETECTED, quantity

Json = Mapping[str, Any]

ACTIONABLE_1 = "RID49480"
"""RadLex: ACR actionable finding category 1."""
ORDER = ("imaging", "laboratory", "suggestion", "conflict", "risk", "notes")
STATEMENTS = {
    "urn:dxmesh:suggestion": "suggestion",
    "urn:dxmesh:reconciliation": "conflict",
    "urn:dxmesh:risk": "risk",
}
"""Code systems of what rules say, and which kind of finding each is."""


def needs_verdict(resource: Json) -> bool:
    """Tell whether a physician must judge this before signing."""
    tags = resource.get("meta", {}).get("tag", [])
    return any((tag.get("system"), tag.get("code")) == REVIEW_TAG for tag in tags)


def kind_of(resource: Json) -> str:
    """Return what an Observation is: one of `ORDER`."""
    codings = resource.get("code", {}).get("coding", [])
    for coding in codings:
        if coding.get("system") in STATEMENTS:
            return STATEMENTS[coding["system"]]
    categories = [
        coding.get("code")
        for category in resource.get("category", [])
        for coding in category.get("coding", [])
    ]
    kinds = [kind for kind in ("imaging", "laboratory") if kind in categories]
    return kinds[0] if kinds else "notes"


def title_of(resource: Json) -> str:
    """Return what an Observation is called on the page."""
    kind, name = kind_of(resource), str(resource.get("code", {}).get("text", ""))
    if kind == "laboratory":
        return f"{name} {quantity(resource.get('valueQuantity', {}))}".strip()
    value = resource.get("valueCodeableConcept", {}).get("text") or resource.get("valueString")
    if kind in ("notes", "suggestion"):
        return name
    return str(value or name)


def is_urgent(resource: Json) -> bool:
    """Tell whether an Observation says that a physician must look at once."""
    return any(
        coding.get("code") == ACTIONABLE_1
        for component in resource.get("component", [])
        for coding in component.get("valueCodeableConcept", {}).get("coding", [])
    )


def is_absent(resource: Json) -> bool:
    """Tell whether an Observation says that something was looked for and not found."""
    return NOT_DETECTED in value_codes(resource)


def value_codes(resource: Json) -> list[str]:
    """Return the codes of an Observation's value."""
    codings = resource.get("valueCodeableConcept", {}).get("coding", [])
    return [str(coding.get("code", "")) for coding in codings]
