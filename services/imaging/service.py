"""ImagingService: tells which models read images."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dxmesh.imaging.v1 import imaging_service_pb2 as pb
from dxmesh.imaging.v1 import imaging_service_pb2_grpc as rpc_pb

from services.kernel.inference import Inference, ModelInfo


class ImagingService(rpc_pb.ImagingServiceServicer):
    """Answers from the model repository; asks the inference server whether it is ready."""

    def __init__(self, inference: Inference, models: Sequence[ModelInfo]) -> None:
        self._inference = inference
        self._models = models

    async def ListModels(
        self, request: pb.ListModelsRequest, context: object
    ) -> pb.ListModelsResponse:
        """Return the models this service calls, with their cards."""
        return pb.ListModelsResponse(
            models=[
                pb.Model(
                    name=model.name,
                    version=model.version,
                    ready=await self._inference.ready(model.name),
                    card_json=json.dumps(model.card, ensure_ascii=False),
                )
                for model in self._models
            ]
        )
