"""Laboratory results: a panel of 40, in process and through gRPC, everything on.

A panel as a hospital sends it (blood count, salts, kidney, liver, lipids, proteins; a third of the
values outside their range) is read from its JSON and interpreted: units, ranges, flags, critical
limits, scores and rules. In process it is processor time, since the machine may be busy; through
gRPC it is what a client in this process waits for a server in a process of its own, one call after
the other. A second panel comes without codes: names in Chinese, units as laboratories print them.

Run: `python -m benchmarks labs`
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from dxmesh.labs.v1 import labs_service_pb2 as pb
from dxmesh.labs.v1 import labs_service_pb2_grpc as rpc_pb

from benchmarks.rounds import Verdict, interleaved, spread
from services.kernel.rpc import Server, call, connect
from services.kernel.settings import MeshSettings
from services.labs import panel, registry
from services.labs.analytes import CODES_OF, factor
from services.labs.findings import findings
from services.labs.ranges import BUILT_IN
from services.labs.rules import engine
from services.labs.service import LabsService

PACKAGES = ("protobuf", "grpcio", "orjson", "pint")
ROUNDS, CALLS = 9, 200
AIM_MS, AIM_GRPC_P99_MS = 2.0, 5.0
ALONE = "interpreted alone, the JSON read before"
CODED, NAMED = "read, interpreted and written, by LOINC", "the same, by name"
GRPC = "through gRPC, p99"
NAME = "dxmesh.labs.v1.LabsService"
PLAIN = MeshSettings(nats_url="", grpc_listen="127.0.0.1:0")
ANALYTES = (
    *("wbc", "rbc", "hgb", "hct", "mcv", "mch", "mchc", "plt", "neut", "lymph", "mono", "eos"),
    *("baso", "na", "k", "cl", "co2", "urea", "creatinine", "urate", "glucose", "hba1c", "ca"),
    *("phosphate", "mg", "total-protein", "albumin", "alt", "ast", "alp", "ggt", "bilirubin"),
    *("bilirubin-direct", "ldh", "ck", "cholesterol", "triglycerides", "hdl", "ldl", "crp"),
)


@dataclass(frozen=True)
class Found:
    """Milliseconds of each side by round: medians in process, the 99th percentile through gRPC."""

    ms: dict[str, list[float]]


def document(*, coded: bool) -> bytes:
    """Return the panel of a man of 62, by LOINC codes or by names alone."""
    observations = []
    for number, name in enumerate(ANALYTES):
        code = CODES_OF[name][0]
        low, high = next(
            ((row.range.low, row.range.high) for row in BUILT_IN.get(name, ())), (None, None)
        )
        middle = high or low or 5
        value = float(middle) * (1.3 if number % 3 == 0 else 0.97) / float(factor(code.unit, code))
        concept: dict[str, Any] = {"text": code.analyte.name_zh}
        if coded:
            concept = {"coding": [{"system": "http://loinc.org", "code": code.loinc}]}
        observations.append(
            {
                "resourceType": "Observation",
                "id": f"o{number}",
                "status": "final",
                "effectiveDateTime": "2026-03-01T08:00:00+08:00",
                "code": concept,
                "specimen": {"display": "血清"},
                "valueQuantity": {"value": round(value, 3), "unit": code.unit.ucum},
            }
        )
    subject = {"sex": "male", "age_years": 62}
    return json.dumps({"subject": subject, "observations": observations}).encode()


def main() -> Found:
    """Measure; takes about a minute."""
    return asyncio.run(measure())


async def measure(rounds: int = ROUNDS, calls: int = CALLS) -> Found:
    """Return the figures; the server is started and stopped here."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.labs", "serve", stdout=PIPE, env=_environment()
    )
    assert server.stdout is not None
    try:
        port = int(await server.stdout.readline())
        gc.collect()
        gc.freeze()
        async with connect(f"127.0.0.1:{port}", PLAIN) as channel:
            method = rpc_pb.LabsServiceStub(channel).InterpretPanel

            async def grpc() -> float:
                request = pb.InterpretPanelRequest(panel_json=document(coded=True))
                taken = []
                for _ in range(calls):
                    start = time.perf_counter()
                    await call(method, request, timeout_s=10.0)
                    taken.append((time.perf_counter() - start) * 1e3)
                return sorted(taken)[int(len(taken) * 0.99) - 1]

            sides = {
                ALONE: _here(calls, coded=True, alone=True),
                CODED: _here(calls, coded=True),
                NAMED: _here(calls, coded=False),
                GRPC: grpc,
            }
            return Found(await interleaved(sides, rounds))
    finally:
        gc.unfreeze()
        server.terminate()
        await server.wait()


def _here(calls: int, *, coded: bool, alone: bool = False) -> Any:
    content = document(coded=coded)
    part = panel.read(content)

    async def run() -> float:
        taken = []
        for _ in range(calls):
            start = time.process_time()
            if alone:
                findings(part)
            else:
                findings(panel.read(content)).SerializeToString()
            taken.append((time.process_time() - start) * 1e3)
        return statistics.median(taken)

    return run


async def serve() -> None:
    """Answer calls until the process is ended; the port is the first line of output.

    As the service does: on uvloop, its tables read and set aside before the first call.
    """
    engine.default()
    registry.warm().join()
    server = Server("labs", PLAIN)
    server.add(rpc_pb.add_LabsServiceServicer_to_server, LabsService(), NAME, callers=("gateway",))
    await server.start()
    gc.collect()
    gc.freeze()
    print(server.port, flush=True)
    await asyncio.Event().wait()


def _environment() -> dict[str, str]:
    root = Path(__file__).parents[1]
    paths = (str(root), str(root / "protos" / "gen"), os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def rows(found: Found) -> list[str]:
    """Return the figures as a Markdown table."""
    lines = ["| a panel of 40 results | ms |", "|---|---|"]
    lines += [f"| {name} | {spread(values)} |" for name, values in found.ms.items()]
    second = Verdict.at_most("p99 through gRPC, ms", AIM_GRPC_P99_MS, spread(found.ms[GRPC]))
    return [*lines, "", f"Second a{str(second)[1:]}"]


def verdict(found: Found) -> Verdict:
    """Return whether a panel takes no more than the aim in process."""
    return Verdict.at_most("a panel of 40 in process, ms", AIM_MS, spread(found.ms[ALONE]))


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        uvloop.run(serve())
    else:
        print("\n".join([*rows(got := main()), "", str(verdict(got))]))
