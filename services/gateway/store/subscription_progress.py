"""Where subscriptions stand, and how delivery moves them on."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store.audit import AuditEntry, AuditTrail
from services.gateway.store.database import Database, upsert
from services.gateway.store.subscription_tables import EVENTS, MARKS, SUBSCRIPTIONS
from services.gateway.store.writing import Writing
from services.gateway.subscriptions.registration import Registration

US = 1_000_000
OFF = "off"
WAITING = ("requested", "active", "error")
"""States in which events are numbered and delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one Subscription stands; see `subscription_tables`."""

    tenant: str
    id: str
    edition: int
    status: str
    greeted: bool
    numbered: int
    delivered: int
    failures: int
    failing_us: int
    next_us: int
    sent_us: int
    reason: str
    registration: Registration

    @property
    def waiting(self) -> int:
        """How many events its endpoint has not taken."""
        return self.numbered - self.delivered


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a Subscription: the version of a resource that it is about."""

    number: int
    type: str
    id: str
    version: int
    time_us: int


class Progress:
    """What delivery asks of the store and notes in it."""

    def __init__(self, database: Database, trail: AuditTrail) -> None:
        self._db = database
        self._trail = trail

    async def due(self, now_us: int, limit: int) -> list[tuple[str, str]]:
        """Return (tenant, id) of those that something must be done for, longest due first."""
        s = SUBSCRIPTIONS.c
        quiet = and_(s.heartbeat_s > 0, s.sent_us + s.heartbeat_s * US <= now_us)
        ended = and_(s.end_us > 0, s.end_us <= now_us)
        work = and_(s.next_us <= now_us, or_(s.numbered > s.delivered, s.greeted == 0, quiet))
        query = (
            select(s.tenant, s.id)
            .where(s.status.in_(WAITING), or_(ended, work))
            .order_by(s.next_us, s.tenant, s.id)
            .limit(limit)
        )
        async with self._db.read() as connection:
            return [(tenant, name) for tenant, name in await connection.execute(query)]

    async def taken(
        self,
        standing: Standing,
        number: int,
        now_us: int,
        entry: AuditEntry | None = None,
        *,
        writing: Writing | None = None,
    ) -> None:
        """Note that the endpoint took everything up to a number, with its audit entry.

        With a `writing` it is part of that transaction.
        """
        values = {
            "delivered": number,
            "greeted": 1,
            "failures": 0,
            "failing_us": 0,
            "next_us": 0,
            "sent_us": now_us,
            "reason": "",
        }
        query = update(SUBSCRIPTIONS).where(_same(standing)).values(values)
        if writing:
            await writing.connection.execute(query)
            if entry:
                writing.audit(entry)
            return
        async with self._db.begin() as connection:
            await connection.execute(query)
            await self._trail.write(connection, [entry] if entry else [])

    async def failed(
        self,
        standing: Standing,
        reason: str,
        now_us: int,
        next_us: int,
        *,
        writing: Writing | None = None,
    ) -> None:
        """Note that an attempt failed, and when the next one may be made."""
        values = {
            "failures": standing.failures + 1,
            "failing_us": standing.failing_us or now_us,
            "next_us": next_us,
            "reason": reason[:64],
        }
        query = update(SUBSCRIPTIONS).where(_same(standing)).values(values)
        if writing:
            await writing.connection.execute(query)
            return
        async with self._db.begin() as connection:
            await connection.execute(query)

    async def set_status(
        self, connection: AsyncConnection, standing: Standing, status: str
    ) -> bool:
        """Set the state, in the transaction that stores it in the resource.

        False: its owner wrote the Subscription meanwhile.
        """
        query = update(SUBSCRIPTIONS).where(
            is_one(standing.tenant, standing.id),
            SUBSCRIPTIONS.c.edition == standing.edition,
            SUBSCRIPTIONS.c.status.in_(WAITING),
        )
        done = await connection.execute(query.values(status=status))
        if done.rowcount and status == OFF:
            await self.change_mark(connection, standing.tenant)
        return bool(done.rowcount)

    async def forget_events(self, before_us: int) -> None:
        """Delete events of a time before this that their endpoint took."""
        old = and_(
            EVENTS.c.time_us < before_us,
            select(SUBSCRIPTIONS.c.id)
            .where(
                SUBSCRIPTIONS.c.tenant == EVENTS.c.tenant,
                SUBSCRIPTIONS.c.id == EVENTS.c.subscription,
                SUBSCRIPTIONS.c.delivered >= EVENTS.c.number,
            )
            .exists(),
        )
        async with self._db.begin() as connection:
            await connection.execute(delete(EVENTS).where(old))

    async def change_mark(self, connection: AsyncConnection, tenant: str) -> None:
        """Give the tenant's subscriptions a new mark; under the tenant's lock.

        It is drawn, not counted: what is rolled back leaves a mark that never comes again, so
        nothing remembered under it is taken for what another transaction made.
        """
        mark = secrets.randbits(62) | 1
        await upsert(connection, MARKS, {"tenant": tenant, "mark": mark})


def _same(standing: Standing) -> Any:
    """Return the condition that nothing overtook what was done for a standing."""
    return and_(
        is_one(standing.tenant, standing.id),
        SUBSCRIPTIONS.c.edition == standing.edition,
        SUBSCRIPTIONS.c.delivered == standing.delivered,
    )


def is_one(tenant: str, subscription_id: str) -> Any:
    """Return the condition that a row is of this Subscription."""
    return and_(SUBSCRIPTIONS.c.tenant == tenant, SUBSCRIPTIONS.c.id == subscription_id)
