"""Critical results into Communications: identity restored, one transaction, each told once.

It needs neither the report nor its order: what anonymization knows of a case is enough.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified
from dxmesh.event.v1.critical_found_pb2 import CriticalFound
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.call import Peers
from services.gateway.commit import STOPPED_FOR_GOOD, identity
from services.gateway.critical import communication, statements
from services.gateway.critical.communication import KIND
from services.gateway.critical.policy import Policies
from services.gateway.critical.statements import Statement
from services.gateway.critical.told import Told, named, superseded
from services.gateway.fhir import confidential
from services.gateway.progress import known, language_tag, to_instant
from services.gateway.store import Store
from services.gateway.store.critical import NEVER_US, OPEN, WITHDRAWN, Notice
from services.gateway.store.stored import Stored
from services.gateway.store.writing import Writing
from services.gateway.web.words import Words
from services.kernel import fhir, telemetry
from services.kernel.blobs import Blobs
from services.kernel.errors import KeyDestroyed, MeshError, NotFound

log = logging.getLogger(__name__)


class Notifier:
    """Tells critical results and takes back what was told; every step can be repeated."""

    def __init__(self, store: Store, peers: Peers, analysis: Blobs, policies: Policies) -> None:
        self._store = store
        self._peers = peers
        self._analysis = analysis
        self.policies = policies

    async def found(self, event: CriticalFound) -> None:
        """Tell what an event names, and withdraw what it does not name any more.

        Raises
        ------
        InvalidInput
            The event and its findings do not fit together.
        Unavailable
            Anonymization or a store is away.
        """
        tenant, case_id = event.case.tenant, event.case.case_id
        if not await self._matters(event):
            return
        hasher = await self._store.critical.hasher(tenant)
        try:
            content = await self._analysis.get(tenant, event.findings)
        except KeyDestroyed:
            log.info("a case was stopped before its critical results were told")
            return
        try:
            who = identity(await self._peers.reidentify(tenant, case_id))
        except (NotFound, KeyDestroyed):
            if (await self._store.cases.get(tenant, case_id)).stopped:
                return  # identity went first
            raise
        words = Words(language_tag(event.case.language))
        said = await asyncio.to_thread(statements.statements, event, content, words, who.days)
        async with self._store.cases.change(tenant, case_id) as opened:
            case = known(opened.case, event.case)
            opened.case = case = named(case, who) if not case.stopped else case
            if case.status in STOPPED_FOR_GOOD:
                return
            measured = statements.measurements(event, content, who.days)
            told = Told(event, case, who, hasher, measured)
            await self._settle(opened.connection, told, said)

    async def lost(self, event: CriticalFound, error: MeshError) -> None:
        """Say that critical results could not be told; the dead letter holds the event."""
        log.error("critical results are not told ahead of the report: %s", error.reason)
        telemetry.failure("gateway.critical", error.reason)

    async def superseded(self, event: CaseDeidentified) -> None:
        """Hand what was told of a part to the part that takes its place."""
        replaced = {part.supersedes: part.part_id for part in event.parts if part.supersedes}
        if not replaced:
            return
        critical, tenant, case_id = self._store.critical, event.case.tenant, event.case.case_id
        hasher = await critical.hasher(tenant)
        async with self._store.cases.change(tenant, case_id) as opened:
            for before, now in replaced.items():
                void = {superseded(hasher, case_id, before)}
                await critical.void(opened.connection, tenant, case_id, 0, void)
                for notice in await critical.of_part(opened.connection, tenant, case_id, before):
                    await critical.set(opened.connection, notice, part_id=now)

    async def destroy(self, connection: AsyncConnection, tenant: str, case_id: str) -> None:
        """Delete what was told of a case, with every version, in the case's transaction."""
        dropped = await self._store.critical.drop(connection, tenant, case_id)
        if not dropped:
            return
        ids = [each for notice in dropped for each in notice.communications]
        async with self._store.resources.writing(tenant, connection=connection) as writing:
            for each in ids:
                await writing.remove(KIND, each)
        for each in ids:
            await self._store.resources.forget_history(connection, tenant, KIND, each)

    async def _matters(self, event: CriticalFound) -> bool:
        """Tell whether there is something to tell or to take back: mostly there is not."""
        if event.results or event.retracted_ids:
            return True
        found = await self._store.critical.of_cases(event.case.tenant, [event.case.case_id])
        return any(each.part_id == event.part_id for each in found)

    async def _settle(
        self, connection: AsyncConnection, told: Told, said: Sequence[Statement]
    ) -> None:
        """Bring the notices of a part to what its latest event says."""
        critical, event = self._store.critical, told.event
        ref = event.case
        before = await critical.of_part(connection, ref.tenant, ref.case_id, event.part_id)
        if any(each.found_us > told.found_us for each in before):
            return  # a later analysis of the part was faster
        wanted = {told.notice_id(each): each for each in said}
        # The images that take the place of these may have said the same already.
        there = await critical.lock(connection, ref.tenant, wanted.keys())
        gone = [each for each in before if each.id not in wanted and each.state != WITHDRAWN]
        quiet = {each.id for each in there if each.state != WITHDRAWN}
        taken_back = {
            each for result_id in event.retracted_ids for each in told.hashes(result_id) if each
        }
        gone += await self._elsewhere(
            told, await critical.about(connection, ref.tenant, taken_back)
        )
        for each in before:
            await critical.set(connection, each, found_us=told.found_us)
        async with self._store.resources.writing(ref.tenant, connection=connection) as writing:
            # Under the tenant's lock: of a result and its correction in another case at the same
            # time, who comes second sees the first.
            await critical.void(connection, ref.tenant, ref.case_id, told.received_us, taken_back)
            late = await critical.about(connection, ref.tenant, taken_back, lock=False)
            known_ids = {each.id for each in gone}
            gone += [e for e in await self._elsewhere(told, late) if e.id not in known_ids]
            await self._withdraw(connection, writing, gone)
            due = {key: each for key, each in wanted.items() if key not in quiet}
            await self._tell(connection, writing, told, await self._holding(connection, told, due))

    async def _elsewhere(self, told: Told, found: Iterable[Notice]) -> list[Notice]:
        """Return the notices of cases received no later, which a correction withdraws."""
        gone = []
        for each in found:
            if each.state == WITHDRAWN or each.case_id == told.case.case_id:
                continue
            case = await self._store.cases.get(each.tenant, each.case_id)
            if case.received_us <= told.received_us:
                gone.append(each)
        return gone

    async def _holding(
        self, connection: AsyncConnection, told: Told, due: Mapping[str, Statement]
    ) -> dict[str, Statement]:
        """Return what still holds: not what a part or a case of later has replaced already."""
        hashes = {key: set(filter(None, told.hashes(each.result_id))) for key, each in due.items()}
        asked = set[str]().union(*hashes.values(), {told.part_hash()})
        tenant, case_id = told.case.tenant, told.case.case_id
        voided = await self._store.critical.voided(connection, tenant, asked)
        if told.part_hash() in {each.hash for each in voided}:
            return {}
        corrected = {
            each.hash
            for each in voided
            if each.case_id != case_id and each.received_us > told.received_us
        }
        return {key: each for key, each in due.items() if not hashes[key] & corrected}

    async def _withdraw(
        self, connection: AsyncConnection, writing: Writing, notices: Iterable[Notice]
    ) -> None:
        for notice in notices:
            await self._store.critical.set(connection, notice, state=WITHDRAWN, next_us=NEVER_US)
            for stored in await current(writing, notice):
                resource = communication.withdrawn(fhir.parse(stored.content))
                await writing.save(resource, case_id=notice.case_id, owned=True)

    async def _tell(
        self,
        connection: AsyncConnection,
        writing: Writing,
        told: Told,
        wanted: Mapping[str, Statement],
    ) -> None:
        tenant, case_id = told.case.tenant, told.case.case_id
        sent_us = self._store.critical.now_us()
        next_us = self.policies.of(tenant).next_us(sent_us, 0) or NEVER_US
        for notice_id, said in wanted.items():
            notice = Notice(
                tenant, notice_id, case_id, told.event.part_id, *told.hashes(said.result_id),
                OPEN, told.found_us, sent_us, 0, next_us, 0,
            )  # fmt: skip
            await self._store.critical.add(connection, [notice])
            again = {"state": OPEN, "sent_us": sent_us, "read_us": 0, "next_us": next_us}
            await self._store.critical.set(connection, notice, **again)
            resource = communication.first(
                notice_id, case_id, said, told.identity, told.case.language, to_instant(sent_us)
            )
            code = str(told.case.label.get("confidentiality", ""))
            resource = confidential.labelled(resource, code)
            await writing.save(resource, case_id=case_id, owned=True)
            if told.case.received_us:
                telemetry.took("critical.told", (sent_us - told.case.received_us) / 1e6)


async def current(writing: Writing, notice: Notice) -> list[Stored]:
    """Return the current versions of a notice's Communications that are there."""
    found = await writing.current_many([(KIND, each) for each in notice.communications])
    return [each for each in found.values() if not each.deleted]
