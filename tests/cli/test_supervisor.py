"""Children are kept running, and none is left behind, however this process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.cli.mesh import ROOT
from services.cli.supervisor import Child, NotHealthy, Supervisor

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
WAIT_S = 20.0


def child(tmp_path: Path, name: str = "sleeper", command: list[str] | None = None) -> Child:
    return Child(name, command or SLEEPER, os.environ, tmp_path / f"{name}.log", lambda: True)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor()
    yield made
    made.stop()


def until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def pid(of: Child) -> int:
    assert of.process is not None
    return of.process.pid


def is_gone(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state == "Z"


@pytest.mark.requirement("DX-CLI-03")
def test_a_killed_child_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    one = child(tmp_path)
    supervisor.start(one)
    first = pid(one)
    supervisor.kill("sleeper")
    until(lambda: one.restarts == 1 and pid(one) != first)


@pytest.mark.requirement("DX-CLI-03")
def test_a_paused_child_stays_down_until_it_is_resumed(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    one = child(tmp_path)
    supervisor.start(one)
    supervisor.pause("sleeper")
    first = pid(one)
    time.sleep(1.0)
    assert is_gone(first) and pid(one) == first
    supervisor.resume("sleeper")
    assert pid(one) != first and not is_gone(pid(one))


@pytest.mark.requirement("DX-CLI-03")
def test_a_child_that_never_gets_healthy_is_named_with_its_log(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    sick = child(tmp_path, "sick")
    sick.healthy = lambda: False
    supervisor.start(sick)
    with pytest.raises(NotHealthy, match=r"sick.*sick\.log"):
        supervisor.wait(sick, 0.3)


@pytest.mark.requirement("DX-CLI-03")
def test_stop_leaves_no_child_and_kills_one_that_will_not_go(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('up', flush=True); time.sleep(600)"
    )
    supervisor = Supervisor()
    deaf = child(tmp_path, "deaf", [sys.executable, "-c", stubborn])
    deaf.stop_s = 1.0
    supervisor.start(deaf)
    until(lambda: deaf.log.is_file() and "up" in deaf.log.read_text())
    supervisor.stop()
    assert is_gone(pid(deaf))


@pytest.mark.requirement("DX-CLI-03")
def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = f"""
import os, sys, time
from pathlib import Path
from services.cli.supervisor import Child, Supervisor
s = Supervisor()
c = Child("sleeper", {SLEEPER!r}, os.environ, Path({str(tmp_path)!r}) / "log", lambda: True)
s.start(c)
print(c.process.pid, flush=True)
time.sleep(600)
"""
    path = os.pathsep.join((str(ROOT), str(ROOT / "protos" / "gen")))
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert parent.stdout is not None
    number = int(parent.stdout.readline())
    assert not is_gone(number)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: is_gone(number))
