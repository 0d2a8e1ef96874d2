"""The whole mesh on one machine: what is started, in which order, with which settings."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli import nats_config, triton
from services.cli.state import State, public_keys
from services.cli.supervisor import Child, NotHealthy, Supervisor, answers, free_ports
from services.kernel.subjects import IDENTITY_ZONE, SERVICES

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "deploy" / "triton" / "models"
RUNNER = ROOT / "deploy" / "triton" / "onnx_model.py"
WITH_DATABASE = ("gateway", "ingest", "anonymization", "consent", "reporting")
HEALTH_S = 240.0
"""A slow machine takes minutes to start eight Pythons at once; a hung one shows in its log."""
START_ORDER = (
    "consent",
    "anonymization",
    "ingest",
    "imaging",
    "labs",
    "nlp",
    "reporting",
    "gateway",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to run the mesh."""

    triton_environment: Path = ROOT / ".venv-triton"
    """Virtual environment with Triton's wheel; without it ONNX Runtime runs in process."""

    http_port: int = 0
    """The gateway's port; 0: any free one."""

    dicom_port: int = 11112
    """Port for C-STORE, where `dicom_devices` says who may send."""

    dicom_devices: Path | None = None
    """TOML file of the devices that may send; none: nothing listens."""

    hl7_port: int = 2575
    """Port for HL7 v2 over MLLP, where `hl7_senders` says who may send."""

    hl7_senders: Path | None = None
    """TOML file of the systems that may send results; none: nothing listens."""

    database_urls: dict[str, str] = field(default_factory=dict)
    """Database per service; a service not named here gets its SQLite file."""

    triton_traces_url: str = ""
    """Where Triton sends its spans, OTLP over HTTP in JSON; empty: nowhere."""

    extra: dict[str, str] = field(default_factory=dict)
    """Further `DX_*` variables for every service."""


class Mesh:
    """A running mesh; `start` returns when every health check passes."""

    def __init__(self, state: State, options: Options) -> None:
        self.state = state
        self.options = options
        self.supervisor = Supervisor()
        names = ["nats", "http", "triton-grpc", "triton-http", "triton-metrics", *SERVICES]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        if options.http_port:
            self.ports["http"] = options.http_port
        self.wheel = triton.find_wheel(options.triton_environment)

    @property
    def url(self) -> str:
        """The gateway's address."""
        return f"http://127.0.0.1:{self.ports['http']}"

    def start(self, progress: Callable[[str], None]) -> None:
        """Start everything; `progress` is told each process that became healthy.

        Raises
        ------
        NotHealthy
        """
        if answers(self.ports["http"]):
            # The gateway's server would share the port, and each request go to one at random.
            raise NotHealthy(
                f"port {self.ports['http']} is taken; give another with --port (0: any free one)"
            )
        self._start_and_wait(self._nats(), progress)
        others = [self._service(name) for name in START_ORDER]
        if self.wheel:
            others.insert(0, self._triton(self.wheel))
        for child in others:
            self.supervisor.start(child)
        for child in others:
            self.supervisor.wait(child, HEALTH_S)
            progress(child.name)
        self.state.address_file.write_text(self.url)

    def stop(self) -> None:
        """Stop everything and free the ports."""
        self.supervisor.stop()
        self.state.address_file.unlink(missing_ok=True)

    def _start_and_wait(self, child: Child, progress: Callable[[str], None]) -> None:
        self.supervisor.start(child)
        self.supervisor.wait(child, HEALTH_S)
        progress(child.name)

    def _nats(self) -> Child:
        config = self.state.root / "nats.conf"
        text = nats_config.server_config(
            self.ports["nats"], self.state.root / "nats", public_keys(self.state)
        )
        config.write_text(text)
        port = self.ports["nats"]
        return Child(
            name="nats-server",
            command=[nats_server(), "-c", str(config)],
            environment=os.environ,
            log=self.state.logs / "nats-server.log",
            healthy=lambda: answers(port),
        )

    def _triton(self, wheel: triton.TritonWheel) -> Child:
        target = self.state.root / "triton"
        triton.prepare(wheel, MODELS, target, RUNNER)
        ports = {kind: self.ports[f"triton-{kind}"] for kind in ("grpc", "http", "metrics")}
        return Child(
            name="triton",
            # The Python backend starts its stub through a shell without quotes: a path with
            # a space in it would not be found, so it is given relative ones.
            command=triton.command(wheel, Path(target.name), ports, self.options.triton_traces_url),
            folder=target.parent,
            environment=triton.environment(wheel, os.environ),
            log=self.state.logs / "triton.log",
            healthy=lambda: triton_is_ready(ports["grpc"]),
        )

    def _service(self, name: str) -> Child:
        return Child(
            name=name,
            command=[sys.executable, "-m", f"services.{name}"],
            environment={**os.environ, **self.environment(name)},
            log=self.state.logs / f"{name}.jsonl",
            healthy=lambda: self.service_is_healthy(name),
        )

    def environment(self, name: str) -> dict[str, str]:
        """Return the `DX_*` variables of one service."""
        state = self.state
        values = {
            "DX_NATS_URL": f"nats://127.0.0.1:{self.ports['nats']}",
            "DX_NATS_SEED_FILE": str(state.seed(name)),
            "DX_TLS_DIR": str(state.tls(name)),
            "DX_GRPC_LISTEN": f"127.0.0.1:{self.ports[name]}",
            "DX_BLOBS_ANALYSIS_URL": state.blobs("analysis").as_uri(),
            "DX_MASTER_KEY_ANALYSIS_FILE": str(state.master_key("analysis")),
            "DX_MODEL_REPOSITORY": str(MODELS),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'protos' / 'gen'}",
            "OMP_NUM_THREADS": "1",
        }
        if self.wheel:
            values["DX_TRITON_URL"] = f"127.0.0.1:{self.ports['triton-grpc']}"
            values["DX_TRITON_SHARED_MEMORY"] = "true"
        if name in IDENTITY_ZONE:
            values["DX_BLOBS_IDENTITY_URL"] = state.blobs("identity").as_uri()
            values["DX_MASTER_KEY_IDENTITY_FILE"] = str(state.master_key("identity"))
            for peer in SERVICES:
                values[f"DX_{peer.upper()}_ADDRESS"] = f"127.0.0.1:{self.ports[peer]}"
        if name in WITH_DATABASE:
            default = f"sqlite+aiosqlite:///{state.database(name)}"
            values["DX_DATABASE_URL"] = self.options.database_urls.get(name, default)
        if name == "ingest" and self.options.dicom_devices:
            values["DX_INGEST_DIMSE_PORT"] = str(self.options.dicom_port)
            values["DX_INGEST_DIMSE_DEVICES_FILE"] = str(self.options.dicom_devices.resolve())
        if name == "ingest" and self.options.hl7_senders:
            values["DX_INGEST_MLLP_PORT"] = str(self.options.hl7_port)
            values["DX_INGEST_MLLP_SENDERS_FILE"] = str(self.options.hl7_senders.resolve())
        if name == "gateway":
            values["DX_GATEWAY_HTTP_LISTEN"] = f"127.0.0.1:{self.ports['http']}"
            values["DX_GATEWAY_ACCOUNTS_FILE"] = str(state.root / "accounts.toml")
        return values | self.options.extra

    def service_is_healthy(self, name: str) -> bool:
        """Ask a service's gRPC health."""
        tls = self.state.tls("operator")
        credentials = grpc.ssl_channel_credentials(
            (tls / "ca.crt").read_bytes(),
            (tls / "tls.key").read_bytes(),
            (tls / "tls.crt").read_bytes(),
        )
        address = f"127.0.0.1:{self.ports[name]}"
        with grpc.secure_channel(address, credentials) as channel:
            return _serving(channel)


def nats_server() -> str:
    """Return the nats-server of this environment's wheel, else the one in PATH."""
    own = Path(sys.executable).with_name("nats-server")
    found = str(own) if own.is_file() else shutil.which("nats-server")
    if not found:
        raise NotHealthy("there is no nats-server; install the extra `cli`")
    return found


def triton_is_ready(port: int) -> bool:
    """Ask Triton's gRPC health."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        return _serving(channel)


def _serving(channel: grpc.Channel) -> bool:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=2.0)
    except grpc.RpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
