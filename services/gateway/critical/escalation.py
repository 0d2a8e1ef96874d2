"""Tells unread notices again, after the time that the hospital sets, until somebody reads them.

When it is due stands in the database, and counting it is part of the transaction that stores
the Communication. So a restart loses nothing, and of several replicas one tells it, once.
"""

from __future__ import annotations

import asyncio
import logging
import random

from services.gateway.critical import communication
from services.gateway.critical.communication import KIND
from services.gateway.critical.policy import Policies
from services.gateway.progress import to_instant
from services.gateway.store import Store
from services.gateway.store.critical import NEVER_US, Notice, escalation_id
from services.kernel import fhir, telemetry
from services.kernel.errors import MeshError, as_outage

log = logging.getLogger(__name__)

LOOK_S = 5.0
AT_ONCE = 50
MINUTE_US = 60_000_000


class Escalation:
    """The background work of a replica; any number of them may do it side by side."""

    def __init__(self, store: Store, policies: Policies) -> None:
        self._store = store
        self._policies = policies

    async def run(self) -> None:
        """Tell again what is due, until the process stops."""
        while True:
            try:
                await self.sweep()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next look tries again
                log.error("critical results cannot be told again: %s", telemetry.frames(error))
                telemetry.failure("gateway.critical", type(error).__name__)
            await asyncio.sleep(LOOK_S * random.uniform(0.8, 1.2))  # noqa: S311 - no secret

    async def sweep(self) -> int:
        """Tell again what is due; return how many notices that were."""
        await self._put_right()
        told = 0
        for notice in await self._store.critical.due(AT_ONCE):
            with telemetry.case(notice.case_id):
                told += await self._tried(notice)
        return told

    async def _put_right(self) -> None:
        """Bring forward what a clock that was set back, or a longer time of before, put off."""
        critical, now_us = self._store.critical, self._store.critical.now_us()
        beyond_us = now_us + self._policies.shortest_us + MINUTE_US
        for notice in await critical.waiting_beyond(beyond_us, AT_ONCE):
            policy = self._policies.of(notice.tenant)
            next_us = policy.next_us(now_us, notice.escalations)
            if next_us and notice.next_us > next_us + MINUTE_US:
                await critical.put_off(notice, next_us, min(notice.sent_us, now_us))

    async def _tried(self, notice: Notice) -> bool:
        """Tell a notice again; one that cannot be told waits, so that it does not keep others."""
        try:
            return await self._again(notice)
        except Exception as error:
            if as_outage(error):
                raise
            log.error("a critical result cannot be told again: %s", telemetry.frames(error))
            reason = error.reason if isinstance(error, MeshError) else type(error).__name__
            telemetry.failure("gateway.critical", reason)
        critical = self._store.critical
        await critical.put_off(notice, critical.now_us() + MINUTE_US)
        return False

    async def _again(self, notice: Notice) -> bool:
        policy = self._policies.of(notice.tenant)
        now_us, number = self._store.critical.now_us(), notice.escalations + 1
        next_us = policy.next_us(now_us, number) or NEVER_US
        async with self._store.cases.transaction() as connection:
            if not await self._store.critical.take(connection, notice, next_us):
                return False  # read, withdrawn or told again meanwhile
            resources = self._store.resources
            async with resources.writing(notice.tenant, connection=connection) as writing:
                stored = await writing.current(KIND, notice.id)
                if stored is None or stored.deleted:
                    return False
                made = communication.escalation(
                    fhir.parse(stored.content),
                    escalation_id(notice.id, number),
                    number,
                    (now_us - notice.sent_us) // MINUTE_US,
                    list(policy.recipients),
                    to_instant(now_us),
                )
                await writing.save(made, case_id=notice.case_id, owned=True)
        telemetry.failure("gateway.critical", "NOT_ACKNOWLEDGED")
        last = "" if next_us != NEVER_US else ", for the last time"
        log.warning("a critical result is not acknowledged; told again, no. %d%s", number, last)
        return True
