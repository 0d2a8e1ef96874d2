"""What is exported, and rights to it."""

from __future__ import annotations

from typing import Any

from services.gateway.access.rights import Permission, Rights

RS = frozenset("rs")


def patient(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p-{number}"} | more


def observation(number: int, code: str = "a", patient: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o-{number}",
        "status": "final",
        "category": [{"coding": [{"code": code}]}],
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/p-{patient}"},
    } | more


def rights(*permissions: Permission, restricted: bool = False) -> Rights:
    return Rights(permissions, restricted)
