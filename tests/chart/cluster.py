"""Three real nats-servers that read `deploy/k8s/nats/nats.conf`, on loopback with TLS."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from services.cli.certificates import write_certificates
from services.cli.cluster import write_cluster_secrets
from services.cli.supervisor import answers, free_ports
from services.kernel.settings import MeshSettings
from tests.servers.nats import BINARY

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "deploy" / "k8s" / "nats" / "nats.conf"
START_S = 40.0
SIZE = 3


class NatsCluster:
    """The cluster of `deploy/k8s`; only addresses and folders are those of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets = folder / "secrets"
        self.clients, self.monitors, self.routes = (free_ports(SIZE) for _ in range(3))
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        write_certificates(folder / "tls", ["nats", "labs"])
        write_cluster_secrets(self.secrets)
        for number in range(SIZE):
            own = folder / f"nats-{number}"
            (own / "auth").mkdir(parents=True)
            (own / "nats.conf").write_text(self._config(number))
        self.install(self.secrets)

    @property
    def ca(self) -> Path:
        """The certificate authority of the servers."""
        return self.folder / "tls" / "nats" / "ca.crt"

    def install(self, secrets: Path) -> None:
        """Lay an `auth.conf` where the servers read it at their next start."""
        for number in range(SIZE):
            shutil.copy(secrets / "auth.conf", self.folder / f"nats-{number}" / "auth")

    def start(self, *numbers: int, wait_s: float = START_S) -> None:
        """Start servers and wait until each says that its JetStream is current."""
        for number in numbers:
            own = self.folder / f"nats-{number}"
            with (own / "log").open("ab") as log:
                self._processes[number] = subprocess.Popen(
                    [str(BINARY), "-c", str(own / "nats.conf")],
                    env={"POD_NAME": f"nats-{number}"},
                    stdout=log,
                    stderr=log,
                )
        until = time.monotonic() + wait_s
        for number in numbers:
            while not self.healthy(number, "/healthz"):
                log_text = (self.folder / f"nats-{number}" / "log").read_text()
                assert time.monotonic() < until, log_text
                time.sleep(0.1)

    def kill(self, number: int) -> None:
        """End one server with SIGKILL."""
        process = self._processes.pop(number)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End every server."""
        for number in list(self._processes):
            self.kill(number)

    def healthy(self, number: int, path: str) -> bool:
        """Ask a server's monitoring port, as a probe does."""
        port = self.monitors[number]
        if not answers(port):
            return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def routes_of(self, number: int) -> set[str]:
        """Return the names of the servers that one is joined to."""
        url = f"http://127.0.0.1:{self.monitors[number]}/routez"
        with urllib.request.urlopen(url, timeout=2) as answer:
            return {route["remote_name"] for route in json.load(answer)["routes"]}

    def settings(self, service: str, secrets: Path | None = None, **changes: Any) -> MeshSettings:
        """Return settings that reach the cluster as a service."""
        urls = ",".join(f"tls://localhost:{port}" for port in self.clients)
        seed = (secrets or self.secrets) / f"{service}.seed"
        values: dict[str, Any] = {"nats_url": urls, "nats_seed_file": seed, "nats_replicas": SIZE}
        return MeshSettings(**values | {"drain_s": 2.0} | changes)

    def _config(self, number: int) -> str:
        own = self.folder / f"nats-{number}"
        text = CONFIG.read_text()
        for pod, port in (
            ("0.0.0.0:4222", self.clients[number]),
            ("0.0.0.0:8222", self.monitors[number]),
            ("0.0.0.0:6222", self.routes[number]),
        ):
            assert pod in text
            text = text.replace(pod, f"127.0.0.1:{port}")
        for path, here in (
            ("/etc/nats/tls", self.folder / "tls" / "nats"),
            ("/data", own / "data"),
            ("/run/nats/nats.pid", own / "nats.pid"),
        ):
            assert path in text
            text = text.replace(path, str(here))
        return re.sub(
            r"nats-(\d)\.nats-headless:6222",
            lambda match: f"localhost:{self.routes[int(match[1])]}",
            text,
        )
