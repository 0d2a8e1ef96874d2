"""The consent service, asked once more before anything is de-identified."""

from __future__ import annotations

from dxmesh.consent.v1.consent_service_pb2 import CheckConsentRequest, CheckConsentResponse
from dxmesh.consent.v1.consent_service_pb2_grpc import ConsentServiceStub

from services.anonymization.settings import Settings
from services.kernel import rpc


class GrpcConsent:
    """The consent service over gRPC."""

    def __init__(self, settings: Settings) -> None:
        self._channel = rpc.connect(settings.consent_address, settings)
        self._stub = ConsentServiceStub(self._channel)
        self._timeout_s = settings.consent_timeout_s

    async def check(self, request: CheckConsentRequest) -> CheckConsentResponse:
        """Return the decision.

        Raises
        ------
        Unavailable
            The service is away; the case waits.
        """
        return await rpc.call(self._stub.CheckConsent, request, timeout_s=self._timeout_s)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()
