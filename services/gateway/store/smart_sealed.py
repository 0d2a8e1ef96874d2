"""How SMART rows are kept: secrets as hashes, content sealed under the tenant's key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from services.gateway.store.database import Database


def hashed(secret: str) -> str:
    """Return what the store keeps of a secret of 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Sealed:
    """JSON objects under a tenant's key; `place` says where one stands."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def seal(self, tenant: str, place: str, content: Mapping[str, Any]) -> bytes:
        """Return the sealed object."""
        cipher = await self._db.cipher_for(tenant)
        return cipher.encrypt(json.dumps(dict(content)).encode(), f"gateway_smart/{place}")

    async def open(self, tenant: str, place: str, sealed: bytes) -> dict[str, Any]:
        """Return the object."""
        cipher = await self._db.cipher_for(tenant)
        return dict(json.loads(cipher.decrypt(sealed, f"gateway_smart/{place}")))
