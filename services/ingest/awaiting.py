"""Goes on with cases whose images were still arriving when they were submitted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.ingest.v1.ingest_service_pb2 import SubmitCaseResponse

from services.ingest import gathering, submission
from services.ingest.gathering import AWAITED, Gathering, Source
from services.ingest.limits import Defaults
from services.ingest.store.cases import CaseStore, Draft, Outcome
from services.ingest.store.intake import Intake
from services.ingest.store.relay import Relay
from services.ingest.store.waiting import Waiting, WaitingStore
from services.kernel import telemetry
from services.kernel.errors import KeyDestroyed

log = logging.getLogger(__name__)


class Awaiting:
    """Looks at waiting cases, and lets those go whose studies are ready."""

    def __init__(
        self,
        intake: Intake,
        cases: CaseStore,
        waiting: WaitingStore,
        relay: Relay,
        defaults: Defaults,
        now: Callable[[], datetime],
    ) -> None:
        self._intake = intake
        self._gathering = Gathering(intake, defaults)
        self._cases = cases
        self._waiting = waiting
        self._relay = relay
        self._defaults = defaults
        self._now = now

    async def keep_looking(self, pause_s: float) -> None:
        """Look for as long as the process runs."""
        while True:
            await self.look()
            await asyncio.sleep(pause_s)

    async def look(self) -> int:
        """Let every case go that is ready; return how many went. Safe to run at once twice."""
        gone = 0
        for each in await self._waiting.all():
            with telemetry.case(each.case_id):
                try:
                    gone += await self._advance(each)
                except KeyDestroyed:
                    await self._cases.stop(each.tenant, each.case_id)
                except Exception as error:  # noqa: BLE001 - one case must not hold up the others
                    log.error("a waiting case is tried again: %s", telemetry.frames(error))
        return gone

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
        draft = Draft(answer, event, "", (), gathering.claims(found), each.trace)
        if await self._waiting.release(draft) is not Outcome.ACCEPTED:
            return False  # an upload changed, or another process was faster: the next look tells
        await self._relay.send(tenant, each.case_id)
        return True
