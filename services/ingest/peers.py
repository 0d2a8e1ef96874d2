"""The consent service: every Consent of a submission is recorded there, and one decision asked."""

from __future__ import annotations

from dxmesh.consent.v1.consent_service_pb2 import (
    CheckConsentRequest,
    CheckConsentResponse,
    RecordConsentRequest,
)
from dxmesh.consent.v1.consent_service_pb2_grpc import ConsentServiceStub

from services.ingest.settings import Settings
from services.kernel import rpc


class GrpcConsent:
    """The consent service over gRPC."""

    def __init__(self, settings: Settings) -> None:
        self._channel = rpc.connect(settings.consent_address, settings)
        self._stub = ConsentServiceStub(self._channel)
        self._timeout_s = settings.consent_timeout_s

    async def record(self, tenant: str, subject_key: str, content: bytes) -> None:
        """Record a Consent, JSON; the same content again changes nothing.

        Raises
        ------
        Unavailable
            The service is away; nothing of the submission is kept.
        RemoteError
            It does not take the Consent.
        """
        request = RecordConsentRequest(tenant=tenant, subject_key=subject_key, consent_json=content)
        await rpc.call(self._stub.RecordConsent, request, timeout_s=self._timeout_s)

    async def check(self, request: CheckConsentRequest) -> CheckConsentResponse:
        """Return the decision.

        Raises
        ------
        Unavailable
        """
        return await rpc.call(self._stub.CheckConsent, request, timeout_s=self._timeout_s)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()
