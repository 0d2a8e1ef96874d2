"""A report is as confidential as the results and notes that it was made of. Pure.

Those are not stored as they came, so nothing else could say so later. Patient, order and studies
are, and their labels count as they are at any time.

Source: R4 security-labels (high water mark); v3-Confidentiality.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.gateway.fhir.search.match import CONFIDENTIALITY, restricted
from services.gateway.store.resources import SENT

Json = Any
NAMES = {"R": "restricted", "V": "very restricted"}
GENERAL = SENT | {"Device"}
"""What says nothing of what was analysed: it is sent as it is, or is about a model."""


def confidential(bundle: Mapping[str, Json], code: str) -> dict[str, Json]:
    """Return a report's Bundle with a label on everything that was made; code empty: none."""
    entries = [
        {**entry, "resource": labelled(entry["resource"], code)} for entry in bundle["entry"]
    ]
    return {**bundle, "entry": entries}


def labelled(resource: Mapping[str, Json], code: str) -> dict[str, Json]:
    """Return a resource with a label, where it was made and bears none; code empty: as it is."""
    if not code or resource["resourceType"] in GENERAL or restricted(resource):
        return dict(resource)
    meta = resource.get("meta", {})
    label = {"system": CONFIDENTIALITY, "code": code, "display": NAMES[code]}
    return {**resource, "meta": {**meta, "security": [*meta.get("security", []), label]}}
