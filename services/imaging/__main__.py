"""Wires the imaging service."""

from __future__ import annotations

import time

from dxmesh.imaging.v1 import imaging_service_pb2_grpc as rpc_pb

from services.imaging.dicom_out import write
from services.imaging.fractures.reader import FractureReader
from services.imaging.haemorrhage.reader import HaemorrhageReader
from services.imaging.nodules.reader import NoduleReader
from services.imaging.pathology.reader import PathologyReader
from services.imaging.peers import DecoderProcess
from services.imaging.room import ReadingRoom
from services.imaging.routing import explain, rules
from services.imaging.service import ImagingService
from services.imaging.settings import Settings
from services.imaging.store import ImagingStore, tenant_tables
from services.imaging.triton import Models
from services.imaging.worker import ImagingWorker
from services.kernel import blobs, inference, process

NAME = "dxmesh.imaging.v1.ImagingService"
READERS = (HaemorrhageReader(), NoduleReader(), FractureReader(), PathologyReader())


async def build(mesh: process.Process[Settings]) -> None:
    """Read the routing tables, load the models, then take parts and answer calls."""
    settings = mesh.settings
    default = explain.default_table()
    tables = {"": "", **tenant_tables(settings.routing_dir)}
    books = {tenant: rules.read(default, table) for tenant, table in tables.items()}
    serving = inference.open_inference(
        settings.model_repository,
        settings.triton_url,
        shared_memory=settings.triton_shared_memory,
        timeout_s=settings.timeout_s,
    )
    mesh.on_stop(serving.close)
    models = Models(serving, settings.model_repository)
    used = list(dict.fromkeys(name for reader in READERS for name in reader.models))
    store = ImagingStore(blobs.open_analysis(settings), settings.scratch_dir)
    store.sweep()
    mesh.server.add(
        rpc_pb.add_ImagingServiceServicer_to_server,
        ImagingService(models, used, store),
        NAME,
        callers=("gateway",),
    )
    await models.start(used)
    room = ReadingRoom(READERS, books, models, store, time.monotonic, settings.stall_s)
    worker = ImagingWorker(mesh.bus, store, room, write.objects, DecoderProcess())
    await worker.start(settings.concurrency, settings.stat_lane)


if __name__ == "__main__":
    process.run("imaging", Settings, build)
