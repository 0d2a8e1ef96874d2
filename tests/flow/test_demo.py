"""The demo from the command line: it runs, ends, leaves nothing behind, and runs again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from services.cli.mesh import ROOT

LIMIT_S = 400


def start(state: Path, *args: str) -> subprocess.Popen[str]:
    path = os.pathsep.join((str(ROOT), str(ROOT / "protos" / "gen")))
    env = {k: v for k, v in os.environ.items() if not k.startswith("DX_")}
    return subprocess.Popen(
        [sys.executable, "-m", "services.cli", "demo", "--state", str(state), *args],
        env=env | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def left_behind(state: Path) -> list[str]:
    """Return the command lines of processes that still use the state folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            said = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if str(state).encode() in said:
            found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@pytest.mark.requirement("DX-FLOW-07")
@pytest.mark.timeout(2 * LIMIT_S)
def test_the_demo_ends_with_the_report_and_runs_again_until_it_is_interrupted(
    tmp_path: Path,
) -> None:
    state = tmp_path / "a demo"
    first = start(state, "--exit")
    said, _ = first.communicate(timeout=LIMIT_S)
    assert first.returncode == 0, said
    for words in ("仅供参考", "结节1", "钾 6.8", "主诉", "committed", "review page", "sign-in"):
        assert words in said, words
    assert (state / "report.pdf").read_bytes().startswith(b"%PDF")
    bundle = json.loads((state / "report.json").read_text())
    assert bundle["entry"][0]["resource"]["resourceType"] == "DiagnosticReport"
    assert left_behind(state) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(_url(said))

    second = start(state, "--language", "en")
    said = _until(second, "Ctrl-C stops the mesh.")
    assert "For reference only" in said
    assert httpx.get(_url(said), follow_redirects=False).status_code in (303, 401)
    assert httpx.get(f"{_url(said)}/fhir/DiagnosticReport").status_code == 401
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=120)
    assert second.returncode == 0
    assert left_behind(state) == []


def _url(said: str) -> str:
    found = re.search(r"review page +(http://127\.0\.0\.1:\d+)", said)
    assert found
    return found[1]


def _until(process: subprocess.Popen[str], words: str) -> str:
    """Return what was said up to the line with these words."""
    assert process.stdout is not None
    said, give_up = "", time.monotonic() + LIMIT_S
    for line in process.stdout:
        said += line
        if words in line:
            return said
        assert time.monotonic() < give_up, said
    raise AssertionError(said)
