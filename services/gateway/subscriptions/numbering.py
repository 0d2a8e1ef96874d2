"""Gives each event its number, in the transaction that stores the resource.

The tenant's lock lets one transaction write at a time, so numbers have no gap and follow the
order of the commits; what is rolled back takes its numbers with it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store.stored import Stored
from services.gateway.store.subscriptions import Subscriptions
from services.gateway.store.writing import Writing
from services.gateway.subscriptions.matching import Listener, may_see
from services.kernel import fhir, telemetry

log = logging.getLogger(__name__)

Resource = Mapping[str, Any]

KIND = "Subscription"
SILENT = frozenset({KIND, "AuditEvent"})
"""Types whose changes are never events."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A tenant's subscriptions as they were under a mark."""

    mark: int
    by_kind: Mapping[str, Sequence[Listener]]


class Numbering:
    """A `WriteObserver`; `woken` is called when there is something to deliver."""

    def __init__(self, subscriptions: Subscriptions, woken: Callable[[], None]) -> None:
        self._subscriptions = subscriptions
        self._woken = woken
        self._tenants: dict[str, _Remembered] = {}

    async def written(self, writing: Writing) -> None:
        """Number the events among the changes; forget a Subscription that was deleted."""
        if not writing.changes:
            return
        for stored in writing.changes:
            if stored.type == KIND and stored.deleted:
                await self._subscriptions.drop(writing.connection, writing.tenant, stored.id)
        by_kind = await self._by_kind(writing)
        found: dict[str, list[Stored]] = defaultdict(list)
        for stored in writing.changes:
            if stored.deleted or stored.type in SILENT:
                continue
            if listening := by_kind.get(stored.type):
                for name in await self._wanting(writing, listening, stored):
                    found[name].append(stored)
        if found:
            await self._subscriptions.number(writing.connection, writing.tenant, found)
            self._woken()

    async def _wanting(
        self, writing: Writing, listening: Sequence[Listener], stored: Stored
    ) -> list[str]:
        """Return the subscriptions that a version is an event of."""
        now = fhir.parse(stored.content)
        before: dict[str, Any] | None = None
        if any(listener.topic for listener in listening):
            before = await self._before(writing, stored)
        return [one.id for one in listening if self._is_event(one, now, before)]

    def _is_event(self, listener: Listener, now: Resource, before: Resource | None) -> bool:
        """Tell whether a version is an event of a Subscription.

        An error of ours must neither stop a hospital's write nor lose an event: then it is
        numbered, and rights are looked at again when it is delivered.
        """
        try:
            return listener.wants(now, before) and may_see(listener.registration, now)
        except Exception as error:  # noqa: BLE001 - see above
            log.error("an event could not be judged: %s", telemetry.frames(error))
            telemetry.failure("gateway.subscriptions", type(error).__name__)
            return True

    async def _before(self, writing: Writing, stored: Stored) -> dict[str, Any] | None:
        if stored.version == 1:
            return None
        found = await self._subscriptions.version_before(writing.connection, writing.tenant, stored)
        return dict(fhir.parse(found.content)) if found else None

    async def _by_kind(self, writing: Writing) -> Mapping[str, Sequence[Listener]]:
        """Return the listening subscriptions by the types they listen to."""
        connection, tenant = writing.connection, writing.tenant
        mark = await self._subscriptions.mark(connection, tenant)
        known = self._tenants.get(tenant)
        if known is None or known.mark != mark:
            by_kind = await self._read(connection, tenant) if mark else {}
            known = self._tenants[tenant] = _Remembered(mark, by_kind)
        return known.by_kind

    async def _read(self, connection: AsyncConnection, tenant: str) -> dict[str, list[Listener]]:
        by_kind: dict[str, list[Listener]] = defaultdict(list)
        for standing in await self._subscriptions.listening(connection, tenant):
            listener = Listener.of(standing.id, standing.registration)
            for kind in dict.fromkeys(standing.registration.definition.kinds):
                by_kind[kind].append(listener)
        return dict(by_kind)
