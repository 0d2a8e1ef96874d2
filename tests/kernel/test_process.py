"""A service process from start to drain, with a real nats-server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.kernel.subjects import PART_LABS
from tests.kernel.messages import Connect, part
from tests.servers.nats import NatsServer

pytestmark = pytest.mark.flow

SERVICE = """
import asyncio, logging, sys
from pathlib import Path
from services.kernel import process, subjects
from services.kernel.settings import MeshSettings

folder = Path(sys.argv[1])
log = logging.getLogger("services.labs")

async def handle(event):
    (folder / "taken").touch()
    await asyncio.sleep(1.0)
    (folder / "done").touch()

async def fails():
    with (folder / "tries").open("a") as tries:
        tries.write("x")
    raise ValueError("Zhang San")

async def last():
    (folder / "closed").touch()

async def refuses():
    raise KeyError("Zhang San")

async def build(mesh):
    if "broken" in sys.argv:
        raise ValueError("Zhang San")
    mesh.on_stop(last)
    mesh.on_stop(refuses)
    mesh.background(fails)
    await mesh.bus.consume(subjects.PART_LABS, handle)

process.RESTART_S = 0.1
process.run("labs", MeshSettings, build)
"""


def start(folder: Path, server: NatsServer, *words: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(folder), *words],
        env={**os.environ, "DX_NATS_URL": server.url, "DX_GRPC_LISTEN": "127.0.0.1:0", **env},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < end, f"no {path.name}"
        time.sleep(0.02)


@pytest.mark.requirement("DX-RPC-07")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_drains_and_ends_with_0(
    connect: Connect, nats_server: NatsServer, tmp_path: Path, number: signal.Signals
) -> None:
    sender = await connect("anonymization")
    process = start(tmp_path, nats_server)
    await sender.publish(PART_LABS, part(1), message_id="one")
    await sender.publish(PART_LABS, part(2), message_id="two")
    wait_for(tmp_path / "taken", process)
    process.send_signal(number)
    log = process.communicate(timeout=30)[1]
    assert process.returncode == 0, log
    assert (tmp_path / "done").exists(), "work in hand was finished"
    assert (tmp_path / "closed").exists(), "a closer that fails does not stop the others"
    assert await sender.waiting(PART_LABS, "labs") == 1
    assert len((tmp_path / "tries").read_text()) > 1, "background work begins again"
    assert "Zhang" not in log
    messages = [json.loads(line)["message"] for line in log.splitlines()]
    assert "ready" in messages
    assert messages.index("ready") < messages.index("draining")


@pytest.mark.requirement("DX-ARC-08")
async def test_error_while_it_starts_ends_it_with_1_and_no_text(
    connect: Connect, nats_server: NatsServer, tmp_path: Path
) -> None:
    await connect("anonymization")
    process = start(tmp_path, nats_server, "broken")
    log = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "Zhang" not in log
    assert "ValueError" in json.loads(log.splitlines()[-1])["message"]


@pytest.mark.requirement("DX-ARC-07")
def test_wrong_settings_are_named_on_one_line(nats_server: NatsServer, tmp_path: Path) -> None:
    process = start(tmp_path, nats_server, DX_DRAIN_S="soon")
    log = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert log.startswith("settings of labs: ")
    assert log.count("\n") == 1


@pytest.mark.requirement("DX-KEY-04")
async def test_what_a_service_writes_is_for_its_own_user_alone(
    connect: Connect, nats_server: NatsServer, tmp_path: Path
) -> None:
    sender = await connect("anonymization")
    process = start(tmp_path, nats_server)
    await sender.publish(PART_LABS, part(1), message_id="one")
    wait_for(tmp_path / "taken", process)
    process.kill()
    process.communicate()
    assert (tmp_path / "taken").stat().st_mode & 0o077 == 0
