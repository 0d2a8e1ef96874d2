"""NlpService: reads notes at once, outside a case."""

from __future__ import annotations

import asyncio

from dxmesh.nlp.v1 import nlp_service_pb2 as pb
from dxmesh.nlp.v1 import nlp_service_pb2_grpc as rpc_pb

from services.kernel.errors import InvalidInput, TooLarge, Violation
from services.nlp import notes
from services.nlp.findings import findings

NOTES_BYTES_MAX = 1 << 20
LANGUAGES = ("zh", "en")


class NlpService(rpc_pb.NlpServiceServicer):
    """Answers calls; keeps nothing."""

    async def ExtractNotes(
        self, request: pb.ExtractNotesRequest, context: object
    ) -> pb.ExtractNotesResponse:
        """Return what is in the notes; no language means English.

        Raises
        ------
        InvalidInput, TooLarge
        """
        if len(request.notes_json) > NOTES_BYTES_MAX:
            raise TooLarge(f"notes are at most {NOTES_BYTES_MAX} bytes")
        language = request.language or "en"
        if language not in LANGUAGES:
            problem = [Violation("language", "is neither zh nor en")]
            raise InvalidInput("the language of the summary is zh or en", problem)
        found = notes.read(request.notes_json)
        return pb.ExtractNotesResponse(findings=await asyncio.to_thread(findings, found, language))
