"""The engine, the tenant's keys and the clock, as every part of the store needs them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.kernel.crypto import KeyedHash
from services.kernel.errors import Unavailable

Row = dict[str, Any]


class Cipher(Protocol):
    """Seals one value; `context` says where it stands. `kernel.crypto.FieldCipher` is one."""

    def encrypt(self, plain: bytes, context: str) -> bytes:
        """Return the sealed value."""

    def decrypt(self, sealed: bytes, context: str) -> bytes:
        """Return the plain value."""


TURN_S = 30.0
"""How long a writer waits for the writers before it (SQLite)."""


def now_us() -> int:
    """Return the time, microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Database:
    """A database whose content is sealed under the tenant's key."""

    def __init__(
        self,
        engine: AsyncEngine,
        cipher_for: Callable[[str], Awaitable[Cipher]],
        hasher_for: Callable[[str], Awaitable[KeyedHash]],
        clock_us: Callable[[], int] = now_us,
    ) -> None:
        self.engine = engine
        self.now_us = clock_us
        self._cipher_for = cipher_for
        self._hasher_for = hasher_for
        self._ciphers: dict[str, Cipher] = {}
        self._hashers: dict[str, KeyedHash] = {}
        self._turn = asyncio.Lock()

    async def cipher_for(self, tenant: str) -> Cipher:
        """Return the cipher of a tenant's content; its key is asked for once."""
        if (found := self._ciphers.get(tenant)) is None:
            found = self._ciphers[tenant] = await self._cipher_for(tenant)
        return found

    async def hasher_for(self, tenant: str) -> KeyedHash:
        """Return a tenant's keyed hash; its key is asked for once."""
        if (found := self._hashers.get(tenant)) is None:
            found = self._hashers[tenant] = await self._hasher_for(tenant)
        return found

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Run the body in one transaction; never open one inside another.

        Begin it with a write: SQLite then waits its turn instead of failing later. SQLite has
        one writer at a time, and a second one sleeps before it looks again; so the writers of
        this process stand in line here.
        """
        if self.engine.dialect.name != "sqlite":
            async with self.engine.begin() as connection:
                yield connection
            return
        try:
            async with asyncio.timeout(TURN_S):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Unavailable("the database has been busy for too long") from error
        try:
            async with self.engine.begin() as connection:
                yield connection
        finally:
            self._turn.release()

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


async def upsert_many(connection: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows of the same columns, or replace all but their keys."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    keys = [column.name for column in table.primary_key]
    fresh = dialect.insert(table)
    changes = {name: fresh.excluded[name] for name in rows[0] if name not in keys}
    query = fresh.on_conflict_do_update(index_elements=keys, set_=changes)
    await connection.execute(query, list(rows))


async def upsert(connection: AsyncConnection, table: Table, row: Row) -> None:
    """Insert a row, or replace all but its key."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    keys = [column.name for column in table.primary_key]
    changes = {name: value for name, value in row.items() if name not in keys}
    await connection.execute(
        dialect.insert(table).values(row).on_conflict_do_update(index_elements=keys, set_=changes)
    )
