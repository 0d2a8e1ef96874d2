"""Events written in the transaction of the change they announce, until the bus has them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.reporting.store.rows import insert_absent, of_case
from services.reporting.store.tables import OUTBOX


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event to be published under its message id; `topic` is the name of a `Topic`."""

    message_id: str
    topic: str
    event: bytes


class Outbox:
    """The outbox table. An event may be published twice; its message id makes that harmless."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def cases(self, limit: int = 200) -> list[tuple[str, str]]:
        """Return (tenant, case id) with events that were not confirmed, oldest first."""
        query = select(OUTBOX.c.tenant, OUTBOX.c.case_id).order_by(OUTBOX.c.number).limit(limit)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return list(dict.fromkeys((tenant, case_id) for tenant, case_id in rows))

    async def pending(self, tenant: str, case_id: str) -> list[Outgoing]:
        """Return a case's events in the order they were written."""
        query = (
            select(OUTBOX.c.message_id, OUTBOX.c.topic, OUTBOX.c.event)
            .where(*of_case(OUTBOX, tenant, case_id))
            .order_by(OUTBOX.c.number)
        )
        async with self._engine.connect() as connection:
            return [Outgoing(*row) for row in await connection.execute(query)]

    async def sent(self, message_id: str) -> None:
        """Forget an event: the bus has it."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(OUTBOX).where(OUTBOX.c.message_id == message_id))


async def write(connection: AsyncConnection, tenant: str, case_id: str, out: Outgoing) -> None:
    """Put an event into the outbox, within a transaction."""
    row = {"tenant": tenant, "case_id": case_id, "message_id": out.message_id}
    await insert_absent(connection, OUTBOX, {**row, "topic": out.topic, "event": out.event})
