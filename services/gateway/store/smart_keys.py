"""The keys that sign id_tokens: one signs, those before stay published for a while.

They are the server's and not a tenant's, so they are sealed under a key of their own whose
name no tenant can have.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from joserfc.jwk import RSAKey
from sqlalchemy import delete, insert, or_, select, update

from services.gateway.store.database import Database
from services.gateway.store.smart_sealed import Sealed
from services.gateway.store.smart_tables import SMART_KEYS
from services.kernel.errors import Unavailable

US = 1_000_000
OWNER = "smart.keys"
BITS = 3072
REMEMBERED_US = 30 * US


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The key that signs, and the public set as it is published."""

    signing: RSAKey
    published: list[dict[str, object]]
    created_us: int
    read_us: int


class SmartKeys:
    """Signing keys, shared by every replica."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._sealed = Sealed(database)
        self._known: SigningKeys | None = None
        self._making = asyncio.Lock()

    async def current(self, overlap_s: float, days: int) -> SigningKeys:
        """Return the keys; the first is made when it is needed, an old one replaced."""
        now, known = self._db.now_us(), self._known
        if known is None or now - known.read_us > REMEMBERED_US:
            async with self._making:
                known = await self._read()
                if known is None or now - known.created_us > days * 86_400 * US:
                    known = await self._replace(overlap_s)
        self._known = known
        return known

    async def rotate(self, overlap_s: float) -> SigningKeys:
        """Make a new key that signs from now on; the one before stays for `overlap_s`."""
        async with self._making:
            self._known = await self._replace(overlap_s)
        return self._known

    async def _replace(self, overlap_s: float) -> SigningKeys:
        key = await asyncio.to_thread(RSAKey.generate_key, BITS, {"use": "sig", "alg": "RS256"})
        kid, now = key.thumbprint(), self._db.now_us()
        private = dict(key.as_dict(private=True)) | {"kid": kid}
        public = dict(key.as_dict(private=False)) | {"kid": kid}
        row = {
            "kid": kid,
            "public": json.dumps(public),
            "created_us": now,
            "until_us": 0,
            "sealed": await self._sealed.seal(OWNER, f"key/{kid}", private),
        }
        async with self._db.begin() as connection:
            old = (SMART_KEYS.c.until_us > 0, SMART_KEYS.c.until_us < now)
            await connection.execute(delete(SMART_KEYS).where(*old))
            leaves = update(SMART_KEYS).where(SMART_KEYS.c.until_us == 0)
            await connection.execute(leaves.values(until_us=now + int(overlap_s * US)))
            await connection.execute(insert(SMART_KEYS).values(row))
        if (found := await self._read()) is None:
            raise Unavailable("the signing key was replaced meanwhile")
        return found

    async def _read(self) -> SigningKeys | None:
        now = self._db.now_us()
        shown = or_(SMART_KEYS.c.until_us == 0, SMART_KEYS.c.until_us > now)
        order = (SMART_KEYS.c.created_us.desc(), SMART_KEYS.c.kid)
        async with self._db.read() as connection:
            query = select(SMART_KEYS).where(shown).order_by(*order)
            rows = (await connection.execute(query)).mappings().all()
        signing = [row for row in rows if row["until_us"] == 0]
        if not signing:
            return None
        first = signing[0]
        private = await self._sealed.open(OWNER, f"key/{first['kid']}", first["sealed"])
        key = RSAKey.import_key(private)
        published = [json.loads(row["public"]) for row in rows]
        return SigningKeys(key, published, first["created_us"], now)
