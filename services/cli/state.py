"""The state folder of a local mesh: keys, certificates, credentials, data, logs.

Made once with everything a mesh needs; deleting the folder deletes the mesh.
"""

from __future__ import annotations

import base64
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from services.cli import accounts, certificates, nats_config
from services.kernel.subjects import SERVICES

ZONES = ("identity", "analysis")


@dataclass(frozen=True, slots=True)
class State:
    """Where things lie under the state folder."""

    root: Path

    @property
    def logs(self) -> Path:
        """One `<process>.jsonl` per process."""
        return self.root / "logs"

    @property
    def address_file(self) -> Path:
        """The gateway's address while the mesh runs."""
        return self.root / "gateway.url"

    def tls(self, service: str) -> Path:
        """Return the folder with a service's certificate."""
        return self.root / "tls" / service

    def seed(self, service: str) -> Path:
        """Return the file with a service's nkey seed."""
        return self.root / "nkeys" / f"{service}.seed"

    def master_key(self, zone: str) -> Path:
        """Return the file with a zone's master key."""
        return self.root / "keys" / f"{zone}.key"

    def blobs(self, zone: str) -> Path:
        """Return a zone's blob folder."""
        return self.root / "blobs" / zone

    def database(self, service: str) -> Path:
        """Return a service's SQLite file."""
        return self.root / "databases" / f"{service}.sqlite"


def open_state(root: Path, *, fresh: bool = False) -> State:
    """Return the state under `root`, made when missing, or anew when `fresh`."""
    root = root.resolve()
    if fresh and (root / "credentials.json").is_file():
        shutil.rmtree(root)
    state = State(root)
    if not (root / "credentials.json").is_file():
        _make(state)
    return state


def public_keys(state: State) -> dict[str, str]:
    """Return the nkey public key of each service."""
    return {name: (state.root / "nkeys" / f"{name}.pub").read_text() for name in SERVICES}


def _make(state: State) -> None:
    for folder in (
        "logs",
        "nkeys",
        "keys",
        "databases",
        "nats",
        "blobs/identity",
        "blobs/analysis",
    ):
        (state.root / folder).mkdir(parents=True, exist_ok=True)
    state.root.chmod(0o700)
    for zone in ZONES:
        _write_secret(state.master_key(zone), base64.b64encode(os.urandom(32)).decode())
    for service in SERVICES:
        seed, public = nats_config.make_seed()
        _write_secret(state.seed(service), seed)
        (state.root / "nkeys" / f"{service}.pub").write_text(public)
    certificates.write_certificates(state.root / "tls", [*SERVICES, "operator"])
    accounts.save(accounts.make_credentials(), state.root)


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
