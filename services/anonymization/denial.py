"""Why a case is not de-identified: what its subject consents to."""

from __future__ import annotations

from dxmesh.consent.v1.consent_service_pb2 import CheckConsentResponse

from services.kernel.errors import Forbidden


class ConsentDenied(Forbidden):
    """The subject's consent does not permit the purpose any more."""


def denied(decision: CheckConsentResponse) -> ConsentDenied:
    """Return the refusal of a decision, by its reason."""
    return ConsentDenied(
        "the consent does not permit this purpose", reason=f"CONSENT_{decision.reason}"
    )
