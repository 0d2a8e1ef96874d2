"""Goes on with cases whose images were still arriving, and with images that came late.

A case that waits begins when its studies are ready. What arrives of a study after its case has
begun makes a supplement once it has gone quiet; the report gets a new version.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.ingest.v1.ingest_service_pb2 import SubmitCaseResponse
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeManifest

from services.ingest import corrections, gathering, submission
from services.ingest.gathering import AWAITED, Gathering, Source
from services.ingest.limits import Defaults
from services.ingest.store.cases import Draft, Outcome
from services.ingest.store.late import LATE_AT_ONCE, Late
from services.ingest.store.relay import Relay
from services.ingest.store.stores import Stores
from services.ingest.store.waiting import FIRST, LOOKED_AT, Waiting
from services.kernel import telemetry
from services.kernel.errors import KeyDestroyed

log = logging.getLogger(__name__)


class Awaiting:
    """Looks at waiting cases, and lets those go whose studies are ready."""

    def __init__(
        self,
        stores: Stores,
        relay: Relay,
        defaults: Defaults,
        now: Callable[[], datetime],
    ) -> None:
        self._intake = stores.intake
        self._gathering = Gathering(stores.intake, defaults)
        self._cases = stores.cases
        self._waiting = stores.waiting
        self._late = stores.late
        self._relay = relay
        self._defaults = defaults
        self._now = now
        self._place = self._late_place = FIRST

    async def keep_looking(self, pause_s: float) -> None:
        """Look for as long as the process runs."""
        while True:
            await self.look()
            await self.forget()
            await asyncio.sleep(pause_s)

    async def look(self) -> int:
        """Let every case go that is ready; return how many went. Safe to run at once twice."""
        gone = 0
        found = await self._waiting.after(self._place)
        # The next look goes on from here: many that wait for long must not hide those behind.
        self._place = found[-1].place if len(found) == LOOKED_AT else FIRST
        for each in found:
            gone += await self._one(each.tenant, each.case_id, self._advance(each))
        quiet_since = self._now() - timedelta(seconds=self._defaults.quiet_s)
        late_ones = await self._late.after(self._late_place, quiet_since, LATE_AT_ONCE)
        full = len(late_ones) == LATE_AT_ONCE
        self._late_place = late_ones[-1].place if full else FIRST
        for late in late_ones:
            gone += await self._one(late.tenant, late.answer.case.case_id, self._supplement(late))
        return gone

    async def forget(self) -> None:
        """Forget the studies of cases that are too old for images to be late."""
        await self._late.forget(self._now() - timedelta(seconds=self._defaults.late_s))

    async def _one(self, tenant: str, case_id: str, step: Coroutine[Any, Any, bool]) -> bool:
        """Go one step on with a case; whatever happens must not hold up the others."""
        with telemetry.case(case_id):
            try:
                return await step
            except KeyDestroyed:
                await self._cases.stop(tenant, case_id)
            except Exception as error:  # noqa: BLE001 - logged, and tried again by the next look
                log.error("images of a case are looked at again: %s", telemetry.frames(error))
        return False

    async def _advance(self, each: Waiting) -> bool:
        tenant, case = each.tenant, each.answer.case
        content = await self._intake.blobs.get(tenant, each.bundle)
        read = await asyncio.to_thread(submission.read, content, self._defaults)
        found = await self._gathering.gather(tenant, read.studies, each.case_id)
        due = case.due_time.ToDatetime(UTC)
        if self._gathering.awaited(found, each.since, self._now(), due):
            return False
        problems = [problem for problem in each.answer.problems if problem.reason != AWAITED]
        manifest = await self._gathering.write(tenant, Source(read, each.bundle, problems), found)
        answer = SubmitCaseResponse()
        answer.CopyFrom(each.answer)
        del answer.problems[:]
        answer.problems.extend(manifest.problems)
        event = CaseReceived(case=case, manifest=manifest.ref, subject_key=each.answer.subject_key)
        studies = await self._gathering.keys(tenant, found)
        hasher = await self._intake.blobs.vault.hasher(tenant)
        rows = corrections.rows(read.results, each.case_id, event.subject_key, hasher)
        claims = gathering.claims(found)
        draft = Draft(answer, event, "", (), claims, each.trace, studies, results=rows)
        if await self._waiting.release(draft) is not Outcome.ACCEPTED:
            return False  # an upload changed, or another process was faster: the next look tells
        await self._relay.send(tenant, each.case_id)
        return True

    async def _supplement(self, late: Late) -> bool:
        """Hand on what came late of a study; without the Bundle, which is destroyed by now."""
        tenant, case = late.tenant, late.answer.case
        try:
            instances = await self._intake.of_upload(tenant, late.claim.scope)
        except KeyDestroyed:  # the sweep was faster: only the upload is gone, not the case
            await self._intake.uploads.forget(tenant, late.claim.scope)
            return False
        manifest = IntakeManifest()
        manifest.studies.add(study_instance_uid=late.study, instances=instances)
        content = manifest.SerializeToString()
        ref = await self._intake.blobs.put(tenant, late.claim.scope, "manifest", content)
        event = CaseReceived(
            case=case,
            manifest=ref,
            subject_key=late.answer.subject_key,
            supplement=late.supplement,
        )
        draft = Draft(late.answer, event, "", (), [late.claim], "")
        if await self._late.add(draft, late.study_key) is not Outcome.ACCEPTED:
            return False
        log.info("late images make a supplement of their case")
        await self._relay.send(tenant, case.case_id)
        return True
