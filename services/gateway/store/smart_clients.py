"""SMART clients: registered, listed, rotated and revoked by the operator of their tenant."""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from services.gateway.smart.clients import SmartClient, from_document
from services.gateway.store.database import Database, Row
from services.gateway.store.smart_sealed import hashed
from services.gateway.store.smart_tables import SMART_CLIENTS, SMART_GRANTS
from services.kernel.errors import Conflict, NotFound

US = 1_000_000


@dataclass(frozen=True, slots=True)
class Registered:
    """A client and where it stands."""

    client: SmartClient
    created_us: int
    revoked_us: int
    secret_hash: str
    old_secret_hash: str
    old_secret_until_us: int

    def knows(self, secret: str, now_us: int) -> bool:
        """Tell whether this is its secret, or the one before while that is still good."""
        given = hashed(secret)
        new = bool(self.secret_hash) and hmac.compare_digest(given, self.secret_hash)
        old = bool(self.old_secret_hash) and hmac.compare_digest(given, self.old_secret_hash)
        return new or (old and now_us < self.old_secret_until_us)


class SmartClients:
    """Registrations of every tenant; a client id is one of a kind among all."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def register(self, client: SmartClient) -> str:
        """Write a registration; return its secret, empty for a client that has none.

        Raises
        ------
        Conflict
            There is a client of this id.
        """
        secret = secrets.token_urlsafe(32) if client.kind == "symmetric" else ""
        row = {
            "client_id": client.client_id,
            "tenant": client.tenant,
            "document": json.dumps(client.document()),
            "created_us": self._db.now_us(),
            "revoked_us": 0,
            "secret_hash": hashed(secret) if secret else "",
            "old_secret_hash": "",
            "old_secret_until_us": 0,
        }
        try:
            async with self._db.begin() as connection:
                await connection.execute(insert(SMART_CLIENTS).values(row))
        except IntegrityError as error:
            raise Conflict("there is a client of this id", reason="CLIENT_EXISTS") from error
        return secret

    async def find(self, client_id: str) -> Registered | None:
        """Return a client that is not revoked, of whatever tenant."""
        query = select(SMART_CLIENTS).where(
            SMART_CLIENTS.c.client_id == client_id, SMART_CLIENTS.c.revoked_us == 0
        )
        async with self._db.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return _registered(dict(row)) if row else None

    async def list(self, tenant: str) -> list[Registered]:
        """Return a tenant's clients, revoked ones among them, oldest first."""
        query = (
            select(SMART_CLIENTS)
            .where(SMART_CLIENTS.c.tenant == tenant)
            .order_by(SMART_CLIENTS.c.created_us, SMART_CLIENTS.c.client_id)
        )
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_registered(dict(row)) for row in rows]

    async def revoke(self, tenant: str, client_id: str) -> None:
        """End a client with every grant it has.

        Raises
        ------
        NotFound
        """
        now = self._db.now_us()
        own = (SMART_CLIENTS.c.tenant == tenant, SMART_CLIENTS.c.client_id == client_id)
        grants = (SMART_GRANTS.c.client_id == client_id, SMART_GRANTS.c.revoked_us == 0)
        async with self._db.begin() as connection:
            change = update(SMART_CLIENTS).where(*own, SMART_CLIENTS.c.revoked_us == 0)
            done = await connection.execute(change.values(revoked_us=now))
            if not done.rowcount:
                raise NotFound("there is no such client; `dxmesh client list` shows them")
            ended = {"revoked_us": now, "reason": "CLIENT_REVOKED"}
            await connection.execute(update(SMART_GRANTS).where(*grants).values(ended))

    async def rotate_secret(self, tenant: str, client_id: str, overlap_s: float) -> str:
        """Return a new secret; the one before is good for `overlap_s` more.

        Raises
        ------
        NotFound, Conflict
        """
        found = await self.find(client_id)
        if found is None or found.client.tenant != tenant:
            raise NotFound("there is no such client; `dxmesh client list` shows them")
        if found.client.kind != "symmetric":
            raise Conflict("this client has no secret; it changes its own keys", reason="NO_SECRET")
        secret = secrets.token_urlsafe(32)
        row = {
            "secret_hash": hashed(secret),
            "old_secret_hash": found.secret_hash,
            "old_secret_until_us": self._db.now_us() + int(overlap_s * US),
        }
        where = (SMART_CLIENTS.c.client_id == client_id, SMART_CLIENTS.c.tenant == tenant)
        async with self._db.begin() as connection:
            await connection.execute(update(SMART_CLIENTS).where(*where).values(row))
        return secret

    async def replace_keys(self, client: SmartClient) -> None:
        """Write a registration anew with other keys."""
        where = (
            SMART_CLIENTS.c.client_id == client.client_id,
            SMART_CLIENTS.c.tenant == client.tenant,
        )
        async with self._db.begin() as connection:
            change = update(SMART_CLIENTS).where(*where)
            await connection.execute(change.values(document=json.dumps(client.document())))


def _registered(row: Row) -> Registered:
    client = from_document(row["client_id"], row["tenant"], json.loads(row["document"]))
    names = ("created_us", "revoked_us", "secret_hash", "old_secret_hash", "old_secret_until_us")
    return Registered(client, *(row[name] for name in names))
