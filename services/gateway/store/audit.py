"""The audit trail: one sealed row per interaction, committed before its answer is sent.

A change and its row are committed together (`AuditTrail.write` inside the change's
transaction). An interaction that changes nothing waits for the commit of its row, which it
shares with all others that wait at that moment (`AuditTrail.record`).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store import sql
from services.gateway.store.audit_tables import JOURNAL
from services.gateway.store.database import Database, Row

BATCH = 256
"""Rows of one shared commit."""
SUCCESS, MINOR, SERIOUS = "0", "4", "8"
"""AuditEvent.outcome: done; refused or wrong; failed by a fault of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One interaction: who did what to which resource for what purpose, and how it ended.

    Holds references and the query, never content. `Call.audit` makes them.
    """

    tenant: str
    interaction: str
    """FHIR restful-interaction code (read, search-type, create, …), an operation's name with
    its `$`, or one of ours: submit, upload, sign, view-case, worklist, sign-in, sign-out, …"""
    agent: str
    """Account that asked."""
    role: str
    resource: str = ""
    """Reference ("Type/id", with "/_history/n" where a version is meant), a type, or empty."""
    seen: tuple[str, ...] = ()
    """References of further resources that were answered or changed."""
    patients: tuple[str, ...] = ()
    """References of the patients concerned; empty: taken from `resource` when it is settled."""
    case_id: str = ""
    query: str = ""
    """Path and query as they were sent; they may identify, and are kept sealed."""
    outcome: str = SUCCESS
    reason: str = ""
    """Reason of the error, UPPER_SNAKE_CASE."""
    client_id: str = ""
    """SMART client that asked on the account's behalf."""
    practitioner: str = ""
    """Identifier of the person, "system|value"."""
    purpose: str = "TREAT"
    """v3-PurposeOfUse."""
    request_id: str = ""
    trace_id: str = ""
    address: str = ""
    """Network address the request came from."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Of the AuditEvent."""
    time_us: int = 0
    """When; 0 until it is written."""

    @property
    def succeeded(self) -> bool:
        """Whether it was done."""
        return self.outcome == SUCCESS


@dataclass(frozen=True, slots=True)
class JournalRow:
    """An entry and where it stands in its tenant's journal."""

    number: int
    entry: AuditEntry


class AuditTrail:
    """Append-only; an access fails when its entry cannot be written."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._waiting: list[tuple[AuditEntry, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def record(self, entry: AuditEntry) -> None:
        """Return when the entry is committed; those that wait at the same time share a commit."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((replace(entry, time_us=entry.time_us or self._db.now_us()), done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._drain())
        await done

    async def write(self, connection: AsyncConnection, entries: Sequence[AuditEntry]) -> None:
        """Write entries inside the transaction of the change they tell of."""
        if not entries:
            return
        rows: list[sql.Values] = []
        for tenant in dict.fromkeys(entry.tenant for entry in entries):
            cipher = await self._db.cipher_for(tenant)
            for entry in entries:
                if entry.tenant != tenant:
                    continue
                timed = entry if entry.time_us else replace(entry, time_us=self._db.now_us())
                sealed = cipher.encrypt(dump(timed), context(tenant, timed.id))
                rows.append((tenant, timed.time_us, timed.id, sealed))
        await sql.add_entries(connection, rows)

    async def rows(self, tenant: str, *, after: int = 0, limit: int = 200) -> list[JournalRow]:
        """Return entries after a number, oldest first."""
        query = (
            select(JOURNAL)
            .where(JOURNAL.c.tenant == tenant, JOURNAL.c.id > after, JOURNAL.c.event != "")
            .order_by(JOURNAL.c.id)
            .limit(limit)
        )
        async with self._db.read() as connection:
            found = (await connection.execute(query)).mappings().all()
        return await self.opened([dict(row) for row in found])

    async def opened(self, rows: Iterable[Row]) -> list[JournalRow]:
        """Return rows of one tenant with their entries decrypted."""
        opened: list[JournalRow] = []
        for row in rows:
            cipher = await self._db.cipher_for(row["tenant"])
            plain = cipher.decrypt(row["sealed"], context(row["tenant"], row["event"]))
            opened.append(JournalRow(row["id"], load(plain)))
        return opened

    async def _drain(self) -> None:
        """Write what waits, batch by batch, until nothing does."""
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            failure: BaseException | None = None
            try:
                async with self._db.begin() as connection:
                    await self.write(connection, [entry for entry, _ in batch])
            except Exception as error:  # noqa: BLE001 - each that waits is told, and answers it
                failure = error
            for _, done in batch:
                if done.done():  # the one who waited went away; the entry stands
                    continue
                if failure:
                    done.set_exception(failure)
                else:
                    done.set_result(None)


def dump(entry: AuditEntry) -> bytes:
    """Return an entry as JSON."""
    return orjson.dumps(entry)


def load(content: bytes) -> AuditEntry:
    """Return the entry in JSON; fields that later versions dropped are left out."""
    value: dict[str, Any] = orjson.loads(content)
    known = AuditEntry.__dataclass_fields__
    kept = {name: v for name, v in value.items() if name in known}
    for name in ("seen", "patients"):
        kept[name] = tuple(kept.get(name, ()))
    return AuditEntry(**kept)


def context(tenant: str, event: str) -> str:
    """Return where a sealed entry stands; it decrypts nowhere else."""
    return f"{JOURNAL.name}/{tenant}/{event}"
