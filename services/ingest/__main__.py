"""Wires the ingest service."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from dxmesh.ingest.v1 import ingest_service_pb2_grpc as rpc_pb

from services.ingest import dicom
from services.ingest.admission import Admission
from services.ingest.awaiting import Awaiting
from services.ingest.dimse.listener import listen
from services.ingest.mllp.wiring import Results
from services.ingest.peers import GrpcConsent
from services.ingest.service import IngestService
from services.ingest.settings import Settings
from services.ingest.store import Relay, Stores, metadata
from services.ingest.worker import IngestWorker
from services.kernel import blobs, process
from services.kernel.database import create_schema, open_engine

NAME = "dxmesh.ingest.v1.IngestService"


async def build(mesh: process.Process[Settings]) -> None:
    """Open the zone and the database, then answer the gateway, sweep and publish."""
    dicom.silence_pydicom()
    settings = mesh.settings
    defaults = settings.defaults
    if settings.spool_dir:
        settings.spool_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    zone = blobs.open_identity(settings)
    engine = open_engine(settings.database_url)
    mesh.on_stop(engine.dispose)
    await create_schema(engine, metadata)
    consent = GrpcConsent(settings)
    mesh.on_stop(consent.close)
    now = partial(datetime.now, UTC)
    stores = Stores.over(engine, zone, now)
    relay = Relay(mesh.bus, stores.cases)
    admission = Admission(stores, relay, consent, defaults, now)
    awaiting = Awaiting(stores, relay, defaults, now)
    mesh.background(partial(awaiting.keep_looking, settings.look_s))
    results = Results(admission, zone.vault.hasher, now, settings)
    service = IngestService(stores.intake, admission, settings, results.files, stores.originals)
    mesh.server.add(rpc_pb.add_IngestServiceServicer_to_server, service, NAME, callers=("gateway",))
    worker = IngestWorker(
        mesh.bus, stores.intake, stores.cases, relay, stores.originals, settings.orphan_s, now
    )
    await worker.start(settings.concurrency)
    mesh.background(partial(worker.keep_publishing, settings.announce_s))
    mesh.background(partial(worker.keep_sweeping, settings.sweep_s))
    for listener in (listen(settings, stores.intake), await results.listen()):
        if listener:
            mesh.on_stop(listener.stop)


if __name__ == "__main__":
    process.run("ingest", Settings, build)
