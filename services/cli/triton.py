"""Running Triton from its Python wheel, where that wheel exists (Linux x86-64).

The wheel carries the real server with the Python backend alone, so each model is given a
`model.py` that runs its ONNX file with ONNX Runtime. The repository in `deploy/triton`
stays as the production container reads it; what is written here is a copy of it.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_BACKEND = re.compile(r'^(backend|platform)\s*:\s*".*"\s*$', re.MULTILINE)
_INSTANCES = re.compile(r"^instance_group\s*\[.*?\]\s*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class TritonWheel:
    """Where the wheel's parts lie inside its own environment."""

    python: Path
    packages: Path
    version: str

    @property
    def server(self) -> Path:
        """The server binary."""
        return self.packages / "pytriton/tritonserver/bin/tritonserver"

    @property
    def stub(self) -> Path:
        """The process that runs a `model.py`."""
        stubs = self.packages / "pytriton/tritonserver/python_backend_stubs"
        return stubs / self.version / "triton_python_backend_stub"


def find_wheel(environment: Path) -> TritonWheel | None:
    """Return the wheel in a virtual environment, or None where there is none that can run.

    The Python backend's stub is built for one Python version and links against its shared
    library, which some Pythons come without.
    """
    for packages in sorted(environment.glob("lib/python3.*/site-packages")):
        wheel = TritonWheel(
            environment / "bin" / "python", packages, packages.parent.name.removeprefix("python")
        )
        if wheel.server.is_file() and wheel.stub.is_file() and _libpython_folder(wheel.version):
            return wheel
    return None


def prepare(wheel: TritonWheel, models: Path, target: Path, runner: Path) -> None:
    """Write a backend folder and a model repository that this wheel can serve.

    `models` is the project's repository; `runner` the `model.py` each model is given.
    """
    tritonserver = wheel.packages / "pytriton/tritonserver"
    shutil.rmtree(target, ignore_errors=True)
    backend = target / "backends" / "python"
    shutil.copytree(tritonserver / "backends" / "python", backend)
    shutil.copy2(wheel.stub, backend / wheel.stub.name)
    for model in sorted(path for path in models.iterdir() if (path / "config.pbtxt").is_file()):
        _write_model(model, target / "models" / model.name, runner)


def command(
    wheel: TritonWheel, target: Path, ports: Mapping[str, int], traces_url: str = ""
) -> list[str]:
    """Return the server's command line.

    `ports` are grpc, http and metrics; `traces_url` is where spans go, as OTLP in JSON.
    """
    return [
        str(wheel.server),
        f"--model-repository={target / 'models'}",
        f"--backend-directory={target / 'backends'}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={ports['grpc']}",
        "--http-address=127.0.0.1",
        f"--http-port={ports['http']}",
        f"--metrics-port={ports['metrics']}",
        "--metrics-address=127.0.0.1",
        # One model that cannot be loaded must not silence the others; imaging declines its part.
        "--exit-on-error=false",
        "--strict-readiness=false",
        # Every model is loaded at the start, and each can be loaded anew or let go by name.
        "--model-control-mode=explicit",
        "--load-model=*",
        "--disable-auto-complete-config",
        "--exit-timeout-secs=5",
        *(_tracing(traces_url) if traces_url else ()),
    ]


def _tracing(url: str) -> list[str]:
    """Return options by which every request that carries a trace is a span of it."""
    settings = (
        *("mode=opentelemetry", "level=TIMESTAMPS", "rate=1", "count=-1"),
        *(f"opentelemetry,url={url}", "opentelemetry,resource=service.name=triton"),
        "opentelemetry,bsp_schedule_delay=1000",
    )
    return [f"--trace-config={each}" for each in settings]


def environment(wheel: TritonWheel, base: Mapping[str, str]) -> dict[str, str]:
    """Return the variables the server needs: its libraries, and its Python first in PATH."""
    libraries = [wheel.packages / "nvidia_pytriton.libs", _libpython_folder(wheel.version)]
    return {
        **base,
        "LD_LIBRARY_PATH": ":".join(str(folder) for folder in libraries if folder),
        "PATH": f"{wheel.python.parent}:{base.get('PATH', '')}",
        "VIRTUAL_ENV": str(wheel.python.parent.parent),
        "OMP_NUM_THREADS": "1",
    }


def _libpython_folder(version: str) -> Path | None:
    """Return where the shared library of a Python version ("3.11") lies."""
    name = f"libpython{version}.so.1.0"
    folders = [Path(sys.base_prefix) / "lib", *sorted(Path("/usr/lib").glob("*-linux-gnu"))]
    return next((folder for folder in folders if (folder / name).is_file()), None)


def _write_model(source: Path, target: Path, runner: Path) -> None:
    target.mkdir(parents=True)
    config = _BACKEND.sub('backend: "python"', (source / "config.pbtxt").read_text())
    config = _INSTANCES.sub("", config) + "\ninstance_group [ { count: 1 kind: KIND_CPU } ]\n"
    (target / "config.pbtxt").write_text(config)
    for version in (path for path in source.iterdir() if path.name.isdigit()):
        shutil.copytree(version, target / version.name)
        shutil.copy2(runner, target / version.name / "model.py")
