"""Wires the nlp service."""

from __future__ import annotations

import gc

from dxmesh.nlp.v1 import nlp_service_pb2_grpc as rpc_pb

from services.kernel import blobs, process
from services.nlp.service import NlpService
from services.nlp.settings import Settings
from services.nlp.worker import NlpWorker

NAME = "dxmesh.nlp.v1.NlpService"


async def build(mesh: process.Process[Settings]) -> None:
    """Take parts and answer calls."""
    settings = mesh.settings
    mesh.server.add(
        rpc_pb.add_NlpServiceServicer_to_server, NlpService(), NAME, callers=("gateway",)
    )
    worker = NlpWorker(mesh.bus, blobs.open_analysis(settings))
    gc.collect()
    gc.freeze()  # the tables stay: looking through them again and again costs each note
    await worker.start(settings.concurrency)


if __name__ == "__main__":
    process.run("nlp", Settings, build)
