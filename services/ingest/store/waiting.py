"""Submissions whose images are still arriving, as rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.ingest.v1.ingest_service_pb2 import SubmitCaseResponse
from sqlalchemy import delete, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.ingest.store import cases
from services.ingest.store.cases import Draft, Outcome
from services.ingest.store.rows import instant, microseconds
from services.ingest.store.tables import CASES, WAITING
from services.kernel.crypto import FieldCipher


@dataclass(frozen=True, slots=True)
class Waiting:
    """A case that was accepted and waits for images."""

    tenant: str
    case_id: str
    since: datetime
    bundle: BlobRef
    answer: SubmitCaseResponse
    """What its sender was told."""
    trace: str

    @property
    def place(self) -> Place:
        """Where it stands among those that wait."""
        return microseconds(self.since), self.tenant, self.case_id


Place = tuple[int, str, str]
"""Since when, tenant and case id: the order in which cases are looked at."""
FIRST: Place = (-1, "", "")
LOOKED_AT = 200
"""Cases that are looked at in one go."""


class WaitingStore:
    """The table of waiting cases; a case leaves it with its event, in one transaction."""

    def __init__(
        self, engine: AsyncEngine, cipher_for: Callable[[str], Awaitable[FieldCipher]]
    ) -> None:
        self._engine = engine
        self._cipher_for = cipher_for

    async def add(self, draft: Draft, bundle: BlobRef, since: datetime) -> Outcome:
        """Accept a case that waits: its keys and its own scope, but no event yet.

        What arrives of its studies from now on is its own, and late for no earlier case.
        """
        tenant, case_id = draft.answer.case.tenant, draft.answer.case.case_id
        cipher = await self._cipher_for(tenant)
        row = {
            "tenant": tenant,
            "case_id": case_id,
            "since_us": microseconds(since),
            "sealed": cipher.encrypt(bundle.SerializeToString(), _context(tenant, case_id)),
            "trace": draft.trace,
        }

        async def write(connection: AsyncConnection) -> None:
            await cases.write_case(connection, draft, cipher)
            await cases.take(connection, draft)
            await connection.execute(insert(WAITING).values(row))
            await cases.own_studies(connection, draft, cipher)

        return await cases.attempt(self._engine, write)

    async def release(self, draft: Draft) -> Outcome:
        """Take the studies, put the event into the outbox, and wait no more.

        TAKEN: another process was faster, or the case was stopped.
        """
        tenant, case_id = draft.answer.case.tenant, draft.answer.case.case_id
        cipher = await self._cipher_for(tenant)
        sealed = cases.seal(draft.answer, cipher)

        async def write(connection: AsyncConnection) -> None:
            gone = delete(WAITING).where(WAITING.c.tenant == tenant, WAITING.c.case_id == case_id)
            if not (await connection.execute(gone)).rowcount:
                raise cases.Taken
            where = CASES.c.tenant == tenant, CASES.c.case_id == case_id
            await connection.execute(update(CASES).where(*where).values(sealed=sealed))
            await cases.take(connection, draft)
            await cases.announce(connection, draft)
            await cases.own_studies(connection, draft, cipher)

        return await cases.attempt(self._engine, write)

    async def after(self, place: Place, limit: int = LOOKED_AT) -> list[Waiting]:
        """Return waiting cases beyond a place, the one that waits longest first."""
        order = tuple_(WAITING.c.since_us, WAITING.c.tenant, WAITING.c.case_id)
        query = (
            select(WAITING, CASES.c.sealed.label("answer"))
            .join(
                CASES,
                (CASES.c.tenant == WAITING.c.tenant) & (CASES.c.case_id == WAITING.c.case_id),
            )
            .where(order > tuple_(*place))
            .order_by(WAITING.c.since_us, WAITING.c.tenant, WAITING.c.case_id)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        found = []
        for row in rows:
            cipher = await self._cipher_for(row.tenant)
            bundle = cipher.decrypt(row.sealed, _context(row.tenant, row.case_id))
            found.append(
                Waiting(
                    row.tenant,
                    row.case_id,
                    instant(row.since_us),
                    BlobRef.FromString(bundle),
                    cases.opened(row.answer, cipher, row.tenant, row.case_id),
                    row.trace,
                )
            )
        return found


def _context(tenant: str, case_id: str) -> str:
    return f"ingest_waiting/{tenant}/{case_id}"
