"""Why a case is not de-identified: what its subject consents to."""

from __future__ import annotations

from typing import Protocol

from dxmesh.consent.v1.consent_service_pb2 import CheckConsentRequest, CheckConsentResponse

from services.kernel.errors import Forbidden


class ConsentDenied(Forbidden):
    """The subject's consent does not permit the purpose any more."""


def denied(decision: CheckConsentResponse) -> ConsentDenied:
    """Return the refusal of a decision, by its reason."""
    return ConsentDenied(
        "the consent does not permit this purpose", reason=f"CONSENT_{decision.reason}"
    )


class ConsentPeer(Protocol):
    """What the worker needs of the consent service."""

    async def check(self, request: CheckConsentRequest) -> CheckConsentResponse:
        """Return the decision; raises Unavailable while the service is away."""
