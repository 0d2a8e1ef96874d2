"""Moves the audit trail that was kept before there was a journal into it, sealed."""

from __future__ import annotations

import uuid

from sqlalchemy import bindparam, delete, select, update

from services.gateway.store.audit import MINOR, SUCCESS, AuditEntry, context, dump
from services.gateway.store.audit_tables import JOURNAL
from services.gateway.store.database import Database, Row
from services.gateway.store.tables import AUDIT

BATCH = 500
NAMES = {"search": "search-type", "view": "view-case", "write-consent": "update"}
"""What an action is called now."""


async def take_over(database: Database) -> int:
    """Seal what is left of it, batch by batch; return how many rows there were.

    The migration gave each row its place in the journal, under its number. Replicas may do
    this at the same time: what both write is the same.
    """
    moved = 0
    while rows := await _some(database):
        sealed = [await _sealed(database, row) for row in rows]
        ids = [row["id"] for row in rows]
        async with database.begin() as connection:
            await connection.execute(
                update(JOURNAL)
                .where(JOURNAL.c.id == bindparam("number"), JOURNAL.c.event == "")
                .values(event=bindparam("named"), sealed=bindparam("content")),
                sealed,
            )
            await connection.execute(delete(AUDIT).where(AUDIT.c.id.in_(ids)))
        moved += len(rows)
    return moved


async def _some(database: Database) -> list[Row]:
    query = select(AUDIT).order_by(AUDIT.c.id).limit(BATCH)
    async with database.read() as connection:
        return [dict(row) for row in (await connection.execute(query)).mappings()]


async def _sealed(database: Database, row: Row) -> Row:
    tenant, action = str(row["tenant"]), str(row["action"])
    hasher = await database.hasher_for(tenant)
    name = str(uuid.UUID(hasher("audit-before", str(row["id"]))[:32]))
    entry = AuditEntry(
        tenant=tenant,
        interaction=NAMES.get(action, action),
        agent=row["agent"],
        role=row["role"],
        resource=row["resource"],
        case_id=row["case_id"],
        outcome=SUCCESS if row["succeeded"] else MINOR,
        id=name,
        time_us=row["time_us"],
    )
    cipher = await database.cipher_for(tenant)
    content = cipher.encrypt(dump(entry), context(tenant, name))
    return {"number": row["id"], "named": name, "content": content}
