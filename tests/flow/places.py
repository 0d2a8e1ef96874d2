"""Every place of a running mesh where something may have been left, as (name, content) pairs.

Nothing here asks the mesh: the streams are read through a second nats-server on a copy of the
store, blobs are decrypted with the zone's master key, databases are dumped.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import obstore
from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError
from obstore.store import LocalStore

from services.cli.accounts import TENANT
from services.cli.mesh import WITH_DATABASE
from services.kernel.blobs import Blobs
from services.kernel.crypto import Vault, read_master_key
from services.kernel.errors import KeyDestroyed
from services.kernel.subjects import STREAMS
from tests.flow.running import Running
from tests.servers.nats import NatsServer

FIRST_OF_USERS, COLUMN_SAMPLES = 16_384, 2619
"""First object id of a user's table, and that of pg_statistic."""
Places = Iterator[tuple[str, bytes]]
READ_S = 30.0
SECRETS = ("keys", "nkeys", "tls", "credentials.json")
"""Parts of the state folder that were made before the case came."""


def messages(running: Running, folder: Path) -> Places:
    """Yield every message of every stream: subject, headers and payload."""
    for stream, message in stored(running, folder):
        head = f"{message.subject}\n{message.headers}\n".encode()
        yield f"stream {stream} message {message.seq} on {message.subject}", head + message.data


def stored(running: Running, folder: Path, *streams: str) -> list[tuple[str, RawStreamMsg]]:
    """Return (stream, message) pairs of some streams, or of all."""
    folder.mkdir()
    shutil.copytree(running.state.root / "nats", folder / "store")
    server = NatsServer(folder)
    server.start()
    try:
        return _finished(_stored(server, streams or tuple(STREAMS)))
    finally:
        server.kill()


def _finished(work: Coroutine[Any, Any, list[Any]]) -> list[Any]:
    """Run in a thread of its own: a browser under test holds a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _stored(server: NatsServer, streams: Sequence[str]) -> list[tuple[str, RawStreamMsg]]:
    found: list[tuple[str, RawStreamMsg]] = []
    async with server.client() as client:
        js = client.jetstream(timeout=READ_S)
        for stream in streams:
            state = (await js.stream_info(stream)).state
            for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
                with contextlib.suppress(NotFoundError):  # a dead letter that was retried
                    found.append((stream, await js.get_msg(stream, sequence)))
    for _, message in found:
        message.data = message.data or b""
    return found


def blobs(running: Running, zone: str) -> Places:
    """Yield every blob of a zone decrypted, with its name."""
    yield from _finished(_blobs(running, zone))


async def _blobs(running: Running, zone: str) -> list[tuple[str, bytes]]:
    store = LocalStore(str(running.state.blobs(zone)))
    key = read_master_key(running.state.master_key(zone))
    opened = Blobs(store, Vault(store, key, zone))
    found: list[tuple[str, bytes]] = []
    paths = [str(meta["path"]) for batch in obstore.list(store, prefix="blobs/") for meta in batch]
    for path in paths:
        scope, _, name = path.removeprefix(f"blobs/{TENANT}/").partition("/")
        with contextlib.suppress(KeyDestroyed, FileNotFoundError):
            content = await opened.get(TENANT, BlobRef(scope=scope, name=name))
            found.append((f"{zone} blob {path}", path.encode() + b"\n" + content))
    return found


def databases(running: Running) -> Places:
    """Yield every row of every service's database, as PostgreSQL prints it."""
    for name in WITH_DATABASE:
        for table, rows in running.databases.tables(name).items():
            yield f"database {name} table {table}", rows.encode()


def files(running: Running) -> Places:
    """Yield every file of the state folder and of PostgreSQL as it lies on the disk."""
    for root in (running.state.root, running.databases.folder):
        # `os.walk`, not `rglob`: the mesh removes folders even while we look.
        for path in sorted(Path(f) / name for f, _, names in os.walk(root) for name in names):
            place = path.relative_to(root)
            if not path.is_file() or place.parts[0] in SECRETS or _is_catalogue(place):
                continue
            with contextlib.suppress(FileNotFoundError):
                yield f"file {place}", path.read_bytes()


def _is_catalogue(place: Path) -> bool:
    """Tell whether a file holds a system catalogue of PostgreSQL, but for its column samples."""
    if place.parts[0] != "base":
        return False
    number = int("".join(itertools.takewhile(str.isdigit, place.name)) or 0)
    return number < FIRST_OF_USERS and number != COLUMN_SAMPLES


def logs(running: Running) -> Places:
    """Yield every line of every process's log."""
    for path in sorted(running.state.logs.iterdir()):
        for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
            yield f"log {path.name} line {number}", line


def telemetry(running: Running) -> Places:
    """Yield every span and metric that was exported, and each request as it came."""
    for service, span in running.telemetry.spans():
        yield f"span {span.name!r} of {service}", span.SerializeToString()
    for service, metric in running.telemetry.metrics():
        yield f"metric {metric.name} of {service}", metric.SerializeToString()
    for request in running.telemetry.exported():
        yield "an OTLP request", request
