"""Wires the labs service."""

from __future__ import annotations

import gc
from functools import partial

from dxmesh.labs.v1 import labs_service_pb2_grpc as rpc_pb

from services.kernel import blobs, process
from services.labs import registry
from services.labs.history.document import Bounds
from services.labs.service import LabsService
from services.labs.settings import Settings
from services.labs.store import History
from services.labs.worker import LabsWorker, read_limits, read_rules, read_sites

NAME = "dxmesh.labs.v1.LabsService"


async def build(mesh: process.Process[Settings]) -> None:
    """Read the tenants' limits and thresholds, then take parts and answer calls."""
    settings = mesh.settings
    limits = read_limits(settings.critical_limits_dir)
    mesh.server.add(
        rpc_pb.add_LabsServiceServicer_to_server, LabsService(), NAME, callers=("gateway",)
    )
    rules = read_rules(settings.rule_thresholds_dir)
    analysis = blobs.open_analysis(settings)
    sites = read_sites(settings.mappings_dir, settings.ranges_dir)
    registry.warm()
    kept = Bounds(settings.history_per_analyte, settings.history_days)
    history = History(analysis, kept)
    worker = LabsWorker(mesh.bus, analysis, limits, rules, history, sites)
    mesh.background(partial(history.keep_purging, settings.history_sweep_s))
    gc.collect()
    gc.freeze()  # rules and tables stay: looking through them again and again costs each part
    await worker.start(settings.concurrency)


if __name__ == "__main__":
    process.run("labs", Settings, build)
