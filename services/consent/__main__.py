"""Wires the consent service."""

from __future__ import annotations

from functools import partial

from dxmesh.consent.v1 import consent_service_pb2_grpc as rpc_pb

from services.consent.service import ConsentService
from services.consent.settings import Settings
from services.consent.store import ConsentStore, metadata
from services.kernel import blobs, process
from services.kernel.database import create_schema, open_engine

NAME = "dxmesh.consent.v1.ConsentService"


async def build(mesh: process.Process[Settings]) -> None:
    """Open the database and the zone's keys, then serve."""
    settings = mesh.settings
    zone = settings.zone
    vault = blobs.open_identity(settings).vault
    engine = open_engine(settings.database_url)
    mesh.on_stop(engine.dispose)
    await create_schema(engine, metadata)
    service = ConsentService(ConsentStore(engine, vault.cipher), mesh.bus, vault.hasher, zone)
    callers = ("gateway", "ingest", "anonymization")
    mesh.server.add(rpc_pb.add_ConsentServiceServicer_to_server, service, NAME, callers)
    mesh.background(partial(service.keep_announcing, settings.announce_s))


if __name__ == "__main__":
    process.run("consent", Settings, build)
