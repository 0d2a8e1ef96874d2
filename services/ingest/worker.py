"""What ingest does besides its calls: destroys what is no longer needed, publishes what is left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from dxmesh.event.v1.case_stopped_pb2 import CaseStopped

from services.ingest.store import CaseStore, Intake, OriginalStore, Relay
from services.kernel import subjects
from services.kernel.bus import KEEP_S, EventBus
from services.kernel.errors import MeshError

log = logging.getLogger(__name__)

ATTEMPT_S = 3600.0
"""Age from which a submission that was not accepted is given up; a call ends far sooner."""
SETTLED_S = 60.0
"""Age from which another process is not at work on a scope any more."""
CORRECTED_DAYS = 365
"""For so long the results of a case are known again in a later one, as keyed hashes."""
GIVEN_UP_S = 2 * KEEP_S + 8 * 86_400.0
"""Age from which nothing can finish what a case took: the bus has forgotten the event and the dead
letter, which may be laid when the event's own time ends; and a case takes an upload a week after
its newest instance at the latest."""
BATCH = 200


class IngestWorker:
    """Hears of stopped cases, sweeps, and keeps publishing."""

    def __init__(
        self,
        bus: EventBus,
        intake: Intake,
        cases: CaseStore,
        relay: Relay,
        originals: OriginalStore,
        orphan_s: float,
        now: Callable[[], datetime],
    ) -> None:
        self._bus = bus
        self._intake = intake
        self._cases = cases
        self._relay = relay
        self._originals = originals
        self._orphan_s = orphan_s
        self._now = now

    async def start(self, concurrency: int) -> None:
        """Begin to hear of stopped cases."""
        await self._bus.consume(subjects.CASE_STOPPED, self.stopped, concurrency=concurrency)

    async def stopped(self, event: CaseStopped) -> None:
        """Destroy a case's Bundle, what it was made of and the uploads it took; may be repeated.

        An upload belongs to one case, so nothing of another case is touched.
        """
        tenant, case_id = event.case.tenant, event.case.case_id
        await self._cases.stop(tenant, case_id)
        for upload in await self._intake.uploads.of_case(tenant, case_id):
            await self._intake.destroy(tenant, upload.scope)
        if original := await self._originals.of_case(tenant, case_id):
            await self._intake.blobs.destroy(tenant, original.blob.scope)
            await self._originals.forget(tenant, case_id)

    async def sweep(self) -> int:
        """Destroy uploads and submissions that no case took in time, and what cases took and
        gave up; forget finished ones.

        Returns how many scopes went.
        """
        now = self._now()
        uploads = self._intake.uploads
        gone = 0
        for age_s, study in ((self._orphan_s, True), (ATTEMPT_S, False)):
            before = now - timedelta(seconds=age_s)
            for tenant, scope in await uploads.unclaimed(before, study=study, limit=BATCH):
                if await uploads.close(tenant, scope, untouched_since=before):
                    gone += await self._destroy(tenant, scope)
        settled = now - timedelta(seconds=SETTLED_S)
        for tenant, scope in await uploads.closed(settled, BATCH):
            gone += await self._destroy(tenant, scope)
        for tenant, scope in await uploads.claimed(now - timedelta(seconds=GIVEN_UP_S), "", BATCH):
            gone += await self._destroy(tenant, scope)
        await self._cases.forget_results(now - timedelta(days=CORRECTED_DAYS))
        return gone + await self._forget_finished(settled)

    async def keep_sweeping(self, pause_s: float) -> None:
        """Sweep for as long as the process runs."""
        while True:
            if gone := await self.sweep():
                log.info("the sweep destroyed or forgot %d scopes", gone)
            await asyncio.sleep(pause_s)

    async def keep_publishing(self, pause_s: float) -> None:
        """Publish what a crash or an absent bus left over."""
        while True:
            await self._relay.send_all()
            await asyncio.sleep(pause_s)

    async def _destroy(self, tenant: str, scope: str) -> int:
        try:
            await self._intake.destroy(tenant, scope)
        except MeshError as error:  # closed, it is found again by the next sweep
            log.warning("a scope could not be destroyed yet: %s", error.reason)
            return 0
        return 1

    async def _forget_finished(self, before: datetime) -> int:
        """Delete the rows of scopes whose keys anonymization destroyed when it was done."""
        gone, after = 0, ""
        while batch := await self._intake.uploads.claimed(before, after, BATCH):
            for tenant, scope in batch:
                if not await self._intake.is_alive(tenant, scope):
                    await self._intake.uploads.forget(tenant, scope)
                    gone += 1
            after = batch[-1][1]
        return gone
