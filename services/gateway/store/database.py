"""The engine, the tenant's keys and the clock, as every part of the store needs them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.kernel.crypto import KeyedHash

Row = dict[str, Any]


class Cipher(Protocol):
    """Seals one value; `context` says where it stands. `kernel.crypto.FieldCipher` is one."""

    def encrypt(self, plain: bytes, context: str) -> bytes:
        """Return the sealed value."""

    def decrypt(self, sealed: bytes, context: str) -> bytes:
        """Return the plain value."""


def now_us() -> int:
    """Return the time, microseconds since 1970 UTC."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Database:
    """A database whose content is sealed under the tenant's key."""

    engine: AsyncEngine
    cipher_for: Callable[[str], Awaitable[Cipher]]
    hasher_for: Callable[[str], Awaitable[KeyedHash]]
    now_us: Callable[[], int] = now_us

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Run the body in one transaction.

        Begin it with a write: SQLite then waits its turn instead of failing later.
        """
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Run queries."""
        async with self.engine.connect() as connection:
            yield connection


async def insert_absent(connection: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows whose key is not there yet; leave the others as they are."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    await connection.execute(dialect.insert(table).on_conflict_do_nothing(), list(rows))


async def upsert(connection: AsyncConnection, table: Table, row: Row) -> None:
    """Insert a row, or replace all but its key."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    keys = [column.name for column in table.primary_key]
    changes = {name: value for name, value in row.items() if name not in keys}
    await connection.execute(
        dialect.insert(table).values(row).on_conflict_do_update(index_elements=keys, set_=changes)
    )
