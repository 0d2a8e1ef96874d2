"""What physicians let clients do: codes, and the families of tokens that follow.

A grant is a family: revoking it ends its code and every token. A code is taken once; a second
try ends the family (RFC 6749, 4.1.2), as does a refresh token that is used twice (RFC 9700,
4.14.2).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store.database import Database, Row
from services.gateway.store.smart_sealed import Sealed, hashed
from services.gateway.store.smart_tables import (
    SMART_CODES,
    SMART_GRANTS,
    SMART_LAUNCHES,
    SMART_TOKENS,
)

US = 1_000_000
CODE_S = 60.0
KEPT_US = 86_400 * US
"""How long what has expired is kept, so that its second use is still seen."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client may do, for whom, and until when; `content` holds scope and context."""

    grant_id: str
    tenant: str
    client_id: str
    account: str
    session_hash: str
    ends_us: int
    revoked_us: int
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Code:
    """What an authorization code was made for."""

    grant_id: str
    client_id: str
    redirect_uri: str
    challenge: str


@dataclass(frozen=True, slots=True)
class Token:
    """An access or refresh token with its family."""

    grant: Grant
    refresh: bool
    scope: str
    issued_us: int
    expires_us: int
    used_us: int


class Reused(Exception):
    """A code or refresh token came a second time; its grant is ended."""

    def __init__(self, grant: Grant) -> None:
        super().__init__("used before")
        self.grant = grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What the consent page was answered with."""

    tenant: str
    client_id: str
    account: str
    content: Mapping[str, Any]
    seconds: float
    session_hash: str = ""


class SmartGrants:
    """Grants of every tenant."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._sealed = Sealed(database)
        self.revision = 0
        """Raised with every revocation here, so that what is remembered of tokens is dropped."""

    def now_us(self) -> int:
        """Return the store's time."""
        return self._db.now_us()

    async def approve(
        self, approval: Approval, redirect_uri: str, challenge: str, launch: str
    ) -> str | None:
        """Keep a grant and return its code; None when its launch was taken meanwhile."""
        code, now = secrets.token_urlsafe(32), self._db.now_us()
        grant = await self._grant_row(approval, now)
        row = {
            "code_hash": hashed(code),
            "grant_id": grant["grant_id"],
            "client_id": approval.client_id,
            "redirect_uri": redirect_uri,
            "challenge": challenge,
            "expires_us": now + int(CODE_S * US),
            "used_us": 0,
        }
        async with self._db.begin() as connection:
            if launch:
                taken = update(SMART_LAUNCHES).where(
                    SMART_LAUNCHES.c.launch_hash == hashed(launch), SMART_LAUNCHES.c.used_us == 0
                )
                if not (await connection.execute(taken.values(used_us=now))).rowcount:
                    return None
            await self._sweep(connection, now)
            await connection.execute(insert(SMART_GRANTS).values(grant))
            await connection.execute(insert(SMART_CODES).values(row))
        return code

    async def grant(self, approval: Approval) -> Grant:
        """Keep a grant that needs no code: a backend service's own."""
        now = self._db.now_us()
        row = await self._grant_row(approval, now)
        async with self._db.begin() as connection:
            await self._sweep(connection, now)
            await connection.execute(insert(SMART_GRANTS).values(row))
        return _grant(row, approval.content)

    async def redeem(self, code: str) -> tuple[Code, Grant] | None:
        """Take a code; None when there is none.

        Raises
        ------
        Reused
            It was taken before.
        """
        now, mine = self._db.now_us(), SMART_CODES.c.code_hash == hashed(code)
        async with self._db.read() as connection:  # a guess shall not hold up those who write
            found = (await connection.execute(select(SMART_CODES).where(mine))).mappings()
            row = found.one_or_none()
            grant = await self._find(connection, row["grant_id"]) if row else None
        if row is None or grant is None:
            return None
        async with self._db.begin() as connection:
            taken = update(SMART_CODES).where(mine, SMART_CODES.c.used_us == 0)
            first = (await connection.execute(taken.values(used_us=now))).rowcount
            if not first:
                await self._end(connection, grant.grant_id, "CODE_REPLAYED")
        if not first:
            raise Reused(grant)
        if grant.revoked_us or row["expires_us"] <= now:
            return None
        return Code(
            *(row[n] for n in ("grant_id", "client_id", "redirect_uri", "challenge"))
        ), grant

    async def issue(
        self, grant: Grant, scope: str, access_s: float, *, refresh: bool
    ) -> tuple[str, str]:
        """Return an access token and, with `refresh`, a refresh token, else ""."""
        async with self._db.begin() as connection:
            return await self._issue(connection, grant, scope, access_s, refresh=refresh)

    async def rotate(
        self, token: str, client_id: str, scope: str, access_s: float
    ) -> tuple[str, str] | None:
        """Take a refresh token and return the next pair; None when it is not good.

        Raises
        ------
        Reused
            It was taken before: one of its two users stole it, and the family is ended.
        """
        now, mine = self._db.now_us(), SMART_TOKENS.c.token_hash == hashed(token)
        fresh = (SMART_TOKENS.c.used_us == 0, SMART_TOKENS.c.refresh.is_(True))
        async with self._db.begin() as connection:
            taken = update(SMART_TOKENS).where(mine, *fresh).values(used_us=now)
            first = (await connection.execute(taken)).rowcount
            query = select(SMART_TOKENS.c.grant_id).where(mine)
            grant_id = (await connection.execute(query)).scalar_one_or_none()
            grant = await self._find(connection, grant_id or "")
            if grant is None or grant.client_id != client_id or grant.revoked_us:
                return None
            if first:
                return await self._issue(connection, grant, scope, access_s, refresh=True)
            await self._end(connection, grant.grant_id, "REFRESH_REUSED")
        raise Reused(grant)

    async def token(self, token: str) -> Token | None:
        """Return what a token stands for, whatever has become of it."""
        columns = [column for column in SMART_TOKENS.c if column.name not in ("grant_id", "sealed")]
        own = SMART_TOKENS.c.sealed.label("token_sealed")
        same = SMART_TOKENS.c.grant_id == SMART_GRANTS.c.grant_id
        query = (
            select(*columns, own, SMART_GRANTS)
            .join(SMART_GRANTS, same)
            .where(SMART_TOKENS.c.token_hash == hashed(token))
        )
        async with self._db.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            return None
        tenant, place = row["tenant"], f"token/{row['token_hash']}"
        opened = await self._sealed.open(tenant, place, row["token_sealed"])
        content = await self._sealed.open(tenant, f"grant/{row['grant_id']}", row["sealed"])
        times = (row["issued_us"], row["expires_us"], row["used_us"])
        return Token(_grant(dict(row), content), row["refresh"], opened["scope"], *times)

    async def revoke(self, grant_id: str, reason: str) -> None:
        """End a family."""
        async with self._db.begin() as connection:
            await self._end(connection, grant_id, reason)

    async def _issue(
        self,
        connection: AsyncConnection,
        grant: Grant,
        scope: str,
        access_s: float,
        *,
        refresh: bool,
    ) -> tuple[str, str]:
        now = self._db.now_us()
        ends = {False: min(now + int(access_s * US), grant.ends_us), True: grant.ends_us}
        made: dict[bool, str] = {False: secrets.token_urlsafe(32), True: ""}
        if refresh:
            made[True] = secrets.token_urlsafe(32)
        rows = [
            {
                "token_hash": hashed(token),
                "grant_id": grant.grant_id,
                "refresh": kind,
                "issued_us": now,
                "expires_us": ends[kind],
                "used_us": 0,
                "sealed": await self._sealed.seal(
                    grant.tenant, f"token/{hashed(token)}", {"scope": scope}
                ),
            }
            for kind, token in made.items()
            if token
        ]
        await connection.execute(insert(SMART_TOKENS), rows)
        return made[False], made[True]

    async def _find(self, connection: AsyncConnection, grant_id: str) -> Grant | None:
        query = select(SMART_GRANTS).where(SMART_GRANTS.c.grant_id == grant_id)
        row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            return None
        content = await self._sealed.open(row["tenant"], f"grant/{grant_id}", row["sealed"])
        return _grant(dict(row), content)

    async def _end(self, connection: AsyncConnection, grant_id: str, reason: str) -> None:
        mine = (SMART_GRANTS.c.grant_id == grant_id, SMART_GRANTS.c.revoked_us == 0)
        ended = {"revoked_us": self._db.now_us(), "reason": reason}
        await connection.execute(update(SMART_GRANTS).where(*mine).values(ended))
        self.revision += 1

    async def _sweep(self, connection: AsyncConnection, now: int) -> None:
        """Delete what ended a day ago."""
        old = now - KEPT_US
        for table, ends in (
            (SMART_CODES, SMART_CODES.c.expires_us),
            (SMART_TOKENS, SMART_TOKENS.c.expires_us),
            (SMART_GRANTS, SMART_GRANTS.c.ends_us),
        ):
            await connection.execute(delete(table).where(ends < old))

    async def _grant_row(self, approval: Approval, now: int) -> Row:
        grant_id = secrets.token_hex(16)
        return {
            "grant_id": grant_id,
            "tenant": approval.tenant,
            "client_id": approval.client_id,
            "account": approval.account,
            "session_hash": approval.session_hash,
            "created_us": now,
            "ends_us": now + int(approval.seconds * US),
            "revoked_us": 0,
            "reason": "",
            "sealed": await self._sealed.seal(
                approval.tenant, f"grant/{grant_id}", approval.content
            ),
        }


def _grant(row: Row, content: Mapping[str, Any]) -> Grant:
    names = ("grant_id", "tenant", "client_id", "account", "session_hash", "ends_us", "revoked_us")
    return Grant(**{name: row[name] for name in names}, content=content)
