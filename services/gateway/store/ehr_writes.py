"""Which cases belong to an EHR's patient, and the signed reports that are to be written back.

A signature marks its case in the transaction that stores the signed report, so no report is
forgotten; a worker leases what is due, and whoever dies in the midst of it lets the lease
run out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.progress import Case
from services.gateway.store.database import Database, Row, insert_absent
from services.gateway.store.ehr_tables import EHR_CASES
from services.gateway.store.tables import CASES, SUBJECTS
from services.kernel import fhir
from services.kernel.errors import NotFound

US = 1_000_000
LINKED, WAITING, DONE, FAILED = "linked", "waiting", "done", "failed"
CASES_MAX = 200
Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """One case of an EHR's patient; times in µs, 0: not yet."""

    tenant: str
    case_id: str
    ehr: str
    patient_hash: str
    state: str
    """linked (not signed), waiting, done or failed (given up)."""
    wanted_us: int
    written_us: int
    since_us: int
    next_us: int
    lease_us: int
    attempts: int
    reason: str
    content: Mapping[str, Any]
    """patient, encounter, sent: see `ehr.report`."""


class EhrWrites:
    """The cases of every EHR."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def link(
        self, tenant: str, case_id: str, ehr: str, patient_hash: str, content: Content
    ) -> None:
        """Note that a case is about a patient of an EHR; the first note stays."""
        cipher = await self._db.cipher_for(tenant)
        row: Row = {"tenant": tenant, "case_id": case_id, "ehr": ehr, "patient_hash": patient_hash}
        row |= {"state": LINKED, "reason": "", "attempts": 0, "created_us": self._db.now_us()}
        row |= dict.fromkeys(("wanted_us", "written_us", "since_us", "next_us", "lease_us"), 0)
        row["sealed"] = cipher.encrypt(fhir.dump(content), _context(tenant, case_id))
        async with self._db.begin() as connection:
            await insert_absent(connection, EHR_CASES, [row])

    async def add_signer(self, tenant: str, case_id: str, practitioner: str, user: str) -> None:
        """Note who a signer is at the EHR: Practitioner id here → fhirUser there."""
        cipher = await self._db.cipher_for(tenant)
        context = _context(tenant, case_id)
        async with self._db.begin() as connection:
            where = _is(tenant, case_id)
            # A write first, so that SQLite waits its turn; it locks the row elsewhere.
            touch = update(EHR_CASES).where(*where).values(ehr=EHR_CASES.c.ehr)
            row = (await connection.execute(touch.returning(EHR_CASES.c.sealed))).one_or_none()
            if row is None:
                return
            content = fhir.parse(cipher.decrypt(row[0], context))
            content["signers"] = {**content.get("signers", {}), practitioner: user}
            sealed = cipher.encrypt(fhir.dump(content), context)
            await connection.execute(update(EHR_CASES).where(*where).values(sealed=sealed))

    async def signed(
        self, connection: AsyncConnection, tenant: str, case_id: str, signed_us: int
    ) -> None:
        """Mark a linked case for writing, in the transaction that stores its signature."""
        now = self._db.now_us()
        where = (*_is(tenant, case_id), EHR_CASES.c.wanted_us < signed_us)
        values = {"state": WAITING, "wanted_us": signed_us, "since_us": now, "next_us": now}
        values |= {"attempts": 0, "reason": ""}
        await connection.execute(update(EHR_CASES).where(*where).values(values))

    async def ask(self, tenant: str, case_id: str, signed_us: int = 0) -> None:
        """Have a case written (again), now: its signature, when it was linked after that.

        Raises
        ------
        NotFound
        """
        now = self._db.now_us()
        values: Row = {"state": WAITING, "since_us": now, "next_us": now, "attempts": 0}
        if signed_us:
            values["wanted_us"] = signed_us
        where = (*_is(tenant, case_id), (EHR_CASES.c.wanted_us > 0) | (signed_us > 0))
        async with self._db.begin() as connection:
            done = await connection.execute(update(EHR_CASES).where(*where).values(values))
        if done.rowcount != 1:
            raise NotFound("there is no signed report of this case to write to an EHR")

    async def wake(self, tenant: str, patient_hash: str) -> None:
        """Have a patient's waiting and failed reports tried now: there are new tokens."""
        now = self._db.now_us()
        where = (
            EHR_CASES.c.tenant == tenant,
            EHR_CASES.c.patient_hash == patient_hash,
            EHR_CASES.c.state.in_((WAITING, FAILED)),
        )
        values = {"state": WAITING, "next_us": now, "since_us": now, "attempts": 0}
        async with self._db.begin() as connection:
            await connection.execute(update(EHR_CASES).where(*where).values(values))

    async def get(self, tenant: str, case_id: str) -> Write | None:
        """Return how far a case is; None when it belongs to no EHR."""
        query = select(EHR_CASES).where(*_is(tenant, case_id))
        async with self._db.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return await self._write(dict(row)) if row else None

    async def get_many(self, tenant: str, case_ids: Sequence[str]) -> list[Write]:
        """Return those of some cases that belong to an EHR."""
        query = select(EHR_CASES).where(
            EHR_CASES.c.tenant == tenant, EHR_CASES.c.case_id.in_(case_ids)
        )
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [await self._write(dict(row)) for row in rows]

    async def listed(self, tenant: str, states: Collection[str], limit: int = 200) -> list[Write]:
        """Return a tenant's cases in some states, longest waiting first."""
        query = (
            select(EHR_CASES)
            .where(EHR_CASES.c.tenant == tenant, EHR_CASES.c.state.in_(states))
            .order_by(EHR_CASES.c.since_us)
            .limit(limit)
        )
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [await self._write(dict(row)) for row in rows]

    async def counts(self, tenant: str) -> dict[str, int]:
        """Return how many reports wait and how many were given up."""
        query = (
            select(EHR_CASES.c.state, func.count())
            .where(EHR_CASES.c.tenant == tenant, EHR_CASES.c.state.in_((WAITING, FAILED)))
            .group_by(EHR_CASES.c.state)
        )
        async with self._db.read() as connection:
            found = {state: int(count) for state, count in await connection.execute(query)}
        return {WAITING: 0, FAILED: 0} | found

    async def subject_of(self, tenant: str, names: Sequence[str]) -> str:
        """Return the subject that the first known record number means; empty: none is known."""
        hasher = await self._db.hasher_for(tenant)
        async with self._db.read() as connection:
            for name in names:
                query = select(SUBJECTS.c.subject_key).where(
                    SUBJECTS.c.tenant == tenant,
                    SUBJECTS.c.reference_hash == hasher("subject-reference", name),
                )
                if found := (await connection.execute(query)).scalar_one_or_none():
                    return str(found)
        return ""

    async def cases_of(self, tenant: str, patient_hash: str, subject_key: str) -> list[str]:
        """Return ids of a patient's cases, newest first: linked ones, and those of the subject."""
        linked = select(EHR_CASES.c.case_id).where(
            EHR_CASES.c.tenant == tenant, EHR_CASES.c.patient_hash == patient_hash
        )
        is_theirs: ColumnElement[bool] = CASES.c.case_id.in_(linked)
        if subject_key:
            is_theirs |= CASES.c.subject_key == subject_key
        query = (
            select(CASES.c.case_id)
            .where(CASES.c.tenant == tenant, is_theirs)
            .order_by(CASES.c.received_us.desc(), CASES.c.case_id)
            .limit(CASES_MAX)
        )
        async with self._db.read() as connection:
            return [str(row[0]) for row in await connection.execute(query)]

    async def lease(self, seconds: float) -> Write | None:
        """Return one report that is due, the caller's alone for some seconds."""
        now = self._db.now_us()
        due = (
            EHR_CASES.c.state == WAITING,
            EHR_CASES.c.next_us <= now,
            EHR_CASES.c.lease_us <= now,
        )
        query = select(EHR_CASES).where(*due).order_by(EHR_CASES.c.next_us).limit(1)
        async with self._db.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            return None
        until = now + int(seconds * US)
        where = (*_is(row["tenant"], row["case_id"]), *due, EHR_CASES.c.lease_us == row["lease_us"])
        async with self._db.begin() as connection:
            taken = await connection.execute(update(EHR_CASES).where(*where).values(lease_us=until))
        if taken.rowcount != 1:
            return None
        return await self._write({**row, "lease_us": until})

    async def finish(self, write: Write, **values: Any) -> None:
        """End a lease with what came of it; nothing when another has the lease by now.

        A signature given meanwhile stays wanted.
        """
        where = (*_is(write.tenant, write.case_id), EHR_CASES.c.lease_us == write.lease_us)
        async with self._db.begin() as connection:
            await connection.execute(
                update(EHR_CASES)
                .where(*where, EHR_CASES.c.wanted_us == write.wanted_us)
                .values(**values)
            )
            await connection.execute(update(EHR_CASES).where(*where).values(lease_us=0))

    async def _write(self, row: Row) -> Write:
        cipher = await self._db.cipher_for(row["tenant"])
        context = _context(row["tenant"], row["case_id"])
        content = dict(fhir.parse(cipher.decrypt(row["sealed"], context)))
        names = [name for name in Write.__dataclass_fields__ if name != "content"]
        return Write(**{name: row[name] for name in names}, content=content)


def is_written(write: Write | None, case: Case) -> bool:
    """Tell whether the EHR has the signature that stands."""
    step = case.steps.get("signed")
    return bool(write and step and write.written_us >= step.finished_us)


def _is(tenant: str, case_id: str) -> tuple[Any, Any]:
    return EHR_CASES.c.tenant == tenant, EHR_CASES.c.case_id == case_id


def _context(tenant: str, case_id: str) -> str:
    return f"{EHR_CASES.name}/{tenant}/{case_id}"
