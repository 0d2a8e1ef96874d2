"""Wires the anonymization service."""

from __future__ import annotations

from dxmesh.anonymization.v1 import anonymization_service_pb2_grpc as rpc_pb

from services.anonymization import files, local_codes
from services.anonymization.peers import GrpcConsent
from services.anonymization.service import AnonymizationService
from services.anonymization.settings import Settings
from services.anonymization.store import Cipher, IdentityStore, metadata
from services.anonymization.work import identity_scope
from services.anonymization.worker import AnonymizationWorker
from services.kernel import blobs, process
from services.kernel.database import create_schema, open_engine

NAME = "dxmesh.anonymization.v1.AnonymizationService"


async def build(mesh: process.Process[Settings]) -> None:
    """Open both zones and the database, then take cases and answer calls."""
    files.silence_pydicom()
    settings = mesh.settings
    listed = local_codes.read(settings.code_mappings_dir)
    intake, analysis = blobs.open_identity(settings), blobs.open_analysis(settings)
    engine = open_engine(settings.database_url)
    mesh.on_stop(engine.dispose)
    await create_schema(engine, metadata)

    async def cipher_for(tenant: str, case_id: str) -> Cipher:
        return await intake.vault.scope_cipher(tenant, identity_scope(case_id))

    store = IdentityStore(engine, cipher_for)
    consent = GrpcConsent(settings)
    mesh.on_stop(consent.close)
    mesh.server.add(
        rpc_pb.add_AnonymizationServiceServicer_to_server,
        AnonymizationService(store),
        NAME,
        callers=("gateway",),
    )
    hasher = intake.vault.hasher
    worker = AnonymizationWorker(mesh.bus, intake, analysis, store, consent, hasher, listed)
    await worker.start(settings.concurrency)


if __name__ == "__main__":
    process.run("anonymization", Settings, build)
