"""Resources for a search to find, rights to them, and what is shared by its tests."""

from __future__ import annotations

from typing import Any

from services.gateway.access.rights import EVERYTHING, Permission, Rights, Visibility

ALL = EVERYTHING.visibility("s")

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def patient(own_id: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": own_id} | more


def observation(name: str, of: str = "a", code: str = "x", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": {"coding": [{"system": "urn:c", "code": code}]},
        "subject": {"reference": f"Patient/{of}"},
    } | more


def filled(bench: Any, *resources: dict[str, Any]) -> str:
    tenant = str(bench.fresh_tenant())
    bench.run(bench.fill(tenant, resources))
    return tenant


def seen_by(*permissions: Permission, restricted: bool = False) -> Visibility:
    return Rights(permissions, restricted).visibility("s")


def may(kind: str, patient_id: str = "", *criteria: tuple[str, str]) -> Permission:
    return Permission(kind, frozenset("rs"), patient_id, criteria)
