"""Which critical results were told, who has not read them yet, and when they are told again.

Every change is made with its Communication in one transaction, so a notice is neither sent
twice nor lost. Locks are taken in this order: case, notices, tenant.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store.critical_tables import CRITICAL, VOID
from services.gateway.store.database import Database, insert_absent
from services.kernel.crypto import KeyedHash

OPEN, READ, WITHDRAWN = "open", "read", "withdrawn"
NEVER_US = 1 << 62
REMEMBERED_US = 60 * 86_400_000_000
"""How long it is remembered what was corrected or replaced: the bus keeps an event half of it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One critical result that was told; see the table for its fields."""

    tenant: str
    id: str
    case_id: str
    part_id: str
    about_hash: str
    same_hash: str
    state: str
    found_us: int
    sent_us: int
    read_us: int
    next_us: int
    escalations: int

    @property
    def communications(self) -> list[str]:
        """Ids of its Communications: the first, then each escalation."""
        return [self.id, *(escalation_id(self.id, n + 1) for n in range(self.escalations))]


@dataclass(frozen=True, slots=True)
class Void:
    """What a case corrected or replaced; see the table for its fields."""

    tenant: str
    hash: str
    case_id: str
    received_us: int
    noted_us: int


def escalation_id(notice_id: str, number: int) -> str:
    """Return the id of the `number`th escalation's Communication, from 1."""
    return f"{notice_id}-{number}"


class CriticalNotices:
    """The notices of every tenant."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def hasher(self, tenant: str) -> KeyedHash:
        """Return the tenant's keyed hash, for `about_hash` and ids."""
        return await self._db.hasher_for(tenant)

    def now_us(self) -> int:
        """Return the time by the database's clock, µs."""
        return self._db.now_us()

    async def of_part(
        self, connection: AsyncConnection, tenant: str, case_id: str, part_id: str
    ) -> list[Notice]:
        """Lock and return a part's notices."""
        which = (CRITICAL.c.case_id == case_id) & (CRITICAL.c.part_id == part_id)
        return await self._locked(connection, tenant, which)

    async def about(
        self,
        connection: AsyncConnection,
        tenant: str,
        hashes: Collection[str],
        *,
        lock: bool = True,
    ) -> list[Notice]:
        """Lock and return the notices about some results, by either hash, of whatever case."""
        if not hashes:
            return []
        which = CRITICAL.c.about_hash.in_(hashes) | CRITICAL.c.same_hash.in_(hashes)
        if lock:
            return await self._locked(connection, tenant, which)
        query = select(CRITICAL).where(CRITICAL.c.tenant == tenant, which)
        return await _all(connection, query.order_by(CRITICAL.c.id))

    async def void(
        self,
        connection: AsyncConnection,
        tenant: str,
        case_id: str,
        received_us: int,
        hashes: Collection[str],
    ) -> None:
        """Remember what a case corrected or replaced: what it replaces may come later."""
        now_us = self._db.now_us()
        rows = [asdict(Void(tenant, each, case_id, received_us, now_us)) for each in sorted(hashes)]
        if rows:
            old = (VOID.c.tenant == tenant) & (VOID.c.noted_us < now_us - REMEMBERED_US)
            await connection.execute(delete(VOID).where(old))
        await insert_absent(connection, VOID, rows)

    async def voided(
        self, connection: AsyncConnection, tenant: str, hashes: Collection[str]
    ) -> list[Void]:
        """Return which of some results or parts were corrected or replaced, and by which case."""
        query = select(VOID).where(VOID.c.tenant == tenant, VOID.c.hash.in_(hashes))
        return [Void(**row) for row in (await connection.execute(query)).mappings()]

    async def lock(
        self, connection: AsyncConnection, tenant: str, ids: Collection[str]
    ) -> list[Notice]:
        """Lock and return those notices that there are."""
        return await self._locked(connection, tenant, CRITICAL.c.id.in_(ids))

    async def _locked(self, connection: AsyncConnection, tenant: str, which: Any) -> list[Notice]:
        where = CRITICAL.c.tenant == tenant, which
        # A write first, so that SQLite waits its turn; elsewhere it locks the rows.
        await connection.execute(update(CRITICAL).where(*where).values(state=CRITICAL.c.state))
        return await _all(connection, select(CRITICAL).where(*where).order_by(CRITICAL.c.id))

    async def add(self, connection: AsyncConnection, notices: Sequence[Notice]) -> None:
        """Add notices; one that is there already stays as it is."""
        await insert_absent(connection, CRITICAL, [asdict(each) for each in notices])

    async def set(self, connection: AsyncConnection, notice: Notice, **values: Any) -> None:
        """Change a notice that was locked, or whose case was."""
        where = CRITICAL.c.tenant == notice.tenant, CRITICAL.c.id == notice.id
        await connection.execute(update(CRITICAL).where(*where).values(**values))

    async def take(self, connection: AsyncConnection, notice: Notice, next_us: int) -> bool:
        """Count an escalation that is due; False when somebody read, told or withdrew it since."""
        where = (
            CRITICAL.c.tenant == notice.tenant,
            CRITICAL.c.id == notice.id,
            CRITICAL.c.state == OPEN,
            CRITICAL.c.next_us == notice.next_us,
            CRITICAL.c.escalations == notice.escalations,
        )
        values = {"next_us": next_us, "escalations": notice.escalations + 1}
        done = await connection.execute(update(CRITICAL).where(*where).values(values))
        return done.rowcount == 1

    async def withdrew(self, tenant: str, subject: str, version: str, at_us: int) -> None:
        """Remember that a subject withdrew: cases of before may be heard of later."""
        if not subject:
            return
        hasher = await self._db.hasher_for(tenant)
        mark = hasher("critical-withdrawal", version)  # one row for each withdrawal
        async with self._db.begin() as connection:
            await self.void(connection, tenant, mark, at_us, {hasher("critical-subject", subject)})

    async def withdrawn_us(self, tenant: str, subject: str) -> int:
        """Return when a subject withdrew last, µs; 0: never, as far as it is remembered."""
        if not subject:
            return 0
        hasher = await self._db.hasher_for(tenant)
        async with self._db.read() as connection:
            found = await self.voided(connection, tenant, {hasher("critical-subject", subject)})
        return max((each.received_us for each in found), default=0)

    async def put_off(self, notice: Notice, until_us: int, sent_us: int = 0) -> None:
        """Change when a notice is told again, where nothing else happened to it.

        Parameters
        ----------
        sent_us : since when it waits, where that is to change too
        """
        where = CRITICAL.c.tenant == notice.tenant, CRITICAL.c.id == notice.id
        same = CRITICAL.c.state == OPEN, CRITICAL.c.next_us == notice.next_us
        values = {"next_us": until_us, **({"sent_us": sent_us} if sent_us else {})}
        async with self._db.begin() as connection:
            await connection.execute(update(CRITICAL).where(*where, *same).values(values))

    async def waiting_beyond(self, until_us: int, limit: int) -> list[Notice]:
        """Return unread notices that are told again after a time, the last ones first."""
        late = (CRITICAL.c.next_us > until_us) & (CRITICAL.c.next_us < NEVER_US)
        query = select(CRITICAL).where(CRITICAL.c.state == OPEN, late)
        async with self._db.read() as connection:
            return await _all(connection, query.order_by(CRITICAL.c.next_us.desc()).limit(limit))

    async def due(self, limit: int) -> list[Notice]:
        """Return unread notices that are to be told again, longest waiting first."""
        query = (
            select(CRITICAL)
            .where(CRITICAL.c.state == OPEN, CRITICAL.c.next_us <= self._db.now_us())
            .order_by(CRITICAL.c.next_us)
            .limit(limit)
        )
        async with self._db.read() as connection:
            return await _all(connection, query)

    async def of_cases(self, tenant: str, case_ids: Collection[str]) -> list[Notice]:
        """Return the notices of some cases, longest known first."""
        query = (
            select(CRITICAL)
            .where(CRITICAL.c.tenant == tenant, CRITICAL.c.case_id.in_(case_ids))
            .order_by(CRITICAL.c.sent_us, CRITICAL.c.id)
        )
        async with self._db.read() as connection:
            return await _all(connection, query)

    async def of_communication(self, tenant: str, communication_id: str) -> Notice | None:
        """Return the notice that a Communication told, first or again."""
        first, _, number = communication_id.rpartition("-")
        ids = [communication_id, *([first] if number.isdigit() else [])]
        query = select(CRITICAL).where(CRITICAL.c.tenant == tenant, CRITICAL.c.id.in_(ids))
        async with self._db.read() as connection:
            found = await _all(connection, query)
        return next((one for one in found if communication_id in one.communications), None)

    async def drop(self, connection: AsyncConnection, tenant: str, case_id: str) -> list[Notice]:
        """Forget the notices of a case, which are returned."""
        found = await self._locked(connection, tenant, CRITICAL.c.case_id == case_id)
        await connection.execute(delete(CRITICAL).where(_of_case(tenant, case_id)))
        of_case = (VOID.c.tenant == tenant) & (VOID.c.case_id == case_id)
        await connection.execute(delete(VOID).where(of_case))
        return found

    async def unread_of_all(self) -> dict[str, tuple[int, int]]:
        """Return by tenant how many notices nobody has read, and when the first was sent, µs."""
        columns = CRITICAL.c.tenant, func.count(), func.min(CRITICAL.c.sent_us)
        query = select(*columns).where(CRITICAL.c.state == OPEN).group_by(CRITICAL.c.tenant)
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).all()
        return {str(tenant): (int(count), int(first)) for tenant, count, first in rows}

    async def unread(self, tenant: str) -> tuple[int, int]:
        """Return how many notices nobody has read, and when the first of them was sent, µs."""
        query = select(func.count(), func.min(CRITICAL.c.sent_us)).where(
            CRITICAL.c.tenant == tenant, CRITICAL.c.state == OPEN
        )
        async with self._db.read() as connection:
            count, oldest = (await connection.execute(query)).one()
        return int(count), int(oldest or 0)


async def _all(connection: AsyncConnection, query: Any) -> list[Notice]:
    return [Notice(**row) for row in (await connection.execute(query)).mappings()]


def _of_case(tenant: str, case_id: str) -> Any:
    return (CRITICAL.c.tenant == tenant) & (CRITICAL.c.case_id == case_id)
