"""Cases: a locked read, a pure change, a write with the Task, in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.progress import ENDED, Case, Step, task
from services.gateway.store.database import Database, Row, insert_absent, upsert
from services.gateway.store.resources import Resources
from services.gateway.store.tables import CASES, STEPS
from services.kernel import fhir
from services.kernel.errors import NotFound

_PLAIN = (
    "status",
    "reason",
    "message",
    "priority",
    "language",
    "received_us",
    "due_us",
    "subject_key",
    "report_version",
    "signed_version",
    "held_version",
)


class OpenCase:
    """A case under change: set `case`; what it is at the end is written."""

    def __init__(self, connection: AsyncConnection, case: Case) -> None:
        self.connection = connection
        self.case = case


class Cases:
    """The cases of every tenant."""

    def __init__(self, database: Database, resources: Resources) -> None:
        self._db = database
        self._resources = resources

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Return a transaction for what belongs to no case."""
        return self._db.begin()

    @asynccontextmanager
    async def change(self, tenant: str, case_id: str) -> AsyncIterator[OpenCase]:
        """Lock a case (made when missing), and write it with its Task when the body ends."""
        fresh: Row = {name: getattr(Case(tenant, case_id), name) for name in _PLAIN}
        fresh |= {"tenant": tenant, "case_id": case_id, "updated_us": 0, "label": None}
        async with self._db.begin() as connection:
            await insert_absent(connection, CASES, [fresh])
            query = select(CASES).where(CASES.c.tenant == tenant, CASES.c.case_id == case_id)
            row = (await connection.execute(query.with_for_update())).mappings().one()
            before = await self._from_row(connection, dict(row))
            opened = OpenCase(connection, before)
            yield opened
            if opened.case != before or row["updated_us"] == 0:
                await self._write(connection, opened.case)

    async def get(self, tenant: str, case_id: str) -> Case:
        """Return a case.

        Raises
        ------
        NotFound
        """
        query = select(CASES).where(CASES.c.tenant == tenant, CASES.c.case_id == case_id)
        async with self._db.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
            if row is None:
                raise NotFound("there is no such case")
            return await self._from_row(connection, dict(row))

    async def get_many(self, tenant: str, case_ids: Sequence[str]) -> list[Case]:
        """Return those cases that there are."""
        query = select(CASES).where(CASES.c.tenant == tenant, CASES.c.case_id.in_(case_ids))
        async with self._db.read() as connection:
            rows = [dict(row) for row in (await connection.execute(query)).mappings()]
            return await self._from_rows(connection, tenant, rows)

    async def latest(self, tenant: str, status: str = "", limit: int = 200) -> list[Case]:
        """Return cases, newest first."""
        query = select(CASES).where(CASES.c.tenant == tenant)
        if status:
            query = query.where(CASES.c.status == status)
        query = query.order_by(CASES.c.received_us.desc(), CASES.c.case_id).limit(limit)
        async with self._db.read() as connection:
            rows = [dict(row) for row in (await connection.execute(query)).mappings()]
            return await self._from_rows(connection, tenant, rows)

    async def open_of_subject(self, tenant: str, subject_key: str) -> list[Case]:
        """Return a subject's cases that have not ended."""
        query = select(CASES).where(
            CASES.c.tenant == tenant,
            CASES.c.subject_key == subject_key,
            CASES.c.status.not_in(ENDED),
        )
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
            return [await self._from_row(connection, dict(row)) for row in rows]

    async def oldest_open_us(self) -> dict[str, int]:
        """Return, by tenant, when its oldest case without a report came, µs."""
        query = select(CASES.c.tenant, CASES.c.received_us).where(CASES.c.status.not_in(ENDED))
        oldest: dict[str, int] = {}
        async with self._db.read() as connection:
            for tenant, received_us in await connection.execute(query):
                if received_us:
                    oldest[tenant] = min(received_us, oldest.get(tenant, received_us))
        return oldest

    async def _from_row(self, connection: AsyncConnection, row: Row) -> Case:
        return (await self._from_rows(connection, row["tenant"], [row]))[0]

    async def _from_rows(
        self, connection: AsyncConnection, tenant: str, rows: Sequence[Row]
    ) -> list[Case]:
        """Return cases of a tenant; their steps are asked for at once."""
        ids = [row["case_id"] for row in rows]
        query = select(STEPS).where(STEPS.c.tenant == tenant, STEPS.c.case_id.in_(ids))
        steps: dict[str, dict[str, Step]] = {case_id: {} for case_id in ids}
        for s in (await connection.execute(query)).mappings():
            step = Step(s["step"], s["state"], s["started_us"], s["finished_us"], s["reason"])
            steps[s["case_id"]][step.name] = step
        cipher = await self._db.cipher_for(tenant)
        cases: list[Case] = []
        for row in rows:
            case_id, label = row["case_id"], {}
            if row["label"] is not None:
                label = fhir.parse(cipher.decrypt(row["label"], _context(tenant, case_id)))
            plain = {name: row[name] for name in _PLAIN} | {"updated_us": row["updated_us"]}
            cases.append(Case(tenant, case_id, **plain, steps=steps[case_id], label=label))
        return cases

    async def _write(self, connection: AsyncConnection, case: Case) -> None:
        case = replace(case, updated_us=self._db.now_us())
        row: Row = {name: getattr(case, name) for name in (*_PLAIN, "updated_us")}
        row |= {"tenant": case.tenant, "case_id": case.case_id, "label": None}
        row["message"] = row["message"][:512]
        if case.label:
            cipher = await self._db.cipher_for(case.tenant)
            context = _context(case.tenant, case.case_id)
            row["label"] = cipher.encrypt(fhir.dump(case.label), context)
        await upsert(connection, CASES, row)
        for step in case.steps.values():
            await upsert(
                connection,
                STEPS,
                {
                    "tenant": case.tenant,
                    "case_id": case.case_id,
                    "step": step.name,
                    "state": step.state,
                    "started_us": step.started_us,
                    "finished_us": step.finished_us,
                    "reason": step.reason[:64],
                },
            )
        await self._resources.put(connection, case.tenant, case.case_id, [task(case)])
        if case.stopped:
            # Earlier versions of its Task may name the patient.
            await self._resources.forget_history(connection, case.tenant, "Task", case.case_id)


def _context(tenant: str, case_id: str) -> str:
    return f"{CASES.name}/{tenant}/{case_id}/label"
