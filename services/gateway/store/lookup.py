"""The current versions of resources, by type and id."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store.database import Cipher
from services.gateway.store.resource_tables import CURRENT, RESOURCES
from services.gateway.store.stored import Key, Stored, unsealed

KEYS_MAX = 1000
"""Resources looked up by one statement."""


async def current_versions(
    connection: AsyncConnection, cipher: Cipher, tenant: str, keys: Sequence[Key]
) -> dict[Key, Stored]:
    """Return the current versions of those that exist, deletions included."""
    found: dict[Key, Stored] = {}
    unique = list(dict.fromkeys(keys))
    for start in range(0, len(unique), KEYS_MAX):
        part = unique[start : start + KEYS_MAX]
        query = select(RESOURCES).join(CURRENT, same_version())
        query = query.where(CURRENT.c.tenant == tenant, one_of(part))
        for row in (await connection.execute(query)).mappings():
            found[(row["type"], row["id"])] = unsealed(cipher, row)
    return found


def one_of(keys: Sequence[Key]) -> ColumnElement[bool]:
    """Return the condition that `gateway_current` has one of these types and ids."""
    if len(keys) == 1:
        return and_(CURRENT.c.type == keys[0][0], CURRENT.c.id == keys[0][1])
    return tuple_(CURRENT.c.type, CURRENT.c.id).in_(keys)


def same_version() -> ColumnElement[bool]:
    """Return the join of a current version with its row."""
    return and_(
        RESOURCES.c.tenant == CURRENT.c.tenant,
        RESOURCES.c.type == CURRENT.c.type,
        RESOURCES.c.id == CURRENT.c.id,
        RESOURCES.c.version == CURRENT.c.version,
    )
