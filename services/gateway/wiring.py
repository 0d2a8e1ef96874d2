"""The gateway's parts, put together: store, peers, HTTP, gRPC, the bus and background work."""

from __future__ import annotations

import asyncio
import gc
from functools import partial

from dxmesh.gateway.v1 import gateway_service_pb2_grpc as rpc_pb

from services.gateway import app, server
from services.gateway.access import accounts
from services.gateway.call import Gateway
from services.gateway.commit import StoreCommitter
from services.gateway.critical import policy
from services.gateway.critical.ahead import Ahead
from services.gateway.critical.escalation import Escalation
from services.gateway.critical.notifier import Notifier
from services.gateway.dicomweb.archive import Archive
from services.gateway.ehr.opening import open_ehrs
from services.gateway.ehr.writeback import WriteBack
from services.gateway.export.worker import ExportWorker
from services.gateway.outbound import open_outbound
from services.gateway.pdf import render_bundle
from services.gateway.peers import GrpcPeers
from services.gateway.service import GatewayService
from services.gateway.settings import Settings
from services.gateway.store import migrations, open_store
from services.gateway.store.audit_before import take_over
from services.gateway.store.refilling import refill
from services.gateway.subscriptions.wiring import attach
from services.gateway.worker import GatewayWorker
from services.kernel import blobs, process
from services.kernel.database import open_engine
from services.kernel.deadletters import DeadLetters

NAME = "dxmesh.gateway.v1.GatewayService"
GC_THRESHOLDS = (10_000, 20, 50)
"""Objects made before the young ones are looked through, and how often the older ones are."""


async def build(mesh: process.Process[Settings]) -> None:
    """Open the store and the peers, then take events and requests."""
    gateway = await open_gateway(mesh)
    mesh.background(attach(gateway).run)
    mesh.background(partial(gateway.store.settling.run, mesh.settings.audit_years))
    worker = GatewayWorker(gateway)
    await worker.start(mesh.settings.concurrency)
    mesh.background(worker.keep_measuring)
    mesh.background(WriteBack(gateway).keep_writing)
    mesh.background(gateway.exports.run)
    if gateway.notifier:
        mesh.background(Escalation(gateway.store, gateway.notifier.policies).run)
    register = rpc_pb.add_GatewayServiceServicer_to_server
    mesh.server.add(register, GatewayService(gateway), NAME, callers=("operator",))
    mesh.background(partial(server.run, server.make(app.make(gateway), mesh.settings)))
    spare_the_heap()


def spare_the_heap() -> None:
    """Leave what was loaded at start out of every later collection of garbage.

    It is hundreds of thousands of objects that stay; looking through them for cycles stops
    every request for a second, and happens the more often the more is stored.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def open_gateway(mesh: process.Process[Settings]) -> Gateway:
    """Return the gateway's parts, which end with the process."""
    settings = mesh.settings
    known = accounts.parse(await asyncio.to_thread(settings.accounts_file.read_text, "utf-8"))
    identity, analysis = blobs.open_identity(settings), blobs.open_analysis(settings)
    vault = identity.vault
    engine = open_engine(settings.database_url)
    mesh.on_stop(engine.dispose)
    await migrations.upgrade(engine)
    store = open_store(engine, vault, settings.session_s, settings.session_idle_s)
    await take_over(store.database)
    store.settling.server = settings.public_url or settings.http_listen
    await refill(store.database, store.resources, store.leases)
    peers = GrpcPeers(settings)
    mesh.on_stop(peers.close)
    archive = Archive(store.dicom, peers, analysis, identity)
    policies = policy.parse(
        settings.critical_escalation_minutes,
        settings.critical_escalations_max,
        settings.critical_tenants,
    )
    mesh.background(archive.keep_indexing)
    return Gateway(
        settings=settings,
        accounts=known,
        store=store,
        committer=StoreCommitter(
            store, peers, analysis, known, vault.hasher, render_bundle, identity, Ahead(store)
        ),
        peers=peers,
        bus=mesh.bus,
        queues=mesh.bus,
        letters=DeadLetters(mesh.bus),
        hasher_for=vault.hasher,
        outbound=open_outbound(settings),
        exports=ExportWorker(store, identity, settings.export_keep_s),
        ehrs=await open_ehrs(settings.ehr_file),
        archive=archive,
        notifier=Notifier(store, peers, analysis, policies),
    )
