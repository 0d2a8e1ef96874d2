"""The real tritonserver of its wheel, where `.venv-triton` exists beside the project.

server = TritonServer(tmp_path, models)      # models: a repository of the project's form
server.start(); server.kill(); server.start()    # same ports
server.url                                       # gRPC, host:port
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from services.cli import triton
from services.cli.supervisor import free_ports

ROOT = Path(__file__).parents[2]
ENVIRONMENT = Path(os.environ.get("DX_TEST_TRITON", ROOT / ".venv-triton"))
RUNNER = ROOT / "deploy" / "triton" / "onnx_model.py"
START_S = 60.0


class TritonServer:
    """One tritonserver process; `start` and `kill` as often as wanted."""

    def __init__(self, folder: Path, models: Path) -> None:
        wheel = triton.find_wheel(ENVIRONMENT)
        assert wheel, "there is no Triton environment"
        self._wheel, self._folder = wheel, folder
        ports = free_ports(3)
        self._ports = dict(zip(("grpc", "http", "metrics"), ports, strict=True))
        self.process: subprocess.Popen[bytes] | None = None
        triton.prepare(wheel, models, folder / "triton", RUNNER)

    @property
    def url(self) -> str:
        """The gRPC address, host:port."""
        return f"127.0.0.1:{self._ports['grpc']}"

    @property
    def served(self) -> Path:
        """The repository as the server reads it."""
        return self._folder / "triton" / "models"

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self._folder / "triton.log"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        from services.cli.mesh import triton_is_ready

        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                triton.command(self._wheel, self._folder / "triton", self._ports),
                env=triton.environment(self._wheel, os.environ),
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_S
        while not triton_is_ready(self._ports["grpc"]):
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < until, self.log.read_text()[-2000:]
            time.sleep(0.1)

    def kill(self) -> None:
        """End it with SIGKILL; its model processes end by themselves."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def is_missing() -> bool:
    """Tell whether this machine lacks Triton's environment."""
    return triton.find_wheel(ENVIRONMENT) is None
