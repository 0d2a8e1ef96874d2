"""Takes `case.received` from the outbox to the bus."""

from __future__ import annotations

import asyncio
import logging

from services.ingest.store.cases import CaseStore, Outgoing
from services.kernel import subjects, telemetry
from services.kernel.bus import EventBus
from services.kernel.errors import MeshError

log = logging.getLogger(__name__)

AT_ONCE_S = 5.0
"""How long a submission waits for the bus; the case is accepted either way."""


class Relay:
    """Publishes what the outbox holds; an event leaves it when the bus has confirmed it."""

    def __init__(self, bus: EventBus, cases: CaseStore) -> None:
        self._bus = bus
        self._cases = cases

    async def send(self, tenant: str, case_id: str) -> None:
        """Publish a case's event now if the bus answers; otherwise it stays in the outbox."""
        try:
            async with asyncio.timeout(AT_ONCE_S):
                for out in await self._cases.outgoing(tenant, case_id):
                    await self._publish(out)
        except (MeshError, TimeoutError) as error:
            log.warning("a case waits for the bus: %s", type(error).__name__)

    async def send_all(self) -> None:
        """Publish everything that is left; an event that fails is tried again later."""
        for out in await self._cases.outgoing():
            try:
                await self._publish(out)
            except MeshError as error:
                log.warning("a case waits for the bus: %s", error.reason)

    async def _publish(self, out: Outgoing) -> None:
        parent = {"traceparent": out.trace} if out.trace else None
        with (
            telemetry.case(out.event.case.case_id),
            telemetry.span("ingest relay", parent=parent),
        ):
            await self._bus.publish(subjects.CASE_RECEIVED, out.event, message_id=out.message_id)
            await self._cases.sent(out.message_id)
