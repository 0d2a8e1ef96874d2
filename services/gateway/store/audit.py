"""The audit trail: who did what to which resource, and whether it was allowed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import insert, select

from services.gateway.access.principal import Principal
from services.gateway.store.database import Database
from services.gateway.store.tables import AUDIT


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One access."""

    id: int
    time_us: int
    agent: str
    role: str
    action: str
    resource: str
    case_id: str
    succeeded: bool


class AuditTrail:
    """Append-only; rows name resources by id, never by content."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def record(
        self,
        principal: Principal,
        action: str,
        resource: str,
        *,
        case_id: str = "",
        succeeded: bool = True,
    ) -> None:
        """Write one row; the access fails when it cannot be written."""
        row = {
            "tenant": principal.tenant,
            "time_us": self._db.now_us(),
            "agent": principal.name,
            "role": str(principal.role),
            "action": action,
            "resource": resource[:192],
            "case_id": case_id,
            "succeeded": succeeded,
        }
        async with self._db.begin() as connection:
            await connection.execute(insert(AUDIT).values(row))

    async def rows(self, tenant: str, *, after: int = 0, limit: int = 200) -> list[AuditRow]:
        """Return rows after an id, oldest first."""
        query = (
            select(AUDIT)
            .where(AUDIT.c.tenant == tenant, AUDIT.c.id > after)
            .order_by(AUDIT.c.id)
            .limit(limit)
        )
        names = AuditRow.__dataclass_fields__
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [AuditRow(**{name: row[name] for name in names}) for row in rows]
