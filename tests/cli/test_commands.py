"""The command line: one JSON object on stdout, exit codes, errors that name the next step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from services.cli.mesh import ROOT

CASE = {
    "case_id": "c-1",
    "status": "completed",
    "step": "committed",
    "reason": "",
    "message": "",
    "priority": "urgent",
    "received": "2026-01-01T00:00:00.000Z",
    "due": None,
    "report": "DiagnosticReport/r-1",
    "report_version": 1,
    "steps": [{"step": "received", "state": "done", "seconds": 0.5, "reason": ""}],
}
LETTER = {
    "sequence": 7,
    "service": "imaging",
    "reason": "UNREADABLE",
    "error": "cannot be read",
    "case_id": "c-1",
    "time": "",
    "subject": "dx.v1.demo.part.imaging.routine",
    "event": {"partId": "imaging-1"},
}
OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [
        {
            "code": "invalid",
            "details": {"coding": [{"code": "NO_PATIENT"}], "text": "a Patient is missing"},
            "diagnostics": "the Bundle cannot be used",
            "expression": ["Bundle.entry"],
        }
    ],
}


class _Gateway(BaseHTTPRequestHandler):
    """Answers what the real gateway answers on these paths."""

    answers: dict[str, tuple[int, Any]] = {}  # noqa: RUF012 - set by each test

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def _answer(self) -> None:
        status, value = self.answers.get(self.path.partition("?")[0], (404, OUTCOME))
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def gateway() -> Iterator[str]:
    _Gateway.answers = {
        "/ops/cases": (200, {"cases": [CASE]}),
        "/ops/cases/c-1": (200, CASE),
        "/ops/dead": (200, {"dead": [LETTER]}),
        "/ops/dead/7": (200, LETTER),
        "/ops/dead/7/retry": (200, LETTER),
        "/ops/status": (
            200,
            {
                "healthy": False,
                "services": {"imaging": "UNREACHABLE"},
                "queues": {"imaging.part.imaging": 3},
                "oldest_open_case_s": 12.0,
            },
        ),
        "/fhir": (422, OUTCOME),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def run(*args: str, token: str = "t") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(ROOT), str(ROOT / "protos" / "gen")))
    env = {**os.environ, "PYTHONPATH": path, "DX_TOKEN": token}
    command = [sys.executable, "-m", "services.cli", *args]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.requirement("DX-CLI-05")
@pytest.mark.parametrize(
    ("args", "code", "key"),
    [
        (["status"], 1, "services"),
        (["case", "list"], 0, "cases"),
        (["case", "show", "c-1"], 0, "steps"),
        (["case", "watch", "c-1"], 0, "steps"),
        (["dead", "list"], 1, "dead"),
        (["dead", "show", "7"], 0, "event"),
        (["dead", "retry", "7"], 0, "subject"),
    ],
)
def test_json_is_one_object_on_stdout_and_nothing_else(
    gateway: str, args: list[str], code: int, key: str
) -> None:
    done = run(*args, "--url", gateway, "--json")
    assert done.returncode == code, done.stderr
    assert key in json.loads(done.stdout)
    assert done.stderr == ""
    plain = run(*args, "--url", gateway)
    assert plain.returncode == code and plain.stdout and not plain.stdout.startswith("{")


@pytest.mark.requirement("DX-CLI-05")
@pytest.mark.parametrize("columns", ["80", "40"])
def test_an_id_is_never_cut_off(
    gateway: str, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    case_id = "2c448da8-dc3f-5cd5-b5ef-9086a01ab05e"
    _Gateway.answers["/ops/cases"] = (200, {"cases": [CASE | {"case_id": case_id}]})
    _Gateway.answers["/ops/dead"] = (200, {"dead": [LETTER | {"case_id": case_id}]})
    heading, row = run("case", "list", "--url", gateway).stdout.splitlines()
    assert row.split() == [case_id, "committed", "urgent", "2026-01-01", "00:00"]
    assert heading.startswith("case id") and len(row) <= 80
    heading, row = run("dead", "list", "--url", gateway).stdout.splitlines()
    assert row.split() == ["7", "imaging", "UNREADABLE", case_id]


@pytest.mark.requirement("DX-CLI-05")
def test_a_report_in_a_pipe_keeps_its_lines(gateway: str) -> None:
    line = "Nodule 1: left lung, " + "of some size, " * 20 + "slice 91."
    found = {"resourceType": "DiagnosticReport", "code": {}, "status": "partial"}
    task = {"output": [{"valueReference": {"reference": "DiagnosticReport/r-1"}}]}
    _Gateway.answers["/fhir/Task/c-1"] = (200, task)
    _Gateway.answers["/fhir/DiagnosticReport/r-1"] = (200, found | {"conclusion": line})
    assert line in run("report", "c-1", "--url", gateway).stdout.splitlines()


@pytest.mark.requirement("DX-CLI-05")
def test_a_refusal_says_reason_and_place_on_stderr(gateway: str) -> None:
    done = run("submit", str(ROOT / "samples" / "patient.json"), "--url", gateway)
    assert done.returncode == 2 and done.stdout == ""
    assert "NO_PATIENT" in done.stderr and "Bundle.entry" in done.stderr


@pytest.mark.requirement("DX-CLI-05")
def test_no_mesh_is_said_with_what_to_do_next(tmp_path: Any) -> None:
    done = run("status", "--state", str(tmp_path), token="")
    assert done.returncode == 3 and "dxmesh up" in done.stderr
    away = run("status", "--url", "http://127.0.0.1:1")
    assert away.returncode == 3 and "does not answer" in away.stderr


@pytest.mark.requirement("DX-CLI-05")
def test_a_status_that_no_case_has_is_refused() -> None:
    done = run("case", "list", "--status", "done", "--url", "http://127.0.0.1:1")
    assert done.returncode == 2 and "in-progress" in done.stderr


@pytest.mark.requirement("DX-CLI-05")
@pytest.mark.parametrize("args", [["--language", "fr"], ["--priority", "now"]])
def test_an_option_that_is_not_known_is_refused_before_anything_is_sent(args: list[str]) -> None:
    done = run(
        "submit", str(ROOT / "samples" / "patient.json"), *args, "--url", "http://127.0.0.1:1"
    )
    assert done.returncode == 2 and args[1] in done.stderr
