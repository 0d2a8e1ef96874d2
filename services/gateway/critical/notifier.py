"""Critical results into Communications: identity restored, one transaction, each told once.

It needs neither the report nor its order: what anonymization knows of a case is enough.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified
from dxmesh.event.v1.critical_found_pb2 import CriticalFound
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.call import Peers
from services.gateway.commit import STOPPED_FOR_GOOD, identity
from services.gateway.critical import communication, statements
from services.gateway.critical.communication import KIND
from services.gateway.critical.policy import Policies
from services.gateway.critical.statements import Statement
from services.gateway.fhir import confidential, submission
from services.gateway.fhir.search import match
from services.gateway.progress import Case, known, language_tag, to_instant, to_us
from services.gateway.restore import Identity
from services.gateway.store import Store
from services.gateway.store.critical import NEVER_US, OPEN, WITHDRAWN, Notice
from services.gateway.store.stored import Stored
from services.gateway.store.writing import Writing
from services.gateway.web.words import Words
from services.kernel import fhir, telemetry
from services.kernel.blobs import Blobs
from services.kernel.crypto import KeyedHash
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
            told = _Told(event, case, who, hasher, measured)
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
        async with self._store.cases.transaction() as connection:
            for before, now in replaced.items():
                for notice in await critical.of_part(connection, tenant, case_id, before):
                    await critical.set(connection, notice, part_id=now)

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
        self, connection: AsyncConnection, told: _Told, said: Sequence[Statement]
    ) -> None:
        """Bring the notices of a part to what its latest event says."""
        critical, event = self._store.critical, told.event
        ref = event.case
        before = await critical.of_part(connection, ref.tenant, ref.case_id, event.part_id)
        if any(each.found_us > told.found_us for each in before):
            return  # a later analysis of the part was faster
        wanted = {told.notice_id(each): each for each in said}
        gone = [each for each in before if each.id not in wanted and each.state != WITHDRAWN]
        back = [each for each in before if each.id in wanted and each.state == WITHDRAWN]
        quiet = {each.id for each in before} - {each.id for each in back}
        taken_back = [told.hashes(each) for each in event.retracted_ids]
        hashes = {each for pair in taken_back for each in pair if each}
        elsewhere = await critical.about(connection, ref.tenant, hashes) if hashes else []
        gone += [e for e in elsewhere if e.state != WITHDRAWN and e.case_id != ref.case_id]
        for each in before:
            await critical.set(connection, each, found_us=told.found_us)
        async with self._store.resources.writing(ref.tenant, connection=connection) as writing:
            await self._withdraw(connection, writing, gone)
            due = {key: each for key, each in wanted.items() if key not in quiet}
            await self._tell(connection, writing, told, due)

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
        told: _Told,
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


class _Told:
    """An event with whom it is about."""

    def __init__(
        self,
        event: CriticalFound,
        case: Case,
        who: Identity,
        hasher: KeyedHash,
        measured: Mapping[str, tuple[str, str]],
    ) -> None:
        self.event = event
        self.case = case
        self.identity = who
        self.found_us = to_us(event.found_time)
        self._hasher = hasher
        self._measured = measured

    def notice_id(self, said: Statement) -> str:
        """Return the id of a notice: another value of the same result is another notice.

        Of images, which are read again when more of them come, the kind alone counts.
        """
        what = [said.kind, said.name]
        if said.kind == "labs":
            what += [self.event.part_id, said.result_id, said.flag, said.value, said.limit]
        made = self._hasher("critical-notice", self.event.case.case_id, *what)
        return str(uuid.UUID(made[:32]))

    def hashes(self, result_id: str) -> tuple[str, str]:
        """Return what a result is found by in other cases, empty where it has none.

        The patient's result as it was submitted; what was measured of the patient, and when.
        """
        patient = str(self.identity.patient.get("id", ""))
        whole, _, component = result_id.partition("#")
        about = same = ""
        if reference := self.identity.references.get(whole):
            about = self._hasher("critical-about", patient, reference, component)
        if measured := self._measured.get(result_id):
            same = self._hasher("critical-same", patient, *measured)
        return about, same


def named(case: Case, who: Identity) -> Case:
    """Return a case with whom it is about, where its sender has not told the gateway itself.

    A row of the worklist that nobody can tell from another helps no patient.
    """
    code = who.confidentiality
    if code and "confidentiality" not in case.label:  # the submission may not be noted yet
        case = replace(case, label={**case.label, "confidentiality": code, "restricted": True})
    if case.label.get("patient_reference"):
        return case
    label: dict[str, Any] = {
        "patient": submission.describe(who.patient),
        "patient_reference": f"Patient/{who.patient.get('id', '')}",
        "order": submission.concept_text(who.service_request.get("code", {})),
    }
    if match.restricted(who.patient) or match.restricted(who.service_request):
        label["restricted"] = True
    return replace(case, label={**label, **case.label})


async def current(writing: Writing, notice: Notice) -> list[Stored]:
    """Return the current versions of a notice's Communications that are there."""
    found = await writing.current_many([(KIND, each) for each in notice.communications])
    return [each for each in found.values() if not each.deleted]
