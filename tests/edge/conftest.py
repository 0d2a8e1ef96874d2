"""A gateway served by granian on a real port, seen from outside.

The tests of this folder are an integrator's: they speak HTTP, and know of the gateway what the
standard and the CapabilityStatement say.
"""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.gateway import app, server
from tests.servers import medplum

FHIR_JSON = "application/fhir+json"


def _world_module() -> Any:
    """Return world.py; tests of one folder cannot import from another by name."""
    for name in ("fakes", "world"):
        path, full = Path(__file__).parents[1] / "gateway" / f"{name}.py", f"gateway_{name}"
        if full not in sys.modules:
            spec = importlib.util.spec_from_file_location(full, path)
            assert spec and spec.loader
            sys.modules[full] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[full])
    return sys.modules["gateway_world"]


@dataclass
class Edge:
    """A gateway that serves: its address, and its world for what cannot be done from outside."""

    url: str
    port: int
    world: Any
    setting: Any
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread

    @property
    def fhir(self) -> str:
        """The FHIR base."""
        return f"{self.url}/fhir"

    def bearer(self, name: str = "ehr") -> dict[str, str]:
        """Return the header of a client of world.py: ehr, operator, auditor, other (tenant)."""
        return {"Authorization": f"Bearer {self.setting.TOKENS[name]}"}

    def http(self, name: str = "ehr", **options: Any) -> httpx.Client:
        """Return a client that presents a token; an empty name presents none."""
        headers = {"Accept": FHIR_JSON, **(self.bearer(name) if name else {})}
        # Loading certificates for plain HTTP would cost more than most of the tests.
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=False, **options)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def connect(self) -> socket.socket:
        """Return a bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def raw(self, request: bytes, *, wait_s: float = 10.0) -> bytes:
        """Send bytes and return what comes until the server closes or is silent."""
        with self.connect() as connection:
            connection.sendall(request)
            return received(connection, wait_s)


def received(connection: socket.socket, wait_s: float) -> bytes:
    """Return what comes until the other side closes or is silent for `wait_s`."""
    connection.settimeout(wait_s)
    answer = bytearray()
    try:
        while piece := connection.recv(1 << 16):
            answer += piece
    except (TimeoutError, ConnectionResetError):
        pass
    return bytes(answer)


@contextmanager
def served(folder: Path, limits: server.Limits | None = None) -> Iterator[Edge]:
    """Serve a fresh gateway."""
    setting = _world_module()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        try:
            async with setting.open_world(folder) as world:
                settings = replace(world.gateway.settings, http_listen=f"127.0.0.1:{port}")
                made = server.make(app.make(world.gateway), settings, limits)
                task = asyncio.create_task(server.run(made))
                found.update(world=world, loop=asyncio.get_running_loop(), stop=asyncio.Event())
                ready.set()
                await found["stop"].wait()
                task.cancel()
                await asyncio.wait([task])
        finally:
            ready.set()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30) and "loop" in found, "the gateway does not start"
    edge = Edge(f"http://127.0.0.1:{port}", port, found["world"], setting, found["loop"], thread)
    with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as probe:
        assert probe.get(f"{edge.url}/healthz").status_code == 200
    try:
        yield edge
    finally:
        edge.loop.call_soon_threadsafe(found["stop"].set)
        thread.join(20)


@pytest.fixture(scope="session")
def serve() -> Callable[..., AbstractContextManager[Edge]]:
    """Serve a gateway of one's own: `with serve(folder, limits) as edge`."""
    return served


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One gateway for the tests of a file: they use ids of their own."""
    with served(tmp_path_factory.mktemp("edge")) as opened:
        yield opened


@pytest.fixture(scope="module")
def http(edge: Edge) -> Iterator[httpx.Client]:
    """A client with the EHR's token."""
    with edge.http() as client:
        yield client


@pytest.fixture(scope="session")
def medplum_issues(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Any]]:
    """Medplum's validator: Bundle → issues."""
    return medplum.validator(tmp_path_factory.mktemp("medplum"))
