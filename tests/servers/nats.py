"""The real nats-server with file storage, open or with every service's nkey and permissions.

    server = NatsServer(tmp_path)          # open: no credential asked
    server = NatsServer(tmp_path, signed=True)
    server.start(); server.kill(); server.start()   # same port, same store
    server.settings("labs")                # MeshSettings that reach it as that service
    server.client("labs")                  # a bare nats-py client signed in as that service

`signed` also knows one user `auditor` (nkey) that may do anything, for looking at streams.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from services.cli import nats_config
from services.cli.supervisor import answers, free_ports
from services.kernel.settings import MeshSettings
from services.kernel.subjects import SERVICES

BINARY = Path(sys.executable).with_name("nats-server")
START_S = 20.0
PORTS = 3


class NatsServer:
    """One nats-server process; `start` and `kill` as often as wanted."""

    def __init__(self, folder: Path, *, signed: bool = False) -> None:
        self.folder = folder
        self.port = 0
        self.signed = signed
        self.process: subprocess.Popen[bytes] | None = None
        self._config = folder / "nats.json"

    @property
    def url(self) -> str:
        """The server's address."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens; from the second time on at the same port."""
        for _ in range(PORTS):
            first = self.port == 0
            if first:
                self.port = free_ports(1)[0]
                self._config.write_text(self._signed() if self.signed else self._open())
            if self._listens():
                return
            if first:  # somebody else took the port meanwhile
                self.port = 0
        raise AssertionError((self.folder / "nats.log").read_text()[-2000:])

    def _listens(self) -> bool:
        with (self.folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(BINARY), "-c", str(self._config)], stdout=log, stderr=log
            )
        until = time.monotonic() + START_S
        while self.process.poll() is None and time.monotonic() < until:
            if answers(self.port):
                time.sleep(0.02)  # if it is another's, ours ends by now
                return self.process.poll() is None
        self.kill()
        return False

    def kill(self) -> None:
        """End it with SIGKILL, as a crash does."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def settings(self, service: str = "labs", **changes: Any) -> MeshSettings:
        """Return settings that reach this server as a service."""
        seed = self.seed(service) if self.signed else None
        return dataclasses.replace(
            MeshSettings(nats_url=self.url, nats_seed_file=seed, drain_s=5.0), **changes
        )

    def seed(self, user: str) -> Path:
        """Return the file with a user's nkey seed."""
        return self.folder / f"{user}.seed"

    @contextlib.asynccontextmanager
    async def client(
        self, user: str = "", *, on_error: Callable[[str], object] | None = None
    ) -> AsyncIterator[Client]:
        """Yield a bare client, signed in as `user` where the server asks for it."""

        async def heard(error: Exception) -> None:
            if on_error:
                on_error(str(error).lower())

        client = Client()
        options: dict[str, Any] = {"servers": [self.url], "error_cb": heard}
        if self.signed:
            options["nkeys_seed_str"] = self.seed(user).read_text()
            options["inbox_prefix"] = f"_INBOX_{user}".encode()
        await client.connect(**options)
        try:
            yield client
        finally:
            await client.close()

    def _open(self) -> str:
        config = {
            "listen": f"127.0.0.1:{self.port}",
            "jetstream": {"store_dir": str(self.folder / "store")},
        }
        return json.dumps(config)

    def _signed(self) -> str:
        public: dict[str, str] = {}
        for user in (*SERVICES, "auditor"):
            seed, public[user] = nats_config.make_seed()
            self.seed(user).touch(mode=0o600)
            self.seed(user).write_text(seed)
        text = nats_config.server_config(self.port, self.folder / "store", public)
        config = json.loads(text)
        config["authorization"]["users"].append({"nkey": public["auditor"]})
        return json.dumps(config)


def binary_is_missing() -> bool:
    """Tell whether this environment lacks nats-server."""
    return not os.access(BINARY, os.X_OK)
