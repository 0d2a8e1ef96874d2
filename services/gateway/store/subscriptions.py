"""Subscriptions in the store: what each asks for, where it stands, and its numbered events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store.database import Row, insert_absent
from services.gateway.store.resource_tables import RESOURCES
from services.gateway.store.stored import Stored, unsealed
from services.gateway.store.subscription_progress import (
    OFF,
    US,
    WAITING,
    Event,
    Progress,
    Standing,
    is_one,
)
from services.gateway.store.subscription_tables import EVENTS, MARKS, SUBSCRIPTIONS
from services.gateway.subscriptions import registration as registrations
from services.gateway.subscriptions.registration import Registration

__all__ = ["OFF", "US", "WAITING", "Event", "Standing", "Subscriptions"]


class Subscriptions(Progress):
    """The subscriptions of every tenant."""

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

    async def count(self, connection: AsyncConnection, tenant: str) -> int:
        """Return how many are not off."""
        query = select(func.count()).where(
            SUBSCRIPTIONS.c.tenant == tenant, SUBSCRIPTIONS.c.status.in_(WAITING)
        )
        return int((await connection.execute(query)).scalar_one())

    async def registered(
        self, connection: AsyncConnection, tenant: str, subscription_id: str
    ) -> Registration | None:
        """Return what is registered, in a transaction; None: nothing."""
        query = select(SUBSCRIPTIONS).where(is_one(tenant, subscription_id))
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
            update(SUBSCRIPTIONS).where(is_one(tenant, subscription_id)).values(changes)
        )
        await self.change_mark(connection, tenant)

    async def drop(self, connection: AsyncConnection, tenant: str, subscription_id: str) -> None:
        """Forget a Subscription whose resource was deleted, with its events and secrets."""
        of_it = and_(EVENTS.c.tenant == tenant, EVENTS.c.subscription == subscription_id)
        await connection.execute(delete(EVENTS).where(of_it))
        await connection.execute(delete(SUBSCRIPTIONS).where(is_one(tenant, subscription_id)))
        await self.change_mark(connection, tenant)

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
                .where(is_one(tenant, subscription_id))
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

    async def turn_off(
        self, connection: AsyncConnection, tenant: str, subscription_id: str
    ) -> None:
        """Stop numbering and delivery, as the owner asks; secrets and numbers stay."""
        query = update(SUBSCRIPTIONS).where(is_one(tenant, subscription_id))
        query = query.values(status=OFF, edition=SUBSCRIPTIONS.c.edition + 1)
        await connection.execute(query)
        await self.change_mark(connection, tenant)

    async def _standing(self, row: Mapping[str, Any]) -> Standing:
        cipher = await self._db.cipher_for(row["tenant"])
        plain = cipher.decrypt(row["sealed"], _context(row["tenant"], row["id"]))
        names = Standing.__dataclass_fields__.keys() - {"registration"}
        kept = {name: row[name] for name in names} | {"greeted": bool(row["greeted"])}
        return Standing(**kept, registration=registrations.load(plain))


def _context(tenant: str, subscription_id: str) -> str:
    return f"{SUBSCRIPTIONS.name}/{tenant}/{subscription_id}"
