"""The way back from a case to its person, in the service's own database.

One row per case, encrypted under the case's own key in the identity zone: destroying that
key or the row ends the way back. Tenant and case id stand in every key.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Protocol

from sqlalchemy import (
    Boolean,
    Column,
    Delete,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    delete,
    insert,
    select,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from services.anonymization.identity import Identity
from services.kernel.errors import KeyDestroyed, NotFound

metadata = MetaData()
CASES = Table(
    "anonymization_cases",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("case_id", String(64), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("destroyed", Boolean, nullable=False),
)


class Cipher(Protocol):
    """Encrypts small values; `kernel.crypto.FieldCipher` is one."""

    def encrypt(self, plain: bytes, context: str) -> bytes:
        """Return the sealed value, bound to its context."""

    def decrypt(self, sealed: bytes, context: str) -> bytes:
        """Return the plain value."""


CipherFor = Callable[[str, str], Awaitable[Cipher]]
"""Returns the cipher of a tenant's case, whose key dies with the case."""


class IdentityStore:
    """The table above, behind what the worker and the service need of it."""

    def __init__(self, engine: AsyncEngine, cipher_for: CipherFor) -> None:
        self._engine = engine
        self._cipher_for = cipher_for

    async def put(self, tenant: str, case_id: str, identity: Identity) -> None:
        """Keep the identity of a case; a repeat replaces it.

        Raises
        ------
        KeyDestroyed
            The case was destroyed before.
        """
        cipher = await self._cipher_for(tenant, case_id)
        sealed = cipher.encrypt(json.dumps(asdict(identity)).encode(), _context(tenant, case_id))
        row = {"tenant": tenant, "case_id": case_id, "sealed": sealed, "destroyed": False}
        async with self._engine.begin() as connection:
            found = (await connection.execute(_select(tenant, case_id))).first()
            if found and found.destroyed:
                raise KeyDestroyed("the identity of this case is destroyed", scope=case_id)
            await connection.execute(_delete(tenant, case_id))
            await connection.execute(insert(CASES).values(row))

    async def get(self, tenant: str, case_id: str) -> Identity:
        """Return the identity of a case.

        Raises
        ------
        NotFound, KeyDestroyed
        """
        async with self._engine.connect() as connection:
            found = (await connection.execute(_select(tenant, case_id))).first()
        if found is None:
            raise NotFound("no identity is kept for this case", case=case_id)
        if found.destroyed:
            raise KeyDestroyed("the identity of this case is destroyed", scope=case_id)
        cipher = await self._cipher_for(tenant, case_id)
        return Identity(**json.loads(cipher.decrypt(found.sealed, _context(tenant, case_id))))

    async def is_destroyed(self, tenant: str, case_id: str) -> bool:
        """Tell whether the case was stopped."""
        async with self._engine.connect() as connection:
            found = (await connection.execute(_select(tenant, case_id))).first()
        return bool(found and found.destroyed)

    async def destroy(self, tenant: str, case_id: str) -> None:
        """Forget a case for good; a case that is not here yet can not come any more."""
        row = {"tenant": tenant, "case_id": case_id, "sealed": b"", "destroyed": True}
        async with self._engine.begin() as connection:
            await connection.execute(_delete(tenant, case_id))
            await connection.execute(insert(CASES).values(row))


def _select(tenant: str, case_id: str) -> Select[Any]:
    return select(CASES).where(CASES.c.tenant == tenant, CASES.c.case_id == case_id)


def _delete(tenant: str, case_id: str) -> Delete:
    return delete(CASES).where(CASES.c.tenant == tenant, CASES.c.case_id == case_id)


def _context(tenant: str, case_id: str) -> str:
    return f"anonymization_cases/{tenant}/{case_id}"
