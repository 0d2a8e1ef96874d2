"""Cases, endings and versions of reports."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified
from dxmesh.event.v1.case_ref_pb2 import CaseRef
from dxmesh.event.v1.finding_ready_pb2 import FindingReady
from sqlalchemy import and_, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.kernel.errors import Unavailable
from services.reporting.draft import Outcome
from services.reporting.join import Decision, State
from services.reporting.store import outbox
from services.reporting.store.outbox import Outgoing
from services.reporting.store.rows import (
    Version,
    insert_absent,
    instant,
    microseconds,
    of_case,
    one,
    version,
)
from services.reporting.store.tables import CASES, ENDINGS, VERSIONS


class ReportStore:
    """The tables, behind what worker and service need of them; every write may be repeated."""

    def __init__(self, engine: AsyncEngine, due_s: float) -> None:
        self._engine = engine
        self._due = timedelta(seconds=due_s)

    async def expect(self, event: CaseDeidentified) -> None:
        """Keep which parts a case waits for; the first list stands, a supplement adds to it.

        Raises
        ------
        Unavailable
            A supplement came before its case; it comes again.
        """
        case = event.case
        if event.supplement:
            await self._expect_more(event)
            return
        async with self._engine.begin() as connection:
            await self._touch(connection, case)
            await connection.execute(
                update(CASES)
                .where(*of_case(CASES, case.tenant, case.case_id), CASES.c.deidentified.is_(None))
                .values(deidentified=event.SerializeToString(), waiting=CASES.c.stopped.is_(False))
            )

    async def _expect_more(self, event: CaseDeidentified) -> None:
        where = of_case(CASES, event.case.tenant, event.case.case_id)
        async with self._engine.begin() as connection:
            await connection.execute(update(CASES).where(*where).values(stopped=CASES.c.stopped))
            case = await one(connection, CASES, event.case.tenant, event.case.case_id)
            if case is None or case["deidentified"] is None:
                raise Unavailable("late images wait until the parts of their case are listed")
            listed = CaseDeidentified.FromString(case["deidentified"])
            known = {part.part_id for part in listed.parts}
            if new := [part for part in event.parts if part.part_id not in known]:
                listed.parts.extend(new)
                listed.set_aside.extend(event.set_aside)
                changed = {"deidentified": listed.SerializeToString()}
                await connection.execute(update(CASES).where(*where).values(changed))

    async def ended(self, event: FindingReady, outcome: Outcome) -> None:
        """Keep how a part ended; the first event of each outcome stands."""
        case = event.case
        async with self._engine.begin() as connection:
            await self._touch(connection, case)
            row = {"part_id": event.part_id, "outcome": outcome.value}
            row |= {"tenant": case.tenant, "case_id": case.case_id}
            await insert_absent(connection, ENDINGS, {**row, "event": event.SerializeToString()})

    async def stop(self, case: CaseRef) -> None:
        """Compose nothing more for a case, whatever still arrives."""
        async with self._engine.begin() as connection:
            await self._touch(connection, case)
            await connection.execute(
                update(CASES)
                .where(*of_case(CASES, case.tenant, case.case_id))
                .values(stopped=True, waiting=False)
            )

    async def state(self, tenant: str, case_id: str) -> State | None:
        """Return what `join` decides from; None for a case never heard of."""
        async with self._engine.connect() as connection:
            case = await one(connection, CASES, tenant, case_id)
            if case is None:
                return None
            query = select(ENDINGS.c.part_id, ENDINGS.c.outcome)
            rows = await connection.execute(query.where(*of_case(ENDINGS, tenant, case_id)))
            endings: dict[str, list[Outcome]] = {}
            for part_id, outcome in rows:
                endings.setdefault(part_id, []).append(Outcome(outcome))
        versions = await self.versions(tenant, case_id)
        listed = None
        if case["deidentified"] is not None:
            parts = CaseDeidentified.FromString(case["deidentified"]).parts
            listed = [part.part_id for part in parts]
        return State(
            expected=listed,
            endings=endings,
            due=instant(case["due_us"]),
            versions=[each.included for each in versions],
            stopped=case["stopped"],
        )

    async def claim(self, tenant: str, case_id: str, decision: Decision, now: datetime) -> bool:
        """Make a version to be composed; False when another replica was first."""
        row = {
            "tenant": tenant,
            "case_id": case_id,
            "version": decision.version,
            "included": json.dumps(dict(decision.included), sort_keys=True),
            "composed_us": microseconds(now),
            "done": False,
            "findings": "{}",
            "signed_us": 0,
            "signer": "",
            "request_id": "",
            "amendment": False,
        }
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(VERSIONS).values(row))
                await connection.execute(
                    update(CASES).where(*of_case(CASES, tenant, case_id)).values(waiting=False)
                )
        except IntegrityError:
            return False
        return True

    async def versions(self, tenant: str, case_id: str) -> list[Version]:
        """Return the versions of a case, the first one first; claimed ones included."""
        query = (
            select(VERSIONS).where(*of_case(VERSIONS, tenant, case_id)).order_by(VERSIONS.c.version)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [version(row) for row in rows]

    async def sources(
        self, tenant: str, case_id: str
    ) -> tuple[CaseDeidentified, dict[tuple[str, Outcome], FindingReady]]:
        """Return the events a version is composed from."""
        async with self._engine.connect() as connection:
            case = await one(connection, CASES, tenant, case_id)
            query = select(ENDINGS).where(*of_case(ENDINGS, tenant, case_id))
            rows = (await connection.execute(query)).mappings().all()
        listed = CaseDeidentified.FromString((case or {}).get("deidentified") or b"")
        events = {
            (row["part_id"], Outcome(row["outcome"])): FindingReady.FromString(row["event"])
            for row in rows
        }
        return listed, events

    async def finish(
        self,
        tenant: str,
        case_id: str,
        number: int,
        findings: dict[str, tuple[str, str]],
        announcement: Outgoing,
    ) -> None:
        """Note that a version is composed and, in the same transaction, to be announced."""
        async with self._engine.begin() as connection:
            changed = await connection.execute(
                update(VERSIONS)
                .where(
                    *of_case(VERSIONS, tenant, case_id),
                    VERSIONS.c.version == number,
                    VERSIONS.c.done.is_(False),
                )
                .values(done=True, findings=json.dumps(findings))
            )
            if changed.rowcount:
                await outbox.write(connection, tenant, case_id, announcement)

    async def due(self, now: datetime, limit: int = 200) -> list[tuple[str, str]]:
        """Return (tenant, case id) of cases whose due time came without a version."""
        query = (
            select(CASES.c.tenant, CASES.c.case_id)
            .where(CASES.c.waiting.is_(True), CASES.c.due_us <= microseconds(now))
            .order_by(CASES.c.due_us)
            .limit(limit)
        )
        return await self._pairs(query)

    async def unfinished(self, before: datetime, limit: int = 200) -> list[tuple[str, str]]:
        """Return (tenant, case id) of versions claimed before a time and not composed."""
        query = (
            select(VERSIONS.c.tenant, VERSIONS.c.case_id)
            .join(
                CASES,
                and_(CASES.c.tenant == VERSIONS.c.tenant, CASES.c.case_id == VERSIONS.c.case_id),
            )
            .where(
                VERSIONS.c.done.is_(False),
                VERSIONS.c.composed_us <= microseconds(before),
                CASES.c.stopped.is_(False),
            )
            .distinct()
            .limit(limit)
        )
        return await self._pairs(query)

    async def _pairs(self, query: Any) -> list[tuple[str, str]]:
        async with self._engine.connect() as connection:
            return [(tenant, case_id) for tenant, case_id in await connection.execute(query)]

    async def _touch(self, connection: AsyncConnection, case: CaseRef) -> None:
        """Make sure of a case's row."""
        due = case.due_time.ToDatetime(UTC)
        if not case.HasField("due_time"):
            due = case.received_time.ToDatetime(UTC) + self._due
        row = {"tenant": case.tenant, "case_id": case.case_id, "due_us": microseconds(due)}
        await insert_absent(
            connection, CASES, {**row, "deidentified": None, "waiting": False, "stopped": False}
        )
