"""Delivers the subscriptions of a database until it is killed: `delivering.py FOLDER`.

The folder has gateway.sqlite and keys/; the master key is 32 zero bytes.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from obstore.store import LocalStore

from services.gateway.access.accounts import Accounts
from services.gateway.access.principal import Principal, Role
from services.gateway.addresses import parse as parse_addresses
from services.gateway.outbound import Outbound
from services.gateway.settings import Settings
from services.gateway.store import Store, open_store
from services.gateway.store.database import now_us
from services.gateway.subscriptions.delivery import Delivery
from services.kernel.crypto import Vault
from services.kernel.database import open_engine


def open_folder(folder: Path) -> Store:
    """Return the store in a folder."""
    keys = folder / "keys"
    keys.mkdir(exist_ok=True)
    engine = open_engine(f"sqlite+aiosqlite:///{folder / 'gateway.sqlite'}")
    return open_store(engine, Vault(LocalStore(str(keys)), bytes(32), "identity"), 60, 60)


def gateway_over(store: Store) -> Any:
    """Return as much of a gateway as delivery needs."""
    client = Principal("north", "ehr-client", Role.EHR)
    return SimpleNamespace(
        store=store,
        settings=Settings(nats_url="nats://unused", accounts_file=Path("accounts.toml")),
        accounts=Accounts({"hash": client}, {}, {}),
        outbound=Outbound(parse_addresses("", "http://127.0.0.1"), ssl.create_default_context()),
    )


async def main() -> None:
    store = open_folder(Path(sys.argv[1]))
    await Delivery(gateway_over(store), now_us).run()


if __name__ == "__main__":
    asyncio.run(main())
