"""Wires the reporting service."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from dxmesh.reporting.v1 import reporting_service_pb2_grpc as rpc_pb

from services.kernel import blobs, process
from services.kernel.database import create_schema, open_engine
from services.reporting import joint
from services.reporting.service import ReportingService
from services.reporting.settings import Settings
from services.reporting.store import Outbox, ReportStore, Sender, SignatureStore, metadata
from services.reporting.worker import ReportingWorker

NAME = "dxmesh.reporting.v1.ReportingService"


async def build(mesh: process.Process[Settings]) -> None:
    """Open the database, then take events, look at the clock and answer calls."""
    settings = mesh.settings
    joint.check()  # a file of rules that cannot be used stops the start, not a report
    engine = open_engine(settings.database_url)
    mesh.on_stop(engine.dispose)
    await create_schema(engine, metadata)
    now = partial(datetime.now, UTC)
    store = ReportStore(engine, settings.due_s)
    sender = Sender(mesh.bus, Outbox(engine))
    service = ReportingService(store, SignatureStore(engine), sender, now)
    mesh.server.add(
        rpc_pb.add_ReportingServiceServicer_to_server, service, NAME, callers=("gateway",)
    )
    worker = ReportingWorker(mesh.bus, blobs.open_analysis(settings), store, sender, now)
    await worker.start(settings.concurrency)
    mesh.background(partial(worker.keep_looking, settings.tick_s))


if __name__ == "__main__":
    process.run("reporting", Settings, build)
