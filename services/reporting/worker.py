"""Joins the parts of each case, composes its report and announces it, once per version.

A version is claimed in the database with its endings and its time, then composed, stored and
put into the outbox. Whatever stops the process between two of these steps, the next event of
the case or the next look at the clock goes on where it ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified
from dxmesh.event.v1.case_stopped_pb2 import CaseStopped
from dxmesh.event.v1.finding_ready_pb2 import FindingReady
from dxmesh.event.v1.report_composed_pb2 import ReportComposed

from services.kernel import fhir, subjects, telemetry
from services.kernel.blobs import Blobs
from services.kernel.bus import EventBus
from services.kernel.errors import InvalidInput, KeyDestroyed
from services.reporting import assemble, join
from services.reporting.store import Drafts, Outgoing, ReportStore, Sender, Version

log = logging.getLogger(__name__)

REPAIR_AFTER = timedelta(seconds=10)
"""A version claimed this long ago and not composed belongs to a process that is gone."""


class ReportingWorker:
    """Consumes what happens to cases, and the clock."""

    def __init__(
        self,
        bus: EventBus,
        blobs: Blobs,
        store: ReportStore,
        sender: Sender,
        now: Callable[[], datetime],
    ) -> None:
        self._bus = bus
        self._blobs = blobs
        self._store = store
        self._sender = sender
        self._drafts = Drafts(blobs, store)
        self._now = now

    async def start(self, concurrency: int) -> None:
        """Begin to take events."""
        await self._bus.consume(
            subjects.CASE_DEIDENTIFIED, self.on_deidentified, concurrency=concurrency
        )
        await self._bus.consume(subjects.CASE_STOPPED, self.on_stopped, concurrency=concurrency)
        for topic in subjects.FINDINGS:
            await self._bus.consume(topic, self.on_finding, concurrency=concurrency)

    async def on_deidentified(self, event: CaseDeidentified) -> None:
        """Learn which parts a case has."""
        await self._store.expect(event)
        await self.advance(event.case.tenant, event.case.case_id)

    async def on_finding(self, event: FindingReady) -> None:
        """Learn how a part ended.

        Raises
        ------
        InvalidInput
            The event states no outcome.
        """
        outcome = assemble.OUTCOMES.get(event.outcome)
        if outcome is None:
            raise InvalidInput("a finding without an outcome", reason="NO_OUTCOME")
        await self._store.ended(event, outcome)
        await self.advance(event.case.tenant, event.case.case_id)

    async def on_stopped(self, event: CaseStopped) -> None:
        """Forget about a case."""
        await self._store.stop(event.case)

    async def advance(self, tenant: str, case_id: str) -> None:
        """Compose what is due for a case and announce what is composed; safe to repeat."""
        state = await self._store.state(tenant, case_id)
        if state is None or state.stopped:
            return
        now = self._now()
        decision = join.next_version(state, now)
        if decision:
            await self._store.claim(tenant, case_id, decision, now)
        for version in await self._store.versions(tenant, case_id):
            if not version.done:
                await self._compose(tenant, case_id, version)
        await self._sender.send(tenant, case_id)

    async def keep_looking(self, every_s: float) -> None:
        """Look at the clock for ever: due cases, and what another process left undone."""
        while True:
            await self.look()
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Advance every case whose due time came, or that was left half done."""
        now = self._now()
        await self._each(await self._store.due(now))
        await self._each(await self._store.unfinished(now - REPAIR_AFTER))
        await self._sender.send_all()

    async def _each(self, cases: Iterable[tuple[str, str]]) -> None:
        for tenant, case_id in cases:
            with telemetry.case(case_id):
                try:
                    await self.advance(tenant, case_id)
                except Exception as error:  # noqa: BLE001 - one case must not hold up the others
                    log.error("a due report was not composed: %s", telemetry.frames(error))

    async def _compose(self, tenant: str, case_id: str, version: Version) -> None:
        try:
            source, draft = await self._drafts.read(tenant, case_id, version)
            composed = await asyncio.to_thread(assemble.compose_what_can_be, draft)
            for part_id, reason in composed.unusable.items():
                log.error("part %s cannot be composed: %s", part_id, reason)
            content = fhir.dump(composed.bundle)
            name = f"report/v{version.number}.json"
            ref = await self._blobs.put(tenant, case_id, name, content)
        except KeyDestroyed:
            log.info("the case was stopped: its key is gone")
            await self._store.stop((await self._store.sources(tenant, case_id))[0].case)
            return
        event = ReportComposed(
            case=source.case,
            version=version.number,
            bundle=ref,
            images=composed.images,
            objects=composed.objects,
            missing_parts=composed.missing_parts,
        )
        event.composed_time.FromDatetime(version.composed)
        out = Outgoing(
            message_id=f"{case_id}/report/{version.number}",
            topic=subjects.REPORT_COMPOSED.name,
            event=event.SerializeToString(),
        )
        findings = {id_: (m.name, m.version) for id_, m in composed.findings.items()}
        await self._store.finish(tenant, case_id, version.number, findings, out)
