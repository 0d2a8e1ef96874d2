"""Labels that hide a resource from most, as whatever is made of it must bear them. Pure.

Source: FHIR R4 security-labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Json = Any
Resource = Mapping[str, Json]

RESTRICTED = {
    ("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", code) for code in ("R", "V")
}
KEPT = frozenset(
    ("Patient", "ServiceRequest", "ImagingStudy", "Encounter", "Practitioner", "Consent")
)
"""What the gateway keeps as it came, so that it says itself how confidential it is."""


def is_restricted(resource: Resource) -> bool:
    """Tell whether a resource has a label that hides it from most (R4 security-labels).

    A Patient's own hides whatever is about them, earlier results and later ones alike.
    """
    return resource.get("resourceType") != "Patient" and bool(RESTRICTED & _labels(resource))


def label_of(resource: Resource) -> str:
    """Return the stricter label, R or V, of what is analysed and not kept as it came."""
    if resource.get("resourceType") in KEPT:
        return ""
    return max((code for _, code in RESTRICTED & _labels(resource)), default="")


def _labels(resource: Resource) -> set[tuple[str, str]]:
    meta = resource.get("meta")
    found = meta.get("security") if isinstance(meta, Mapping) else None
    listed = (
        [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
    )
    return {(str(each.get("system")), str(each.get("code"))) for each in listed}


def strictest(resources: Iterable[Resource]) -> str:
    """Return the stricter label, R or V, of all that is analysed; empty: none has one."""
    return max(map(label_of, resources), default="")
