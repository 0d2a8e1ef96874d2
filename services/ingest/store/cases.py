"""Accepted cases, what makes a submission the same, and the events still to be published."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.ingest.v1.ingest_service_pb2 import SubmitCaseResponse
from sqlalchemy import delete, insert, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.ingest.corrections import Row
from services.ingest.store import originals, results
from services.ingest.store.originals import Original
from services.ingest.store.tables import (
    CASES,
    INSTANCES,
    OUTBOX,
    RESULTS,
    SCOPES,
    STUDIES,
    SUBMISSIONS,
    TAKEN,
    WAITING,
)
from services.kernel.crypto import FieldCipher

CipherFor = Callable[[str], Awaitable[FieldCipher]]
"""Returns a tenant's cipher for database fields."""


class Outcome(Enum):
    """What became of an attempt to accept a case."""

    ACCEPTED = "accepted"
    TAKEN = "taken"
    """The same submission was accepted in the meantime."""
    MOVED = "moved"
    """An upload changed since it was read."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A case that was accepted before."""

    case_id: str
    content_key: str
    answer: SubmitCaseResponse
    is_stopped: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A scope that a case takes, as it was when it was read."""

    scope: str
    changes: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A case about to be accepted."""

    answer: SubmitCaseResponse
    event: CaseReceived
    content_key: str
    keys: Sequence[str]
    """Keyed hashes by which the same submission is known again."""
    claims: Sequence[Claim]
    trace: str
    studies: Sequence[tuple[str, str]] = ()
    """Key and UID of the studies that the submission names: what comes late of them is its."""
    original: Original | None = None
    """What the submission was made of, where that was no FHIR; its blob is written."""
    results: Sequence[Row] = ()
    """Its results, by which those are known that correct them or that they correct."""

    @property
    def message_id(self) -> str:
        """Message id of the event."""
        number = self.event.supplement
        return f"{self.answer.case.case_id}/received" + (f"/{number}" if number else "")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event the bus has not confirmed."""

    message_id: str
    event: CaseReceived
    trace: str


class Moved(Exception):
    """Rolls the transaction back: an upload has changed."""


class Taken(Exception):
    """Rolls the transaction back: another process was faster."""


class CaseStore:
    """The tables of cases, submissions and the outbox."""

    def __init__(self, engine: AsyncEngine, cipher_for: CipherFor) -> None:
        self._engine = engine
        self._cipher_for = cipher_for

    async def find(self, tenant: str, keys: Sequence[str]) -> Accepted | None:
        """Return the case accepted under the first key that is known."""
        query = select(SUBMISSIONS.c.submission_key, SUBMISSIONS.c.case_id).where(
            SUBMISSIONS.c.tenant == tenant, SUBMISSIONS.c.submission_key.in_(keys)
        )
        async with self._engine.connect() as connection:
            known = {row.submission_key: row.case_id for row in await connection.execute(query)}
            case_id = next((known[key] for key in keys if key in known), None)
            if case_id is None:
                return None
            where = CASES.c.tenant == tenant, CASES.c.case_id == case_id
            row = (await connection.execute(select(CASES).where(*where))).one()
        cipher = await self._cipher_for(tenant)
        answer = opened(row.sealed, cipher, tenant, case_id)
        return Accepted(case_id, row.content_key, answer, row.is_stopped)

    async def accept(self, draft: Draft) -> Outcome:
        """Write the case, its keys and its event, and take its scopes, all or nothing."""
        cipher = await self._cipher_for(draft.answer.case.tenant)

        async def write(connection: AsyncConnection) -> None:
            await write_case(connection, draft, cipher)
            await take(connection, draft)
            await announce(connection, draft)
            await own_studies(connection, draft, cipher)
            case, original = draft.answer.case, draft.original
            if original and not await originals.keep(connection, case, original, cipher):
                raise Moved

        return await attempt(self._engine, write)

    async def stop(self, tenant: str, case_id: str) -> None:
        """Note that a case was stopped; what was not published of it never will be."""
        async with self._engine.begin() as connection:
            where = CASES.c.tenant == tenant, CASES.c.case_id == case_id
            await connection.execute(update(CASES).where(*where).values(is_stopped=True))
            for table in (OUTBOX, WAITING, STUDIES, TAKEN, RESULTS):
                gone = table.c.tenant == tenant, table.c.case_id == case_id
                await connection.execute(delete(table).where(*gone))

    async def forget_results(self, before: datetime) -> None:
        """Forget the results of cases that are too old to be corrected."""
        await results.forget(self._engine, before)

    async def outgoing(
        self, tenant: str = "", case_id: str = "", limit: int = 100
    ) -> list[Outgoing]:
        """Return events to publish, oldest first; of one case when it is given."""
        query = select(OUTBOX).order_by(OUTBOX.c.number).limit(limit)
        if case_id:
            query = query.where(OUTBOX.c.tenant == tenant, OUTBOX.c.case_id == case_id)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [Outgoing(r.message_id, CaseReceived.FromString(r.event), r.trace) for r in rows]

    async def sent(self, message_id: str) -> None:
        """Forget an event: the bus has it."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(OUTBOX).where(OUTBOX.c.message_id == message_id))


async def attempt(
    engine: AsyncEngine, write: Callable[[AsyncConnection], Awaitable[None]]
) -> Outcome:
    """Write in one transaction; say what became of it."""
    try:
        async with engine.begin() as connection:
            await write(connection)
    except (IntegrityError, Taken):
        return Outcome.TAKEN
    except Moved:
        return Outcome.MOVED
    return Outcome.ACCEPTED


async def write_case(connection: AsyncConnection, draft: Draft, cipher: FieldCipher) -> None:
    """Write a case and what makes its submission the same."""
    case = draft.answer.case
    row = {
        "tenant": case.tenant,
        "case_id": case.case_id,
        "content_key": draft.content_key,
        "is_stopped": False,
        "sealed": seal(draft.answer, cipher),
    }
    await connection.execute(insert(CASES).values(row))
    for key in dict.fromkeys(draft.keys):
        values = {"tenant": case.tenant, "submission_key": key, "case_id": case.case_id}
        await connection.execute(insert(SUBMISSIONS).values(values))


async def take(connection: AsyncConnection, draft: Draft) -> None:
    """Take the scopes of a case as they were read; raises Moved when one has changed."""
    case = draft.answer.case
    for claim in sorted(draft.claims, key=lambda c: c.scope):  # one order: no deadlock
        as_read = (
            update(SCOPES)
            .where(SCOPES.c.tenant == case.tenant, SCOPES.c.scope == claim.scope)
            .where(SCOPES.c.is_open, SCOPES.c.changes == claim.changes)
        )
        taken = await connection.execute(as_read.values(case_id=case.case_id, is_open=False))
        if not taken.rowcount:
            raise Moved
        had = select(literal(case.tenant), literal(case.case_id), INSTANCES.c.sop_key).where(
            INSTANCES.c.tenant == case.tenant, INSTANCES.c.scope == claim.scope
        )
        known = select(TAKEN.c.sop_key).where(
            TAKEN.c.tenant == case.tenant, TAKEN.c.case_id == case.case_id
        )
        columns = ["tenant", "case_id", "sop_key"]
        new = had.where(INSTANCES.c.sop_key.not_in(known))
        await connection.execute(insert(TAKEN).from_select(columns, new))


async def announce(connection: AsyncConnection, draft: Draft) -> None:
    """Put a case's event into the outbox, with the results of other cases that it corrects."""
    case = draft.answer.case
    found = await results.join(connection, case, draft.event.subject_key, draft.results)
    draft.event.corrections.extend(found)
    event = {
        "message_id": draft.message_id,
        "tenant": case.tenant,
        "case_id": case.case_id,
        "event": draft.event.SerializeToString(),
        "trace": draft.trace,
    }
    await connection.execute(insert(OUTBOX).values(event))


async def own_studies(connection: AsyncConnection, draft: Draft, cipher: FieldCipher) -> None:
    """Note that what comes late of the case's studies belongs to it."""
    case = draft.answer.case
    for key, uid in dict(draft.studies).items():
        where = STUDIES.c.tenant == case.tenant, STUDIES.c.study_key == key
        await connection.execute(delete(STUDIES).where(*where))
        row = {
            "tenant": case.tenant,
            "study_key": key,
            "case_id": case.case_id,
            "supplements": 0,
            "since_us": case.received_time.ToMicroseconds(),
            "sealed": cipher.encrypt(uid.encode(), study_context(case.tenant, key)),
        }
        await connection.execute(insert(STUDIES).values(row))


def study_context(tenant: str, study_key: str) -> str:
    """Return where the sealed UID of a study stands."""
    return f"ingest_case_studies/{tenant}/{study_key}"


def seal(answer: SubmitCaseResponse, cipher: FieldCipher) -> bytes:
    """Return an answer as a case's row holds it."""
    context = _context(answer.case.tenant, answer.case.case_id)
    return cipher.encrypt(answer.SerializeToString(), context)


def opened(sealed: bytes, cipher: FieldCipher, tenant: str, case_id: str) -> SubmitCaseResponse:
    """Return the answer that a case's row holds."""
    return SubmitCaseResponse.FromString(cipher.decrypt(sealed, _context(tenant, case_id)))


def _context(tenant: str, case_id: str) -> str:
    return f"ingest_cases/{tenant}/{case_id}"
