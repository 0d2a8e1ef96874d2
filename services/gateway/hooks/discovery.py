"""GET /cds-services: which services there are and what they would like prefetched. Pure.

Source: CDS Hooks 2.0, Discovery.
"""

from __future__ import annotations

from typing import Any

from services.gateway.hooks.request import ORDER_SELECT, ORDER_SIGN, PATIENT_VIEW
from services.gateway.hooks.words import Language, say

SERVICES = {f"dxmesh-{hook}": hook for hook in (PATIENT_VIEW, ORDER_SELECT, ORDER_SIGN)}
"""Id of each service → its hook."""
PREFETCH = {"patient": "Patient/{{context.patientId}}"}


def document(language: Language) -> dict[str, Any]:
    """Return the discovery document."""
    return {
        "services": [
            {
                "hook": hook,
                "id": service,
                "title": say(language, f"title-{hook}"),
                "description": say(language, f"about-{hook}"),
                "prefetch": PREFETCH,
                "usageRequirements": say(language, "requirements"),
            }
            for service, hook in SERVICES.items()
        ]
    }
