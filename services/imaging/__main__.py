"""Wires the imaging service."""

from __future__ import annotations

from dxmesh.imaging.v1 import imaging_service_pb2_grpc as rpc_pb

from services.imaging.nodules.score import MODEL
from services.imaging.service import ImagingService
from services.imaging.settings import Settings
from services.imaging.worker import ImagingWorker
from services.kernel import blobs, inference, process

NAME = "dxmesh.imaging.v1.ImagingService"


async def build(mesh: process.Process[Settings]) -> None:
    """Read the model's card, then take parts and answer calls."""
    settings = mesh.settings
    model = inference.read_model(settings.model_repository, MODEL)
    scorer = inference.open_inference(
        settings.model_repository,
        settings.triton_url,
        shared_memory=settings.triton_shared_memory,
        timeout_s=settings.timeout_s,
    )
    mesh.on_stop(scorer.close)
    mesh.server.add(
        rpc_pb.add_ImagingServiceServicer_to_server,
        ImagingService(scorer, [model]),
        NAME,
        callers=("gateway",),
    )
    worker = ImagingWorker(
        mesh.bus, blobs.open_analysis(settings), scorer, model, settings.operating_point
    )
    await worker.start(settings.concurrency)


if __name__ == "__main__":
    process.run("imaging", Settings, build)
