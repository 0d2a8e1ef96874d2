"""Takes events from the outbox to the bus."""

from __future__ import annotations

import logging
from types import MappingProxyType

from services.kernel import subjects, telemetry
from services.kernel.bus import EventBus
from services.kernel.errors import MeshError
from services.reporting.store.outbox import Outbox

log = logging.getLogger(__name__)

_TOPICS = MappingProxyType({topic.name: topic for topic in subjects.PUBLISHES["reporting"]})


class Sender:
    """Publishes what the outbox holds; an event leaves it when the bus has confirmed it."""

    def __init__(self, bus: EventBus, outbox: Outbox) -> None:
        self._bus = bus
        self._outbox = outbox

    async def send(self, tenant: str, case_id: str) -> None:
        """Publish a case's events in order.

        Raises
        ------
        Unavailable
            The bus does not confirm; the rest stays in the outbox.
        """
        for out in await self._outbox.pending(tenant, case_id):
            topic = _TOPICS[out.topic]
            event = topic.event.FromString(out.event)
            await self._bus.publish(topic, event, message_id=out.message_id)
            await self._outbox.sent(out.message_id)

    async def send_all(self) -> None:
        """Publish what is left of every case; a case that fails is tried again later."""
        for tenant, case_id in await self._outbox.cases():
            with telemetry.case(case_id):
                try:
                    await self.send(tenant, case_id)
                except MeshError as error:
                    log.warning("events wait for the bus: %s", error.reason)
