"""Subscriptions in the store: what each asks for, where it stands, and its numbered events."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store.audit import AuditEntry, AuditTrail
from services.gateway.store.database import Database, Row, insert_absent, upsert
from services.gateway.store.resource_tables import RESOURCES
from services.gateway.store.stored import Stored, unsealed
from services.gateway.store.subscription_tables import EVENTS, MARKS, SUBSCRIPTIONS
from services.gateway.store.writing import Writing
from services.gateway.subscriptions import registration as registrations
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


class Subscriptions:
    """The subscriptions of every tenant."""

    def __init__(self, database: Database, trail: AuditTrail) -> None:
        self._db = database
        self._trail = trail

    async def mark(self, connection: AsyncConnection, tenant: str) -> int:
        """Return the mark of the tenant's subscriptions; 0: it never had one."""
        query = select(MARKS.c.mark).where(MARKS.c.tenant == tenant)
        return (await connection.execute(query)).scalar_one_or_none() or 0

    async def listening(self, connection: AsyncConnection, tenant: str) -> list[Standing]:
        """Return those whose events are numbered."""
        query = select(SUBSCRIPTIONS).where(
            SUBSCRIPTIONS.c.tenant == tenant, SUBSCRIPTIONS.c.status.in_(WAITING)
        )
        query = query.order_by(SUBSCRIPTIONS.c.id)
        rows = (await connection.execute(query)).mappings().all()
        return [await self._standing(dict(row)) for row in rows]

    async def registered(
        self, connection: AsyncConnection, tenant: str, subscription_id: str
    ) -> Registration | None:
        """Return what is registered, in a transaction; None: nothing."""
        query = select(SUBSCRIPTIONS).where(_is(tenant, subscription_id))
        row = (await connection.execute(query)).mappings().one_or_none()
        return (await self._standing(dict(row))).registration if row else None

    async def register(
        self,
        connection: AsyncConnection,
        tenant: str,
        subscription_id: str,
        registration: Registration,
        status: str,
    ) -> None:
        """Keep what a Subscription asks for, in the transaction that stores the resource.

        Its numbers go on; an endpoint that changed, or was off, is greeted anew.
        """
        cipher = await self._db.cipher_for(tenant)
        sealed = cipher.encrypt(registrations.dump(registration), _context(tenant, subscription_id))
        row: Row = {"tenant": tenant, "id": subscription_id, "numbered": 0, "delivered": 0}
        row |= {
            "edition": 0,
            "status": status,
            "greeted": 0,
            "failures": 0,
            "failing_us": 0,
            "next_us": 0,
            "sent_us": 0,
            "heartbeat_s": registration.definition.heartbeat_s,
            "end_us": registration.definition.end_us,
            "reason": "",
            "sealed": sealed,
        }
        await insert_absent(connection, SUBSCRIPTIONS, [row])
        kept = ("numbered", "delivered", "sent_us", "edition")
        changes: dict[str, Any] = {k: v for k, v in row.items() if k not in kept}
        changes["edition"] = SUBSCRIPTIONS.c.edition + 1
        await connection.execute(
            update(SUBSCRIPTIONS).where(_is(tenant, subscription_id)).values(changes)
        )
        await self.change_mark(connection, tenant)

    async def drop(self, connection: AsyncConnection, tenant: str, subscription_id: str) -> None:
        """Forget a Subscription whose resource was deleted, with its events and secrets."""
        of_it = and_(EVENTS.c.tenant == tenant, EVENTS.c.subscription == subscription_id)
        await connection.execute(delete(EVENTS).where(of_it))
        await connection.execute(delete(SUBSCRIPTIONS).where(_is(tenant, subscription_id)))
        await self.change_mark(connection, tenant)

    async def change_mark(self, connection: AsyncConnection, tenant: str) -> None:
        """Give the tenant's subscriptions a new mark; under the tenant's lock.

        It is drawn, not counted: what is rolled back leaves a mark that never comes again, so
        nothing remembered under it is taken for what another transaction made.
        """
        mark = secrets.randbits(62) | 1
        await upsert(connection, MARKS, {"tenant": tenant, "mark": mark})

    async def number(
        self,
        connection: AsyncConnection,
        tenant: str,
        found: Mapping[str, Sequence[Stored]],
    ) -> None:
        """Give each Subscription's events the next numbers, under the tenant's lock."""
        for subscription_id, versions in sorted(found.items()):
            row = SUBSCRIPTIONS.c.numbered
            query = (
                update(SUBSCRIPTIONS)
                .where(_is(tenant, subscription_id))
                .values(numbered=row + len(versions))
                .returning(row)
            )
            last = (await connection.execute(query)).scalar_one()
            first = last - len(versions) + 1
            await connection.execute(
                insert(EVENTS),
                [
                    {
                        "tenant": tenant,
                        "subscription": subscription_id,
                        "number": first + place,
                        "type": stored.type,
                        "id": stored.id,
                        "version": stored.version,
                        "time_us": stored.updated_us,
                    }
                    for place, stored in enumerate(versions)
                ],
            )

    async def version_before(
        self, connection: AsyncConnection, tenant: str, stored: Stored
    ) -> Stored | None:
        """Return the version before this one; None: none, or a deletion."""
        query = select(RESOURCES).where(
            RESOURCES.c.tenant == tenant,
            RESOURCES.c.type == stored.type,
            RESOURCES.c.id == stored.id,
            RESOURCES.c.version == stored.version - 1,
        )
        row = (await connection.execute(query)).mappings().one_or_none()
        if row is None or row["method"] == "DELETE":
            return None
        return unsealed(await self._db.cipher_for(tenant), row)

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

    async def standing(self, tenant: str, subscription_id: str) -> Standing | None:
        """Return where one stands; None: there is none."""
        found = await self.standings(tenant, [subscription_id])
        return found[0] if found else None

    async def standings(self, tenant: str, ids: Iterable[str] | None = None) -> list[Standing]:
        """Return where those of a tenant stand; of these ids, or all."""
        query = select(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.tenant == tenant)
        if ids is not None:
            query = query.where(SUBSCRIPTIONS.c.id.in_(list(ids)))
        async with self._db.read() as connection:
            rows = (await connection.execute(query.order_by(SUBSCRIPTIONS.c.id))).mappings().all()
        return [await self._standing(dict(row)) for row in rows]

    async def events(
        self, tenant: str, subscription_id: str, *, after: int, until: int = 0, limit: int
    ) -> list[Event]:
        """Return events with a number over `after`, up to and with `until` (0: any), in order."""
        query = select(EVENTS).where(
            EVENTS.c.tenant == tenant,
            EVENTS.c.subscription == subscription_id,
            EVENTS.c.number > after,
        )
        if until:
            query = query.where(EVENTS.c.number <= until)
        query = query.order_by(EVENTS.c.number).limit(limit)
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        names = Event.__dataclass_fields__
        return [Event(**{name: row[name] for name in names}) for row in rows]

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
            _is(standing.tenant, standing.id),
            SUBSCRIPTIONS.c.edition == standing.edition,
            SUBSCRIPTIONS.c.status.in_(WAITING),
        )
        done = await connection.execute(query.values(status=status))
        if done.rowcount and status == OFF:
            await self.change_mark(connection, standing.tenant)
        return bool(done.rowcount)

    async def turn_off(
        self, connection: AsyncConnection, tenant: str, subscription_id: str
    ) -> None:
        """Stop numbering and delivery, as the owner asks; secrets and numbers stay."""
        query = update(SUBSCRIPTIONS).where(_is(tenant, subscription_id))
        query = query.values(status=OFF, edition=SUBSCRIPTIONS.c.edition + 1)
        await connection.execute(query)
        await self.change_mark(connection, tenant)

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

    async def _standing(self, row: Mapping[str, Any]) -> Standing:
        cipher = await self._db.cipher_for(row["tenant"])
        plain = cipher.decrypt(row["sealed"], _context(row["tenant"], row["id"]))
        names = Standing.__dataclass_fields__.keys() - {"registration"}
        kept = {name: row[name] for name in names} | {"greeted": bool(row["greeted"])}
        return Standing(**kept, registration=registrations.load(plain))


def _same(standing: Standing) -> Any:
    """Return the condition that nothing overtook what was done for a standing."""
    return and_(
        _is(standing.tenant, standing.id),
        SUBSCRIPTIONS.c.edition == standing.edition,
        SUBSCRIPTIONS.c.delivered == standing.delivered,
    )


def _is(tenant: str, subscription_id: str) -> Any:
    return and_(SUBSCRIPTIONS.c.tenant == tenant, SUBSCRIPTIONS.c.id == subscription_id)


def _context(tenant: str, subscription_id: str) -> str:
    return f"{SUBSCRIPTIONS.name}/{tenant}/{subscription_id}"
