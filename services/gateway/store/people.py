"""Sessions, failed sign-ins, and which subject a Patient reference means."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store.database import Database, insert_absent, upsert
from services.gateway.store.tables import SESSIONS, SIGN_INS, SUBJECTS

US = 1_000_000
FREE_FAILURES = 3
"""Wrong passwords before a name has to wait."""
WAIT_S_MAX = 900


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser."""

    tenant: str
    reviewer: str
    csrf: str


class People:
    """Sessions and sign-ins of every tenant."""

    def __init__(self, database: Database, session_s: float, idle_s: float) -> None:
        self._db = database
        self._session_us = int(session_s * US)
        self._idle_us = int(idle_s * US)

    async def open_session(self, tenant: str, reviewer: str) -> tuple[str, Session]:
        """Return a new session and its token; the store keeps the token's hash alone."""
        token, csrf, now = secrets.token_urlsafe(32), secrets.token_urlsafe(24), self._db.now_us()
        row = {
            "token_hash": _hash(token),
            "tenant": tenant,
            "reviewer": reviewer,
            "csrf": csrf,
            "created_us": now,
            "seen_us": now,
        }
        async with self._db.begin() as connection:
            old = SESSIONS.c.created_us < now - self._session_us
            await connection.execute(delete(SESSIONS).where(old))
            await connection.execute(insert(SESSIONS).values(row))
        return token, Session(tenant, reviewer, csrf)

    async def session(self, token: str) -> Session | None:
        """Return the session of a token, unless it ended or lay idle too long."""
        now = self._db.now_us()
        query = select(SESSIONS).where(SESSIONS.c.token_hash == _hash(token))
        async with self._db.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None or now - row["created_us"] > self._session_us:
            return None
        if now - row["seen_us"] > self._idle_us:
            return None
        if now - row["seen_us"] > min(60 * US, self._idle_us // 4):
            async with self._db.begin() as connection:
                where = SESSIONS.c.token_hash == row["token_hash"]
                await connection.execute(update(SESSIONS).where(where).values(seen_us=now))
        return Session(row["tenant"], row["reviewer"], row["csrf"])

    async def is_open(self, token_hash: str) -> bool:
        """Tell whether a session, named by its token's hash, lasts; lying idle does not end it."""
        since = self._db.now_us() - self._session_us
        query = select(SESSIONS.c.created_us).where(
            SESSIONS.c.token_hash == token_hash, SESSIONS.c.created_us > since
        )
        async with self._db.read() as connection:
            return (await connection.execute(query)).scalar_one_or_none() is not None

    async def close_session(self, token: str) -> None:
        """End a session."""
        async with self._db.begin() as connection:
            await connection.execute(delete(SESSIONS).where(SESSIONS.c.token_hash == _hash(token)))

    async def wait_s(self, name: str) -> int:
        """Return how many seconds a name must wait before the next try; 0: none."""
        query = select(SIGN_INS.c.blocked_until_us).where(SIGN_INS.c.name_hash == _hash(name))
        async with self._db.read() as connection:
            until = (await connection.execute(query)).scalar_one_or_none() or 0
        return max(0, -(-(until - self._db.now_us()) // US))

    async def failed(self, name: str) -> None:
        """Count a wrong password: from the fourth on the wait doubles, to 15 minutes."""
        key, now = _hash(name), self._db.now_us()
        query = select(SIGN_INS.c.failures).where(SIGN_INS.c.name_hash == key)
        async with self._db.begin() as connection:
            blank = {"name_hash": key, "failures": 0, "blocked_until_us": 0}
            await insert_absent(connection, SIGN_INS, [blank])
            count = (await connection.execute(query.with_for_update())).scalar_one() + 1
            over = count - FREE_FAILURES
            wait = min(2**over, WAIT_S_MAX) if over > 0 else 0
            row = {"name_hash": key, "failures": count, "blocked_until_us": now + wait * US}
            await upsert(connection, SIGN_INS, row)

    async def succeeded(self, name: str) -> None:
        """Forget a name's failures."""
        async with self._db.begin() as connection:
            await connection.execute(delete(SIGN_INS).where(SIGN_INS.c.name_hash == _hash(name)))

    async def remember_subject(
        self, tenant: str, references: Sequence[str], subject_key: str
    ) -> None:
        """Note which subject these references and identifiers of a Patient mean."""
        hasher = await self._db.hasher_for(tenant)
        async with self._db.begin() as connection:
            for reference in references:
                row = {
                    "tenant": tenant,
                    "reference_hash": hasher("subject-reference", reference),
                    "subject_key": subject_key,
                }
                await upsert(connection, SUBJECTS, row)

    async def subject(
        self, tenant: str, references: Sequence[str], *, connection: AsyncConnection
    ) -> str | None:
        """Return the subject that the first known reference means."""
        hasher = await self._db.hasher_for(tenant)
        for reference in references:
            query = select(SUBJECTS.c.subject_key).where(
                SUBJECTS.c.tenant == tenant,
                SUBJECTS.c.reference_hash == hasher("subject-reference", reference),
            )
            if found := (await connection.execute(query)).scalar_one_or_none():
                return str(found)
        return None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
