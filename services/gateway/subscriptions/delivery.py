"""Delivers events: at least once, in order for each Subscription, for as long as it takes.

One replica at a time delivers, by a lease; where it stands is in the database, so that another
goes on after it. Each Subscription is served by a task of its own: an endpoint that is slow or
away costs the others nothing. An event counts as delivered when the endpoint has answered 2xx;
a crash between that and the note of it means that it is sent again, under the same number.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

from services.gateway.call import Gateway
from services.gateway.store.subscriptions import OFF, Event, Standing
from services.gateway.store.writing import Writing
from services.gateway.subscriptions import backoff, notification
from services.gateway.subscriptions.audience import Audience
from services.gateway.subscriptions.backoff import Failure
from services.gateway.subscriptions.requests import Outgoing, outgoing
from services.kernel import fhir, telemetry
from services.kernel.errors import MeshError, NotFound

log = logging.getLogger(__name__)

LEASE, LEASE_S = "subscriptions", 20.0
LOOK_S = 1.0
"""How often it is looked for work of other replicas and for heartbeats."""
WAKE_S = (0.02, 0.1, 0.5)
"""When it is looked after a write of this replica."""
AT_ONCE = 64
"""Subscriptions served at the same time."""
FORGET_S = 3600.0
DAY_US = 86_400 * 1_000_000
US = 1_000_000
NEVER_US = 1 << 62
GOES_ON = "it is tried again, no event is lost"
ENDED = "it is not tried any more; send the Subscription again, no event is lost"


class Delivery:
    """The background work of a replica; `run` it until the process stops."""

    def __init__(
        self,
        gateway: Gateway,
        clock_us: Callable[[], int],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._gateway = gateway
        self._subscriptions = gateway.store.subscriptions
        self._audience = Audience(gateway)
        self._settings = gateway.settings
        self._now_us = clock_us
        self._chance = chance
        self._wake = asyncio.Event()
        self._serving: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._holding = False
        self._renew_us = 0

    def wake(self) -> None:
        """Look for work soon: an event is about to be committed, at once or a little later."""
        for seconds in WAKE_S:
            asyncio.get_running_loop().call_later(seconds, self._wake.set)

    async def run(self) -> None:
        """Deliver while this replica has the lease; give it back at the end."""
        forgotten_us = 0
        try:
            while True:
                if await self._hold():
                    await self.sweep()
                    if self._now_us() - forgotten_us > FORGET_S * US:
                        forgotten_us = self._now_us()
                        kept_us = self._settings.subscription_events_days * DAY_US
                        await self._subscriptions.forget_events(forgotten_us - int(kept_us))
                await self._pause()
        finally:
            await self.stop()

    async def _hold(self) -> bool:
        """Tell whether this replica has the lease, and renew it when half of it is over."""
        if self._now_us() > self._renew_us:
            self._holding = await self._gateway.store.leases.hold(LEASE, LEASE_S)
            self._renew_us = self._now_us() + int(LEASE_S / 2 * US) if self._holding else 0
        return self._holding

    async def sweep(self) -> int:
        """Begin to serve what is due and not served yet; return how many began."""
        self._holding = True
        begun = 0
        free = AT_ONCE - len(self._serving)
        for key in await self._subscriptions.due(self._now_us(), AT_ONCE * 4):
            if key in self._serving or begun >= free:
                continue
            task = asyncio.create_task(self._serve(*key))
            self._serving[key] = task
            task.add_done_callback(partial(self._served, key))
            begun += 1
        return begun

    async def settle(self) -> None:
        """Return when nothing is being served."""
        while self._serving:
            await asyncio.gather(*self._serving.values(), return_exceptions=True)
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """End what is being served; nothing is lost by it."""
        self._holding = False
        tasks = list(self._serving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(Exception):  # it ends by itself
            await self._gateway.store.leases.release(LEASE)

    def _served(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        self._serving.pop(key, None)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()):
            # Not left to asyncio, which would log its text: that may quote a value.
            log.error("a subscription waits: %s", telemetry.frames(error))

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._wake.wait()
        self._wake.clear()

    async def _serve(self, tenant: str, subscription_id: str) -> None:
        """Serve one Subscription until it has nothing more, or fails."""
        try:
            while self._holding:
                standing = await self._subscriptions.standing(tenant, subscription_id)
                if standing is None or standing.status == OFF or not await self._step(standing):
                    return
        except Exception as error:  # noqa: BLE001 - the others must go on; it is tried again
            log.error("a subscription could not be served: %s", telemetry.frames(error))
            telemetry.failure("gateway.subscriptions", type(error).__name__)
            await self._postpone(tenant, subscription_id)

    async def _step(self, standing: Standing) -> bool:
        """Send the next notification; tell whether there may be another."""
        now = self._now_us()
        definition = standing.registration.definition
        if definition.end_us and now >= definition.end_us:
            async with self._turning(standing, OFF):
                return False
        if standing.next_us > now:
            return False
        if not await self._audience.stands(standing.tenant, standing.registration.owner):
            await self._failed(standing, Failure("OWNER_GONE", lasting=True))
            return False
        if not standing.greeted:
            return await self._greet(standing)
        count = definition.count_max if definition.topic else 1
        events = await self._subscriptions.events(
            standing.tenant, standing.id, after=standing.delivered, limit=count
        )
        if events:
            return await self._tell(standing, events)
        silent_s = (now - standing.sent_us) / US
        if definition.topic and definition.heartbeat_s and silent_s >= definition.heartbeat_s:
            return await self._say(standing, notification.HEARTBEAT)
        return False

    async def _greet(self, standing: Standing) -> bool:
        """Do the handshake of a topic; a rest-hook of R4 knows none, it is active at once."""
        if standing.registration.definition.topic:
            return await self._say(standing, notification.HANDSHAKE)
        await self._taken(standing, standing.delivered, None)
        return True

    async def _say(self, standing: Standing, kind: str) -> bool:
        """Send a notification without an event."""
        told = replace(standing, status="active", reason="") if not standing.greeted else standing
        bundle = notification.bundle(told, kind, (), self._now_us())
        definition = standing.registration.definition
        request = Outgoing("POST", definition.endpoint, definition.payload, fhir.dump(bundle))
        if failure := await self._send(standing, request):
            await self._failed(standing, failure)
            return False
        await self._taken(standing, standing.delivered, None)
        return kind == notification.HANDSHAKE

    async def _tell(self, standing: Standing, events: Sequence[Event]) -> bool:
        """Send events; what the owner may not see any more is told as a number alone."""
        told = await self._audience.told(standing, events)
        request = outgoing(standing, told, self._now_us())
        if request and (failure := await self._send(standing, request)):
            await self._failed(standing, failure)
            return False
        await self._taken(standing, events[-1].number, told)
        return True

    async def _send(self, standing: Standing, request: Outgoing) -> Failure | None:
        """Return why a request was not taken; None: it was."""
        definition = standing.registration.definition
        headers = dict(line.split(": ", 1) for line in definition.headers)
        headers |= {"User-Agent": "dxmesh", **request.headers}
        if request.content:
            headers["Content-Type"] = request.media_type
        try:
            answer = await self._gateway.outbound.request(
                standing.tenant,
                request.method,
                request.url,
                headers=headers,
                content=request.content,
                timeout_s=definition.timeout_s,
            )
        except MeshError as error:
            return Failure(error.reason, lasting=error.retry_after_s is None)
        waits = answer.headers.get("retry-after", "")
        return backoff.of_status(answer.status, waits, self._now_us() / US)

    async def _taken(
        self, standing: Standing, number: int, told: Sequence[notification.Told] | None
    ) -> None:
        now = self._now_us()
        entry = self._audience.entry(standing, told) if told else None
        if standing.status == "active":
            await self._subscriptions.taken(standing, number, now, entry)
            return
        async with self._turning(standing, "active") as writing:
            await self._subscriptions.taken(standing, number, now, entry, writing=writing)

    async def _failed(self, standing: Standing, failure: Failure) -> None:
        """Note a failure; after `subscription_retry_days` of them only a client's update helps."""
        now = self._now_us()
        failures = standing.failures + 1
        longest_s = self._settings.subscription_retry_s_max
        wait_s = backoff.wait_s(failures, failure, longest_s, self._chance())
        since_us = standing.failing_us or now
        next_us = now + int(wait_s * US)
        given_up = now - since_us > self._settings.subscription_retry_days * DAY_US
        if given_up:
            next_us = NEVER_US
        telemetry.failure("gateway.subscriptions", failure.reason)
        reason = failure.reason
        in_error = failure.lasting or failures >= backoff.ERROR_AFTER
        if not given_up and (not in_error or standing.status == "error"):
            await self._subscriptions.failed(standing, reason, now, next_us)
            return
        said = f"{reason}: {ENDED if given_up else GOES_ON}"
        async with self._turning(standing, "error", said) as writing:
            await self._subscriptions.failed(standing, reason, now, next_us, writing=writing)

    @asynccontextmanager
    async def _turning(
        self, standing: Standing, status: str, said: str = ""
    ) -> AsyncIterator[Writing]:
        """Set the state here and in the resource, so that its owner can read it.

        What the body does is part of it. An owner that wrote the Subscription meanwhile was
        faster: then the state stays as it is.
        """
        async with self._gateway.store.resources.writing(standing.tenant) as writing:
            yield writing
            if not await self._subscriptions.set_status(writing.connection, standing, status):
                return
            found = await writing.current("Subscription", standing.id)
            if found is None or found.deleted:
                return
            resource = dict(fhir.parse(found.content)) | {"status": status}
            resource.pop("error", None)
            if said:
                resource["error"] = said
            await writing.save(resource, resource_id=standing.id)

    async def _postpone(self, tenant: str, subscription_id: str) -> None:
        """Leave one alone for a while after an error of ours."""
        try:
            standing = await self._subscriptions.standing(tenant, subscription_id)
        except NotFound:
            return
        if standing:
            await self._failed(standing, Failure("INTERNAL", lasting=False))
