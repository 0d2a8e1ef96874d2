"""ImagingService: tells which models read images, and what was decided about a case's series."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dxmesh.imaging.v1 import imaging_service_pb2 as pb
from dxmesh.imaging.v1 import imaging_service_pb2_grpc as rpc_pb

from services.imaging.reading import ModelMissing
from services.imaging.store import ImagingStore
from services.imaging.triton import Models
from services.kernel.errors import KeyDestroyed, NotFound


class ImagingService(rpc_pb.ImagingServiceServicer):
    """Answers from the model repository and from what the worker left in the case."""

    def __init__(self, models: Models, names: Sequence[str], store: ImagingStore) -> None:
        self._models = models
        self._names = names
        self._store = store

    async def ListModels(
        self, request: pb.ListModelsRequest, context: object
    ) -> pb.ListModelsResponse:
        """Return the models this service calls, with their cards; a missing one is not ready."""
        return pb.ListModelsResponse(models=[await self._model(name) for name in self._names])

    async def ExplainCase(
        self, request: pb.ExplainCaseRequest, context: object
    ) -> pb.ExplainCaseResponse:
        """Return the decisions of a case's imaging parts, and the readings that still run.

        Raises
        ------
        NotFound
            The case has no imaging part, none has begun, or it was stopped.
        """
        try:
            parts = await self._store.explain(request.tenant, request.case_id)
            running = await self._store.progress(request.tenant, request.case_id)
        except KeyDestroyed as error:
            raise NotFound("nothing is kept of this case: it was stopped") from error
        if not parts and not running:
            raise NotFound("no imaging part of this case was decided yet, or it has none")
        return pb.ExplainCaseResponse(
            parts=[
                pb.ExplainedPart(part_id=part_id, series=found.series, decisions=found.decisions)
                for part_id, found in parts.items()
            ],
            running=[
                pb.RunningReading(part_id=part_id, reader=reader, done=share)
                for part_id, reader, share in running
            ],
        )

    async def _model(self, name: str) -> pb.Model:
        try:
            info = self._models.info(name)
        except ModelMissing:
            return pb.Model(name=name, ready=False, card_json="{}")
        return pb.Model(
            name=name,
            version=info.version,
            ready=await self._models.ready(name),
            card_json=json.dumps(info.card, ensure_ascii=False),
        )
