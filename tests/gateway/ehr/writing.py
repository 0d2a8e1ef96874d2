"""Writes a database's signed reports to their EHR until it is killed: `writing.py FOLDER`.

The folder has gateway.sqlite, keys/ and ehrs.toml; the master key is 32 zero bytes.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from obstore.store import LocalStore

from services.gateway.ehr import opening
from services.gateway.ehr.writeback import WriteBack
from services.gateway.settings import Settings
from services.gateway.store import Store, open_store
from services.kernel.crypto import Vault
from services.kernel.database import open_engine


def open_folder(folder: Path) -> Store:
    """Return the store in a folder."""
    keys = folder / "keys"
    keys.mkdir(exist_ok=True)
    engine = open_engine(f"sqlite+aiosqlite:///{folder / 'gateway.sqlite'}")
    return open_store(engine, Vault(LocalStore(str(keys)), bytes(32), "identity"), 3600, 3600)


async def gateway_over(store: Store, folder: Path) -> Any:
    """Return as much of a gateway as writing back needs."""
    settings = Settings(nats_url="nats://unused", accounts_file=folder / "accounts.toml")
    ehrs = await opening.open_ehrs(folder / "ehrs.toml")
    return SimpleNamespace(store=store, settings=settings, ehrs=ehrs)


async def main() -> None:
    folder = Path(sys.argv[1])
    await WriteBack(await gateway_over(open_folder(folder), folder)).keep_writing()


if __name__ == "__main__":
    asyncio.run(main())
