"""The integrator's page: every command of docs/fhir.md, run as it stands, on the running mesh."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.mesh import ROOT
from tests.flow.reviewing import Physician
from tests.flow.running import Running

PAGE = ROOT / "docs" / "fhir.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WAIT_S = 120


def script(running: Running) -> str:
    """Return the page's commands; only where the mesh keeps its state is another place."""
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    assert len(blocks) == 11, "what comes before, and ten requests"
    text = "set -eo pipefail\n" + "\n".join(blocks)
    text = text.replace("STATE=.dxmesh-demo", f"STATE='{running.state.root}'")
    return text.replace("--state $STATE", '--state "$STATE"').replace(
        "cat $STATE/", 'cat "$STATE"/'
    )


@pytest.mark.requirement("DX-FLOW-15")
def test_the_ten_requests_go_from_a_client_to_the_signed_report(
    running: Running, tmp_path: Path
) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    commands = tmp_path / "commands"  # what an installation has; tests run from the checkout
    commands.mkdir()
    (commands / "python").symlink_to(sys.executable)
    dxmesh = commands / "dxmesh"
    dxmesh.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m services.cli "$@"\n')
    dxmesh.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'protos' / 'gen'}",
    }
    process = subprocess.Popen(
        ["bash", "-c", script(running)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said: list[str] = []
    try:
        for line in process.stdout or ():
            said.append(line.rstrip())
            if line.startswith("sign here:"):
                case_id = line.strip().rpartition("/")[2]
                assert Physician(running).sign(case_id).status_code == 303
        status = process.wait(WAIT_S)
    finally:
        process.kill()
    told = "\n".join(said)
    assert status == 0, told
    assert said[0] == "dxmesh" and said[1].endswith("/smart/token"), told
    assert said[-1].startswith("Practitioner/"), told
    assert "partial" in said and "for reference only" in told.casefold(), told
    report = json.loads((tmp_path / "report.json").read_bytes())
    kinds = {entry["resource"]["resourceType"] for entry in report["entry"]}
    assert kinds == {"DiagnosticReport", "Observation"}
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
