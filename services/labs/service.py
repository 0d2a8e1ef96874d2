"""LabsService: interprets one panel at once, outside a case, and computes scores."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from dxmesh.labs.v1 import labs_service_pb2 as pb
from dxmesh.labs.v1 import labs_service_pb2_grpc as rpc_pb

from services.kernel.errors import TooLarge
from services.labs import panel
from services.labs.findings import findings
from services.labs.scores import desk, message
from services.labs.scores.catalogue import CATALOGUE
from services.labs.scores.stated import Stated

PANEL_BYTES_MAX = 1 << 20
AT_ONCE_BYTES = 32 << 10
"""A panel up to this takes a few milliseconds: less than a thread costs it, which waits its turn
at Python's lock."""


class LabsService(rpc_pb.LabsServiceServicer):
    """Answers with the default critical limits: a panel outside a case has no tenant."""

    async def InterpretPanel(
        self, request: pb.InterpretPanelRequest, context: object
    ) -> pb.InterpretPanelResponse:
        """Return the findings of a panel.

        Raises
        ------
        InvalidInput, TooLarge
        """
        if len(request.panel_json) > PANEL_BYTES_MAX:
            raise TooLarge(f"a panel is at most {PANEL_BYTES_MAX} bytes")
        part, now = panel.read(request.panel_json), datetime.now(UTC)
        if len(request.panel_json) <= AT_ONCE_BYTES:
            return pb.InterpretPanelResponse(findings=findings(part, now=now))
        return pb.InterpretPanelResponse(findings=await asyncio.to_thread(findings, part, now=now))

    async def ListScores(
        self, request: pb.ListScoresRequest, context: object
    ) -> pb.ListScoresResponse:
        """Return every score with what it needs."""
        return pb.ListScoresResponse(scores=map(message.definition, CATALOGUE.values()))

    async def ComputeScores(
        self, request: pb.ComputeScoresRequest, context: object
    ) -> pb.ComputeScoresResponse:
        """Return scores of a panel and of stated values, computed or refused.

        Raises
        ------
        InvalidInput, NotFound, TooLarge
        """
        if len(request.panel_json) > PANEL_BYTES_MAX:
            raise TooLarge(f"a panel is at most {PANEL_BYTES_MAX} bytes")
        part = panel.read(request.panel_json) if request.panel_json else desk.NOTHING
        items = [Stated(v.name, v.value, v.unit, v.effective_time) for v in request.values]
        found = await asyncio.to_thread(desk.compute, part, items, list(request.score_ids))
        return pb.ComputeScoresResponse(scores=map(message.score, found))
