"""Follows each case on the bus: progress into its Task, reports into the store."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified
from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.event.v1.case_ref_pb2 import (
    PART_KIND_IMAGING,
    PART_KIND_LABS,
    PART_KIND_NLP,
    CaseRef,
)
from dxmesh.event.v1.case_stopped_pb2 import CaseStopped
from dxmesh.event.v1.consent_withdrawn_pb2 import ConsentWithdrawn
from dxmesh.event.v1.finding_ready_pb2 import (
    OUTCOME_COMPLETED,
    OUTCOME_DECLINED,
    FindingReady,
)
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.event.v1.report_composed_pb2 import ReportComposed

from services.gateway import correction_notices, corrections
from services.gateway.call import Gateway
from services.gateway.commit import STOPPED_FOR_GOOD
from services.gateway.ops.cases import announce_stop
from services.gateway.progress import Step, known, stop, to_instant, to_us, with_step
from services.kernel import subjects, telemetry
from services.kernel.errors import MeshError

MEASURE_S = 10.0
FIRST_S, LOOK_S = 5.0, 0.1
"""How long reports wait at the start for critical results that waited, and how often it looks."""
KINDS = {PART_KIND_IMAGING: "imaging", PART_KIND_LABS: "labs", PART_KIND_NLP: "nlp"}
STATES = {OUTCOME_COMPLETED: "done", OUTCOME_DECLINED: "declined"}


class GatewayWorker:
    """Handlers of every event the gateway consumes; each may come twice, in any order."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._cases = gateway.store.cases

    async def start(self, concurrency: int) -> None:
        """Begin to take events."""
        bus, committer = self._gateway.bus, self._gateway.committer
        topics: list[tuple[subjects.Topic, Any]] = [
            (subjects.CASE_RECEIVED, self.received),
            (subjects.CASE_DEIDENTIFIED, self.deidentified),
            *((topic, self.finding) for topic in subjects.FINDINGS),
            (subjects.CASE_STOPPED, self.stopped),
            (subjects.CONSENT_WITHDRAWN, self.withdrawn),
            (subjects.REPORT_SIGNED, committer.signed),
        ]
        if notifier := self._gateway.notifier:
            await bus.consume(
                subjects.FINDING_CRITICAL,
                notifier.found,
                concurrency=concurrency,
                on_dead=notifier.lost,
            )
        for topic, handler in topics:
            await bus.consume(topic, handler, concurrency=concurrency)
        if notifier:
            await self._critical_first()
        await bus.consume(
            subjects.REPORT_COMPOSED,
            committer.composed,
            concurrency=concurrency,
            on_dead=self.report_lost,
        )

    async def _critical_first(self) -> None:
        """Let what waited while no gateway ran be told before the reports that waited with it."""
        until = time.monotonic() + FIRST_S
        while await self._gateway.queues.waiting(subjects.FINDING_CRITICAL):
            if time.monotonic() > until:
                return  # what it needs is away, or another replica holds it
            await asyncio.sleep(LOOK_S)

    async def received(self, event: CaseReceived) -> None:
        """Note that ingest accepted the case, and what of a laboratory's message it left out."""
        at = to_us(event.case.received_time)
        await self._step(event.case, Step("received", "done", at, at), event.subject_key)
        withdrawn_us = await self._gateway.store.critical.withdrawn_us(
            event.case.tenant, event.subject_key
        )
        if at < withdrawn_us:  # the withdrawal was heard first
            await self._stop_of(event.case.tenant, event.subject_key, withdrawn_us)
        if event.corrections:
            await self._correct(event)
        if not event.left_out:
            return
        left_out = [
            {"source": each.place, "reason": each.reason, "message": each.message}
            for each in event.left_out
        ]
        async with self._cases.change(event.case.tenant, event.case.case_id) as opened:
            case = opened.case
            if not case.stopped and "problems" not in case.label:  # a file's sender was told
                opened.case = replace(case, label=case.label | {"problems": left_out})

    async def _correct(self, event: CaseReceived) -> None:
        """Note in both cases which results of one the other corrects, and tell of those shown."""
        tenant, at = event.case.tenant, to_instant(to_us(event.case.received_time))
        for case_id in corrections.cases_of(event.corrections):
            async with self._cases.change(tenant, case_id) as opened:
                if not opened.case.stopped:
                    label = corrections.noted(opened.case.label, case_id, event.corrections, at)
                    opened.case = replace(opened.case, label=label)
            await correction_notices.tell(self._gateway, opened.case)

    async def deidentified(self, event: CaseDeidentified) -> None:
        """Note the parts that are awaited, and what was set aside."""
        times = (to_us(event.started_time), to_us(event.finished_time))
        steps = [Step("deidentified", "done", *times)]
        steps += [Step(part.part_id, "running", times[1]) for part in event.parts]
        for aside in event.set_aside:
            kind = KINDS.get(aside.kind, "part")
            reason = aside.refusal.reason
            steps.append(Step(f"{kind}-aside-{reason}"[:64].lower(), "declined", *times, reason))
        await self._steps(event.case, steps)
        if self._gateway.notifier:
            await self._gateway.notifier.superseded(event)

    async def finding(self, event: FindingReady) -> None:
        """Note how the analysis of a part ended."""
        state = STATES.get(event.outcome, "failed")
        times = (to_us(event.started_time), to_us(event.finished_time))
        await self._step(event.case, Step(event.part_id, state, *times, event.refusal.reason))

    async def stopped(self, event: CaseStopped) -> None:
        """End the case; a consent's refusal is a rejection, anything else a cancellation.

        Objects made for its report may be here already: they are kept before the report is.
        """
        reason = event.refusal.reason or "STOPPED"
        status = "cancelled" if reason == "CANCELLED" else "rejected"
        async with self._cases.change(event.case.tenant, event.case.case_id) as opened:
            case = known(opened.case, event.case)
            opened.case = case = stop(case, status, reason, event.refusal.message)
            if case.status in STOPPED_FOR_GOOD and self._gateway.notifier:
                await self._gateway.notifier.destroy(opened.connection, case.tenant, case.case_id)
        if case.status in STOPPED_FOR_GOOD and self._gateway.archive:
            await self._gateway.archive.destroy(event.case.tenant, event.case.case_id)

    async def withdrawn(self, event: ConsentWithdrawn) -> None:
        """Stop every open case of the subject, and those that are heard of later."""
        await self._gateway.store.critical.withdrew(
            event.tenant, event.subject_key, event.consent_version, to_us(event.recorded_time)
        )
        await self._stop_of(event.tenant, event.subject_key)

    async def _stop_of(self, tenant: str, subject_key: str, received_before_us: int = 0) -> None:
        """Stop the open cases of a subject, all or those received before a time."""
        message = "The patient's consent was withdrawn while the case waited."
        refusal = Refusal(reason="CONSENT_WITHDRAWN", message=message)
        for case in await self._cases.open_of_subject(tenant, subject_key):
            if received_before_us and case.received_us >= received_before_us:
                continue
            await announce_stop(self._gateway, case, refusal)
            async with self._cases.change(case.tenant, case.case_id) as opened:
                opened.case = stop(opened.case, "rejected", refusal.reason, message)

    async def report_lost(self, event: ReportComposed, error: MeshError) -> None:
        """Say in the Task that the report could not be stored; the dead letter holds it."""
        async with self._cases.change(event.case.tenant, event.case.case_id) as opened:
            case = with_step(opened.case, Step("committed", "failed", reason=error.reason))
            if not case.report_version:
                case = stop(case, "failed", error.reason, error.message)
            opened.case = case

    async def keep_measuring(self) -> None:
        """Record what `measure` does, until the process stops.

        A tenant without one is recorded as 0: a gauge keeps what it was last told.
        """
        while True:
            await self.measure()
            await asyncio.sleep(MEASURE_S)

    async def measure(self) -> None:
        """Record once each tenant's oldest open case and its unread critical results."""
        now = time.time()
        received = await self._cases.oldest_open_us()
        unread = await self._gateway.store.critical.unread_of_all()
        for tenant in self._gateway.accounts.tenants | received.keys() | unread.keys():
            at_us = received.get(tenant)
            telemetry.oldest_case(tenant, now - at_us / 1e6 if at_us else 0.0)
            count, sent_us = unread.get(tenant, (0, 0))
            telemetry.unread_critical(tenant, count, now - sent_us / 1e6 if sent_us else 0.0)

    async def _step(self, ref: CaseRef, step: Step, subject_key: str = "") -> None:
        await self._steps(ref, [step], subject_key)

    async def _steps(self, ref: CaseRef, steps: list[Step], subject_key: str = "") -> None:
        async with self._cases.change(ref.tenant, ref.case_id) as opened:
            case = known(opened.case, ref)
            for step in steps:
                case = with_step(case, step)
            opened.case = replace(case, subject_key=subject_key or case.subject_key)
