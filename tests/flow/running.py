"""A whole mesh that runs for the flow tests, and what a test does with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.cli import accounts, report_view, send
from services.cli.client import Access, Client
from services.cli.mesh import ROOT, Mesh
from services.cli.state import State
from tests.flow.databases import Databases
from tests.flow.otlp import Receiver

SAMPLES = ROOT / "samples"
REPORT_S = 240.0
POLL_S = 0.2


@dataclass
class Running:
    """A mesh with its state folder, its databases and the receiver of its telemetry."""

    mesh: Mesh
    state: State
    databases: Databases
    telemetry: Receiver
    ehr: Client = field(init=False)
    operator: Client = field(init=False)

    def __post_init__(self) -> None:
        known = accounts.read(self.state.root)
        self.ehr = Client(Access(self.mesh.url, known.ehr_token))
        self.operator = Client(Access(self.mesh.url, known.operator_token))

    def submit(self, *paths: Path, language: str = "en", priority: str = "") -> str:
        """Submit what lies under the paths; return the case id."""
        task, _ = send.send(self.ehr, list(paths), send.Options(language, priority))
        return str(task["id"])

    def case(self, case_id: str) -> dict[str, Any]:
        """Return a case as the operator sees it."""
        found: dict[str, Any] = self.operator.get(f"/ops/cases/{case_id}")
        return found

    def wait_for(
        self,
        case_id: str,
        done: Callable[[dict[str, Any]], bool] = lambda case: bool(case["report"]),
        timeout_s: float = REPORT_S,
    ) -> dict[str, Any]:
        """Return the case once `done` holds; by default, once it has a report."""
        until = time.monotonic() + timeout_s
        while True:
            case = self.case(case_id)
            if done(case):
                return case
            assert time.monotonic() < until, f"after {timeout_s:.0f} s: {case}"
            time.sleep(POLL_S)

    def report(self, case_id: str) -> dict[str, Any]:
        """Return the report of a case."""
        task = self.ehr.get(f"/fhir/Task/{case_id}")
        found: dict[str, Any] = self.ehr.get(f"/fhir/{report_view.report_of(task)}")
        return found

    def observations(self, report: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the Observations a report lists, in order."""
        return [self.ehr.get(f"/fhir/{each['reference']}") for each in report["result"]]
