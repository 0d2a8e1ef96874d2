"""`dxmesh demo`: the sample patient through a fresh mesh, and the report it comes back with."""

from __future__ import annotations

import threading
from pathlib import Path

from rich.rule import Rule
from rich.text import Text

from services.cli import accounts, progress_view, report_view, send
from services.cli.answers import DONE, REFUSED, CliError, out
from services.cli.client import Access, Client
from services.cli.local import alone, running, say
from services.cli.mesh import ROOT, Mesh, Options
from services.cli.state import State, open_state

SAMPLES = ROOT / "samples"
PARTS = ("patient.json", "consent.json", "service_request.json", "labs", "ct")


def run(folder: Path, port: int, language: str, leave: bool, timeout_s: float) -> int:
    """Run the demo; return its exit code, that of the report."""
    alone(folder)
    state = open_state(folder, fresh=True)
    try:
        with running(state, Options(http_port=port)) as mesh:
            case_id = _send(mesh, state, language, timeout_s)
            _print(mesh, state, folder, case_id)
            if not leave:
                out.print(Text("Ctrl-C stops the mesh."))
                threading.Event().wait()
    except KeyboardInterrupt:
        return DONE
    return DONE


def _ehr(mesh: Mesh, state: State) -> Client:
    return Client(Access(mesh.url, accounts.read(state.root).ehr_token))


def _send(mesh: Mesh, state: State, language: str, timeout_s: float) -> str:
    client = _ehr(mesh, state)
    paths = [SAMPLES / name for name in PARTS] + [SAMPLES / "notes" / f"admission_{language}.txt"]
    task, _ = send.send(client, paths, send.Options(language=language))
    say(f"case {task['id']}")
    done = send.follow(client, task["id"], timeout_s, say)
    if not report_view.report_of(done):
        raise CliError(f"the case ended {done['status']} without a report", REFUSED)
    return str(task["id"])


def _print(mesh: Mesh, state: State, folder: Path, case_id: str) -> None:
    client, known = _ehr(mesh, state), accounts.read(state.root)
    report = folder / "report.json", folder / "report.pdf"
    out.print(Rule())
    send.report(client, case_id, *report, as_json=False)
    out.print(Rule())
    operator = Client(Access(mesh.url, known.operator_token))
    out.print(progress_view.table(operator.get(f"/ops/cases/{case_id}")["steps"]))
    out.print(Rule())
    out.print(Text(f"report, FHIR  {report[0]}"))
    out.print(Text(f"report, PDF   {report[1]}"))
    out.print(Text(f"review page   {mesh.url}/cases/{case_id}"))
    out.print(Text(f"sign-in       {known.physician} / {known.physician_password}"))
