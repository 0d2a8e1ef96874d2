"""Launches an EHR announced, and client assertions that were used: each is taken once."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from services.gateway.store.database import Database
from services.gateway.store.smart_sealed import Sealed, hashed
from services.gateway.store.smart_tables import SMART_ASSERTIONS, SMART_LAUNCHES

US = 1_000_000
KEPT_US = 600 * US


class SmartLaunches:
    """Launches and assertions of every tenant."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._sealed = Sealed(database)

    async def put(
        self, tenant: str, client_id: str, context: Mapping[str, Any], seconds: float
    ) -> str:
        """Keep what an EHR said; return the `launch` value that stands for it, once."""
        launch, now = secrets.token_urlsafe(32), self._db.now_us()
        row = {
            "launch_hash": hashed(launch),
            "tenant": tenant,
            "client_id": client_id,
            "expires_us": now + int(seconds * US),
            "used_us": 0,
            "sealed": await self._sealed.seal(tenant, f"launch/{hashed(launch)}", context),
        }
        async with self._db.begin() as connection:
            old = SMART_LAUNCHES.c.expires_us < now - KEPT_US
            await connection.execute(delete(SMART_LAUNCHES).where(old))
            await connection.execute(insert(SMART_LAUNCHES).values(row))
        return launch

    async def find(self, tenant: str, client_id: str, launch: str) -> dict[str, Any] | None:
        """Return what was said of a launch that is not taken and was made for this client."""
        where = (
            SMART_LAUNCHES.c.launch_hash == hashed(launch),
            SMART_LAUNCHES.c.tenant == tenant,
            SMART_LAUNCHES.c.client_id == client_id,
            SMART_LAUNCHES.c.used_us == 0,
            SMART_LAUNCHES.c.expires_us > self._db.now_us(),
        )
        async with self._db.read() as connection:
            query = select(SMART_LAUNCHES.c.sealed).where(*where)
            sealed = (await connection.execute(query)).scalar_one_or_none()
        if sealed is None:
            return None
        return await self._sealed.open(tenant, f"launch/{hashed(launch)}", sealed)

    async def is_first_use(self, client_id: str, jti: str, expires_us: int) -> bool:
        """Note a client assertion; False when it was seen before."""
        old = SMART_ASSERTIONS.c.expires_us < self._db.now_us() - KEPT_US
        row = {"client_id": client_id, "jti_hash": hashed(jti), "expires_us": expires_us}
        try:
            async with self._db.begin() as connection:
                await connection.execute(delete(SMART_ASSERTIONS).where(old))
                await connection.execute(insert(SMART_ASSERTIONS).values(row))
        except IntegrityError:
            return False
        return True
