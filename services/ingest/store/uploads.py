"""Scopes of the intake and the instances in them, as rows; the bytes are blobs."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import Select, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.store.rows import insert_absent, insert_new, instant, microseconds
from services.ingest.store.tables import INSTANCES, SCOPES
from services.ingest.store.together import Together

OPEN_MAX = 1000

# Built once: each arriving file runs these, and building them takes as long as running them.
_ROWS = select(INSTANCES, SCOPES.c.is_open, SCOPES.c.case_id).join(
    SCOPES, SCOPES.c.scope == INSTANCES.c.scope
)
_OF_INSTANCES = _ROWS.where(
    INSTANCES.c.tenant == bindparam("of_tenant"),
    INSTANCES.c.sop_key.in_(bindparam("keys", expanding=True)),
).order_by(INSTANCES.c.number)
_OF_SCOPE = _ROWS.where(
    INSTANCES.c.tenant == bindparam("of_tenant"), INSTANCES.c.scope == bindparam("of_scope")
).order_by(INSTANCES.c.number)
_TOUCH = (
    update(SCOPES)
    .where(SCOPES.c.tenant == bindparam("of_tenant"), SCOPES.c.scope == bindparam("of_scope"))
    .where(SCOPES.c.is_open)
    .values(touched_us=bindparam("now"), changes=SCOPES.c.changes + bindparam("more"))
)


class Added(Enum):
    """What became of an instance row."""

    NEW = "new"
    PRESENT = "present"
    CLOSED = "closed"
    """The upload was taken by a case, or destroyed, in the meantime."""


@dataclass(frozen=True, slots=True)
class Held:
    """An instance row."""

    scope: str
    sop_key: str
    content_key: str
    sealed: bytes
    is_open: bool
    case_id: str


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload of a study."""

    scope: str
    changes: int
    is_open: bool
    case_id: str
    touched: datetime
    """When its newest instance came."""


@dataclass(frozen=True, slots=True)
class New:
    """An instance row to be added."""

    tenant: str
    scope: str
    sop_key: str
    content_key: str
    sealed: bytes
    now: datetime

    def row(self) -> dict[str, Any]:
        """Return it as the table has it."""
        return {
            "tenant": self.tenant,
            "scope": self.scope,
            "sop_key": self.sop_key,
            "content_key": self.content_key,
            "sealed": self.sealed,
        }


class UploadStore:
    """The tables of scopes and instances. Every transaction begins with its write."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._adding = Together(self._add_all)
        self._asking = Together(self._of_all)
        self._open: dict[tuple[str, str], str] = {}
        """Open uploads by tenant and study key, as they were last seen; `add` finds out."""

    async def open_upload(self, tenant: str, study_key: str, now: datetime) -> str:
        """Return the scope of a study's open upload; begin one when there is none.

        It may have been closed since it was last seen: then nothing can be added to it.
        """
        if known := self._open.get((tenant, study_key)):
            return known
        query = select(SCOPES.c.scope).where(
            SCOPES.c.tenant == tenant, SCOPES.c.study_key == study_key, SCOPES.c.is_open
        )
        while True:
            async with self._engine.connect() as connection:
                if scope := (await connection.execute(query)).scalar_one_or_none():
                    if len(self._open) >= OPEN_MAX:
                        self._open.clear()
                    self._open[tenant, study_key] = str(scope)
                    return str(scope)
            await self._insert(tenant, f"study-{uuid.uuid4().hex}", study_key, now)

    async def open_submission(self, tenant: str, case_id: str, now: datetime) -> str:
        """Begin a scope for one attempt to submit a case; return it."""
        scope = f"{case_id}.{uuid.uuid4().hex[:12]}"
        await self._insert(tenant, scope, "", now)
        return scope

    async def add(self, row: New) -> Added:
        """Add an instance to an open upload; those that come at once share a transaction."""
        return await self._adding.do(row)

    async def of_instance(self, tenant: str, sop_key: str) -> list[Held]:
        """Return every row of an instance, in whichever upload."""
        return await self._asking.do((tenant, sop_key))

    async def of_scope(self, tenant: str, scope: str) -> list[Held]:
        """Return an upload's instances in the order received."""
        return await self._held(_OF_SCOPE, {"of_tenant": tenant, "of_scope": scope})

    async def of_study(self, tenant: str, study_key: str) -> list[Upload]:
        """Return a study's uploads, oldest first."""
        return await self._uploads(SCOPES.c.tenant == tenant, SCOPES.c.study_key == study_key)

    async def of_case(self, tenant: str, case_id: str) -> list[Upload]:
        """Return what a case took: its uploads and its submission."""
        return await self._uploads(SCOPES.c.tenant == tenant, SCOPES.c.case_id == case_id)

    async def close(self, tenant: str, scope: str, untouched_since: datetime | None = None) -> bool:
        """Take nothing more into a scope that no case has; False when a case has it.

        `untouched_since`: leave it alone when something arrived after that.
        """
        change = update(SCOPES).where(
            SCOPES.c.tenant == tenant, SCOPES.c.scope == scope, SCOPES.c.case_id == ""
        )
        if untouched_since:
            change = change.where(SCOPES.c.touched_us <= microseconds(untouched_since))
        async with self._engine.begin() as connection:
            return bool((await connection.execute(change.values(is_open=False))).rowcount)

    async def forget(self, tenant: str, scope: str) -> None:
        """Delete the rows of a scope whose key is destroyed."""
        self._mistrust(scope)
        async with self._engine.begin() as connection:
            for table in (INSTANCES, SCOPES):
                where = table.c.tenant == tenant, table.c.scope == scope
                await connection.execute(delete(table).where(*where))

    async def unclaimed(
        self, before: datetime, *, study: bool, limit: int
    ) -> list[tuple[str, str]]:
        """Return (tenant, scope) that no case took and nothing touched since."""
        kind = SCOPES.c.study_key != "" if study else SCOPES.c.study_key == ""
        return await self._places(SCOPES.c.case_id == "", kind, before=before, limit=limit)

    async def claimed(self, before: datetime, after: str, limit: int) -> list[tuple[str, str]]:
        """Return (tenant, scope) that a case took before, by name and beyond `after`."""
        taken = SCOPES.c.case_id != "", SCOPES.c.scope > after
        return await self._places(*taken, before=before, limit=limit)

    async def closed(self, before: datetime, limit: int) -> list[tuple[str, str]]:
        """Return (tenant, scope) whose destruction began and did not end."""
        half = SCOPES.c.case_id == "", SCOPES.c.is_open.is_(False)
        return await self._places(*half, before=before, limit=limit)

    async def _add_all(self, rows: Sequence[New]) -> list[Added]:
        """Add instances in one transaction, each upload's together."""
        found: dict[tuple[str, str], set[str] | None] = {}
        by_scope: dict[tuple[str, str], list[New]] = {}
        for row in sorted(rows, key=lambda each: each.scope):  # one order: no deadlock
            by_scope.setdefault((row.tenant, row.scope), []).append(row)
        async with self._engine.begin() as connection:
            for (tenant, scope), new in by_scope.items():
                touch = {
                    "of_tenant": tenant,
                    "of_scope": scope,
                    "now": max(microseconds(each.now) for each in new),
                    "more": len(new),
                }
                result = await connection.execute(_TOUCH, touch)
                found[tenant, scope] = (
                    await insert_new(connection, INSTANCES, [each.row() for each in new], "sop_key")
                    if result.rowcount
                    else None
                )
        return [self._added(row, found[row.tenant, row.scope]) for row in rows]

    def _added(self, row: New, new: set[str] | None) -> Added:
        if new is None:
            self._mistrust(row.scope)
            return Added.CLOSED
        if row.sop_key not in new:
            return Added.PRESENT
        new.discard(row.sop_key)
        return Added.NEW

    async def _of_all(self, asked: Sequence[tuple[str, str]]) -> list[list[Held]]:
        """Return the rows of several instances by one question for each tenant."""
        found: dict[tuple[str, str], list[Held]] = {each: [] for each in asked}
        for tenant in dict.fromkeys(tenant for tenant, _ in asked):
            keys = list({key for each, key in asked if each == tenant})
            for held in await self._held(_OF_INSTANCES, {"of_tenant": tenant, "keys": keys}):
                found[tenant, held.sop_key].append(held)
        return [list(found[each]) for each in asked]

    def _mistrust(self, scope: str) -> None:
        self._open = {study: open_ for study, open_ in self._open.items() if open_ != scope}

    async def _insert(self, tenant: str, scope: str, study_key: str, now: datetime) -> None:
        row = {
            "scope": scope,
            "tenant": tenant,
            "study_key": study_key,
            "case_id": "",
            "is_open": True,
            "changes": 0,
            "touched_us": microseconds(now),
        }
        async with self._engine.begin() as connection:
            await insert_absent(connection, SCOPES, row)

    async def _places(self, *where: Any, before: datetime, limit: int) -> list[tuple[str, str]]:
        query = (
            select(SCOPES.c.tenant, SCOPES.c.scope)
            .where(SCOPES.c.touched_us <= microseconds(before), *where)
            .order_by(SCOPES.c.scope)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [(row.tenant, row.scope) for row in await connection.execute(query)]

    async def _uploads(self, *where: Any) -> list[Upload]:
        columns = (SCOPES.c.scope, SCOPES.c.changes, SCOPES.c.is_open, SCOPES.c.case_id)
        query = select(*columns, SCOPES.c.touched_us).where(*where).order_by(SCOPES.c.touched_us)
        async with self._engine.connect() as connection:
            return [Upload(*row[:-1], instant(row[-1])) for row in await connection.execute(query)]

    async def _held(self, query: Select[Any], values: dict[str, Any]) -> list[Held]:
        names = ("scope", "sop_key", "content_key", "sealed", "is_open", "case_id")
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query, values)).mappings().all()
        return [Held(*(row[name] for name in names)) for row in rows]
