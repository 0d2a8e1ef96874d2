"""The current versions of resources, within a transaction or a query."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store import sql
from services.gateway.store.database import Cipher
from services.gateway.store.resource_tables import CURRENT, RESOURCES
from services.gateway.store.stored import Key, Stored, unsealed_row

KEYS_MAX = 1000
"""Resources looked up by one statement."""


async def current_versions(
    connection: AsyncConnection, cipher: Cipher, tenant: str, keys: Sequence[Key]
) -> dict[Key, Stored]:
    """Return the current versions of those that exist, deletions included."""
    found: dict[Key, Stored] = {}
    for row in await rows_of(connection, sql.CURRENT_VERSIONS, tenant, keys):
        stored = unsealed_row(cipher, row)
        found[(stored.type, stored.id)] = stored
    return found


async def rows_of(
    connection: AsyncConnection, statement: sql.Statement, tenant: str, keys: Sequence[Key]
) -> list[sql.Values]:
    """Return what a statement on keys finds, so many keys at a time."""
    unique = list(dict.fromkeys(keys))
    rows: list[sql.Values] = []
    for start in range(0, len(unique), KEYS_MAX):
        part = [(tenant, *key) for key in unique[start : start + KEYS_MAX]]
        rows += await sql.fetch_keys(connection, statement, part)
    return rows


def same_version() -> ColumnElement[bool]:
    """Return the join of a current version with its row."""
    return and_(
        RESOURCES.c.tenant == CURRENT.c.tenant,
        RESOURCES.c.type == CURRENT.c.type,
        RESOURCES.c.id == CURRENT.c.id,
        RESOURCES.c.version == CURRENT.c.version,
    )
