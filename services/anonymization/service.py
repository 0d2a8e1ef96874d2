"""AnonymizationService: the way back for the gateway, and redaction of later texts."""

from __future__ import annotations

import asyncio
import logging

from dxmesh.anonymization.v1 import anonymization_service_pb2 as pb
from dxmesh.anonymization.v1 import anonymization_service_pb2_grpc as rpc_pb

from services.anonymization.identity import Identities
from services.anonymization.known import NOTHING, KnownStrings
from services.anonymization.text.redact import redact
from services.kernel.errors import NotFound, TooLarge

log = logging.getLogger(__name__)

TEXT_BYTES_MAX = 64 << 10


class AnonymizationService(rpc_pb.AnonymizationServiceServicer):
    """Answers the gateway; every way back is logged by case, never by person."""

    def __init__(self, store: Identities) -> None:
        self._store = store

    async def Reidentify(
        self, request: pb.ReidentifyRequest, context: object
    ) -> pb.ReidentifyResponse:
        """Return the identity of a case.

        Raises
        ------
        NotFound, KeyDestroyed
        """
        identity = await self._store.get(request.tenant, request.case_id)
        log.info(
            "identity given back",
            extra={"facts": {"tenant": request.tenant, "case": request.case_id}},
        )
        return pb.ReidentifyResponse(
            patient_json=identity.patient.encode(),
            service_request_json=identity.service_request.encode(),
            imaging_study_json=[each.encode() for each in identity.imaging_studies],
            days_to_true_date=identity.days_to_true_date,
            uids=identity.uids,
            references=identity.references,
            time_shift_s=identity.time_shift_s,
            confidentiality=identity.confidentiality,
        )

    async def RedactText(
        self, request: pb.RedactTextRequest, context: object
    ) -> pb.RedactTextResponse:
        """Return a text without identity; dates move with the case's other dates.

        Raises
        ------
        TooLarge
        """
        if len(request.text.encode()) > TEXT_BYTES_MAX:
            raise TooLarge(f"a text is at most {TEXT_BYTES_MAX} bytes")
        known, shift_days = NOTHING, None
        if request.case_id:
            try:
                identity = await self._store.get(request.tenant, request.case_id)
            except NotFound:
                log.info("a text names a case that is not kept here; recognisers only")
            else:
                known = KnownStrings(
                    frozenset(identity.names),
                    frozenset(identity.numbers),
                    frozenset(identity.places),
                )
                shift_days = -identity.days_to_true_date
        redacted = await asyncio.to_thread(redact, request.text, known, shift_days)
        return pb.RedactTextResponse(text=redacted.text, replaced=redacted.replaced)
