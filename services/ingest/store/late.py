"""Images that came after their case had begun, as rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dxmesh.ingest.v1.ingest_service_pb2 import SubmitCaseResponse
from sqlalchemy import Row, delete, exists, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.ingest.store import cases
from services.ingest.store.cases import Claim, Draft, Outcome
from services.ingest.store.rows import microseconds
from services.ingest.store.tables import CASES, INSTANCES, SCOPES, STUDIES, TAKEN, WAITING
from services.ingest.store.waiting import Place
from services.kernel.crypto import FieldCipher

LATE_AT_ONCE = 50
"""Late uploads that are looked at in one go."""


@dataclass(frozen=True, slots=True)
class Late:
    """An upload of a study whose case has begun without it."""

    tenant: str
    study_key: str
    study: str
    """Its UID."""
    claim: Claim
    supplement: int
    """Number of the supplement that it makes, from 1."""
    answer: SubmitCaseResponse
    """Of the case."""
    touched_us: int

    @property
    def place(self) -> Place:
        """Where it stands among those that are late."""
        return self.touched_us, self.tenant, self.claim.scope


class LateStore:
    """Finds late uploads and hands them on, each once."""

    def __init__(
        self, engine: AsyncEngine, cipher_for: Callable[[str], Awaitable[FieldCipher]]
    ) -> None:
        self._engine = engine
        self._cipher_for = cipher_for

    async def after(self, place: Place, untouched_since: datetime, limit: int) -> list[Late]:
        """Return open uploads that went quiet and hold an instance their case has not had.

        Those beyond a place, the one that is quiet longest first.
        """
        new = exists().where(
            INSTANCES.c.tenant == SCOPES.c.tenant,
            INSTANCES.c.scope == SCOPES.c.scope,
            ~exists().where(
                TAKEN.c.tenant == INSTANCES.c.tenant,
                TAKEN.c.case_id == STUDIES.c.case_id,
                TAKEN.c.sop_key == INSTANCES.c.sop_key,
            ),
        )
        of_study = (STUDIES.c.tenant == SCOPES.c.tenant) & (
            STUDIES.c.study_key == SCOPES.c.study_key
        )
        begun = ~exists().where(
            WAITING.c.tenant == STUDIES.c.tenant, WAITING.c.case_id == STUDIES.c.case_id
        )
        of_case = (CASES.c.tenant == STUDIES.c.tenant) & (CASES.c.case_id == STUDIES.c.case_id)
        order = SCOPES.c.touched_us, SCOPES.c.tenant, SCOPES.c.scope
        of_upload = SCOPES.c.scope, SCOPES.c.changes, SCOPES.c.touched_us
        query = (
            select(STUDIES, *of_upload, CASES.c.sealed.label("answer"))
            .select_from(SCOPES)
            .join(STUDIES, of_study)
            .join(CASES, of_case)
            .where(SCOPES.c.is_open, SCOPES.c.touched_us <= microseconds(untouched_since))
            .where(new, begun, tuple_(*order) > tuple_(*place))
            .order_by(*order)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [await self._late(row) for row in rows]

    async def add(self, draft: Draft, study_key: str) -> Outcome:
        """Take an upload for its case and put the event into the outbox.

        TAKEN: another process was faster, or the study belongs to another case by now.
        """
        case, number = draft.answer.case, draft.event.supplement

        async def write(connection: AsyncConnection) -> None:
            counted = (
                update(STUDIES)
                .where(STUDIES.c.tenant == case.tenant, STUDIES.c.study_key == study_key)
                .where(STUDIES.c.case_id == case.case_id, STUDIES.c.supplements == number - 1)
                .values(supplements=number)
            )
            if not (await connection.execute(counted)).rowcount:
                raise cases.Taken
            await cases.take(connection, draft)
            await cases.announce(connection, draft)

        return await cases.attempt(self._engine, write)

    async def forget(self, before: datetime) -> None:
        """Forget which studies belong to cases that were submitted long ago."""
        old = STUDIES.c.since_us <= microseconds(before)
        done = select(STUDIES.c.case_id).where(STUDIES.c.tenant == TAKEN.c.tenant)
        async with self._engine.begin() as connection:
            await connection.execute(delete(STUDIES).where(old))
            await connection.execute(delete(TAKEN).where(TAKEN.c.case_id.not_in(done)))

    async def _late(self, row: Row[Any]) -> Late:
        tenant, study_key = row.tenant, row.study_key
        cipher = await self._cipher_for(tenant)
        uid = cipher.decrypt(row.sealed, cases.study_context(tenant, study_key)).decode()
        answer = cases.opened(row.answer, cipher, tenant, row.case_id)
        claim = Claim(row.scope, row.changes)
        number = row.supplements + 1
        return Late(tenant, study_key, uid, claim, number, answer, row.touched_us)
