"""LabsService: interprets one panel at once, outside a case."""

from __future__ import annotations

import asyncio

from dxmesh.labs.v1 import labs_service_pb2 as pb
from dxmesh.labs.v1 import labs_service_pb2_grpc as rpc_pb

from services.kernel.errors import TooLarge
from services.labs import panel
from services.labs.findings import findings

PANEL_BYTES_MAX = 1 << 20


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
        part = panel.read(request.panel_json)
        return pb.InterpretPanelResponse(findings=await asyncio.to_thread(findings, part))
