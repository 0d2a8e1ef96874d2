"""One real PostgreSQL from its wheel, with a database for each service that keeps one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from services.cli.mesh import WITH_DATABASE


class Databases:
    """The server; it can be stopped, killed and started again under the running mesh."""

    def __init__(self, servers: Any, folder: Path) -> None:
        self.folder = folder
        self._server = servers.get_server(str(folder))
        self._client = str(self._server.bin_path / "psql")
        # Processes are killed here, the machine is not: what the kernel has is safe.
        self._tell("ALTER SYSTEM SET fsync = off;")
        self._tell("SELECT pg_reload_conf();")
        for name in WITH_DATABASE:
            self._tell(f"CREATE DATABASE {name};")

    @property
    def urls(self) -> dict[str, str]:
        """asyncpg URL by service."""
        return {name: self._url(name) for name in WITH_DATABASE}

    def tables(self, name: str) -> dict[str, str]:
        """Return every row of every table of a service's database, as text by table."""
        names = self.psql(name, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {table: self.psql(name, f'SELECT * FROM "{table}"') for table in names.split()}

    def psql(self, name: str, query: str) -> str:
        """Return a query's rows, tab-separated, from a service's database."""
        return self._tell(f"{query};", name)

    def kill(self) -> None:
        """End the server at once, with every connection: no checkpoint, as in a crash."""
        pid = self._server.get_pid()
        os.kill(pid, signal.SIGQUIT)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.05)

    def start(self) -> None:
        """Start the server again; recovery may take longer than its wheel waits."""
        for _ in range(6):
            try:
                self._server.ensure_postgres_running()
                return
            except subprocess.SubprocessError:
                continue
        raise AssertionError("PostgreSQL did not come back")

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self._server.cleanup()

    def _tell(self, command: str, database: str = "postgres") -> str:
        """Run a command with psql; the wheel's own way to it breaks on a path with a space."""
        uri = str(self._server.get_uri(database=database))
        asked = [self._client, "--quiet", "--tuples-only", uri]
        done = subprocess.run(asked, input=command, capture_output=True, text=True, check=True)
        return done.stdout

    def _url(self, name: str) -> str:
        uri = str(self._server.get_uri(database=name))
        return uri.replace("postgresql://", "postgresql+asyncpg://")
