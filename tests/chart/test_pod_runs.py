"""A pod of the chart, run as a process: its environment, its files, its probe, its end.

Only places are those of this machine: folders for mounts, loopback for addresses.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.mesh import ROOT
from services.cli.supervisor import free_ports
from services.kernel.bus import Bus
from tests.chart.cluster import NatsCluster
from tests.chart.render import Document, case, workloads
from tests.servers.nats import binary_is_missing

pytestmark = [
    pytest.mark.flow,
    pytest.mark.skipif(binary_is_missing(), reason="this environment has no nats-server"),
]

START_S = 60.0


@pytest.fixture
def nats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsCluster]:
    """The NATS of `deploy/k8s`, with the streams that the gateway makes when it starts."""
    made = NatsCluster(tmp_path / "cluster")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.ca))
    made.start(0, 1, 2)
    asyncio.run(make_streams(made))
    yield made
    made.stop()


async def make_streams(nats: NatsCluster) -> None:
    bus = await asyncio.wait_for(Bus.connect("gateway", nats.settings("gateway")), timeout=30)
    await bus.drain()


def mount(root: Path, nats: NatsCluster) -> None:
    """Lay what the pod's volumes hold under `root`, in place of /."""
    shutil.copytree(nats.folder / "tls" / "labs", root / "etc/dxmesh/tls")
    (root / "etc/dxmesh/nats").mkdir(parents=True)
    shutil.copy(nats.secrets / "labs.seed", root / "etc/dxmesh/nats/seed")
    (root / "etc/dxmesh/keys/analysis").mkdir(parents=True)
    (root / "etc/dxmesh/keys/analysis/master.key").write_text(base64.b64encode(bytes(32)).decode())


def environment(container: Document, root: Path, port: int, nats: NatsCluster) -> dict[str, str]:
    """Return the variables of the pod, its places moved to this machine."""
    given = {entry["name"]: entry.get("value", "from-a-secret") for entry in container["env"]}
    given = {k: f"{root}{v}" if v.startswith("/etc/dxmesh/") else v for k, v in given.items()}
    given["DX_GRPC_LISTEN"] = f"127.0.0.1:{port}"
    given["DX_NATS_URL"] = ",".join(f"tls://localhost:{each}" for each in nats.clients)
    code = os.pathsep.join((str(ROOT), str(ROOT / "protos" / "gen")))  # as the image has it
    return {"PATH": os.environ["PATH"], "PYTHONPATH": code} | given


@pytest.mark.requirement("DX-OPS-05")
def test_a_pod_becomes_healthy_and_drains(nats: NatsCluster, tmp_path: Path) -> None:
    (container,) = workloads(case("default"))["dxmesh-labs"]["spec"]["containers"]
    mount(tmp_path / "pod", nats)
    env = environment(container, tmp_path / "pod", free_ports(1)[0], nats)
    start = [sys.executable, "-m", *container["args"]]
    probe = [sys.executable, *container["readinessProbe"]["exec"]["command"][1:]]

    with (tmp_path / "log").open("w+b") as log, subprocess.Popen(start, env=env, stderr=log) as pod:
        try:
            until = time.monotonic() + START_S
            while subprocess.run(probe, env=env, check=False, capture_output=True).returncode:
                assert pod.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < until, (tmp_path / "log").read_text()
            pod.send_signal(signal.SIGTERM)
            assert pod.wait(timeout=30) == 0
        finally:
            pod.kill()
    assert "draining" in (tmp_path / "log").read_text()
