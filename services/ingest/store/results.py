"""The results of accepted cases: which of them correct each other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from dxmesh.event.v1.case_received_pb2 import Correction
from dxmesh.event.v1.case_ref_pb2 import CaseRef
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.ingest import corrections
from services.ingest.corrections import Row
from services.ingest.store.rows import microseconds
from services.ingest.store.tables import RESULTS

AT_ONCE = 500
"""Keys of one question: databases have limits."""


async def join(
    connection: AsyncConnection, case: CaseRef, subject_key: str, rows: Sequence[Row]
) -> list[Correction]:
    """Keep the results of a case; return which of them correct those of others, or are.

    Cases of one patient come one after the other here, so that none misses another's.
    """
    if not rows:
        return []
    if connection.dialect.name == "postgresql":
        lock = int.from_bytes(hashlib.sha256(subject_key.encode()).digest()[:8], signed=True)
        await connection.execute(select(func.pg_advisory_xact_lock(lock)))
    since_us = case.received_time.ToMicroseconds()
    kept = [{"tenant": case.tenant, "since_us": since_us} | _columns(each) for each in rows]
    # Written before it is asked: SQLite lets one writer in at a time.
    await connection.execute(insert(RESULTS), kept)
    known: list[Row] = []
    keys = sorted({each.result_key for each in rows})
    for start in range(0, len(keys), AT_ONCE):
        query = (
            select(*(RESULTS.c[name] for name in Row.__slots__))
            .where(RESULTS.c.tenant == case.tenant, RESULTS.c.case_id != case.case_id)
            .where(RESULTS.c.result_key.in_(keys[start : start + AT_ONCE]))
            .order_by(RESULTS.c.number)
        )
        known += [Row(*each) for each in await connection.execute(query)]
    return corrections.joined(rows, known)


async def forget(engine: AsyncEngine, before: datetime) -> None:
    """Forget the results of cases that are too old to be corrected."""
    async with engine.begin() as connection:
        await connection.execute(delete(RESULTS).where(RESULTS.c.since_us < microseconds(before)))


def _columns(row: Row) -> dict[str, str]:
    return {name: getattr(row, name) for name in Row.__slots__}
