"""The NATS server's configuration, made from the permission table of `kernel.subjects`.

NATS reads JSON as configuration. Each service is one nkey user that may publish and
subscribe to its own subjects alone.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import nkeys

from services.kernel.subjects import SERVICES, permissions


def make_seed() -> tuple[str, str]:
    """Return a fresh user seed and its public key."""
    seed = bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    return seed.decode(), nkeys.from_seed(bytearray(seed)).public_key.decode()


def users(public_keys: dict[str, str]) -> list[dict[str, object]]:
    """Return the `authorization.users` entries, one per service."""
    entries: list[dict[str, object]] = []
    for service in SERVICES:
        allowed = permissions(service)
        entries.append(
            {
                "nkey": public_keys[service],
                "permissions": {
                    "publish": {"allow": allowed.publish},
                    "subscribe": {"allow": allowed.subscribe},
                },
            }
        )
    return entries


def server_config(port: int, store: Path, public_keys: dict[str, str]) -> str:
    """Return the configuration of one local server with file storage."""
    config = {
        "listen": f"127.0.0.1:{port}",
        "server_name": "dxmesh-local",
        "jetstream": {"store_dir": str(store), "sync_interval": "1s"},
        "authorization": {"users": users(public_keys)},
    }
    return json.dumps(config, indent=2)
