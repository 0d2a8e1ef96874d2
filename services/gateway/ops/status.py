"""GET /ops/status: each service's health, what waits for it, and endpoints that do not answer."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, Response

from services.gateway.call import Call
from services.gateway.store.subscriptions import OFF
from services.kernel import subjects


async def status(call: Call) -> Response:
    """Report health, queue depths and the oldest case that has no report."""
    gateway = call.gateway
    health, depths, oldest, writes = await asyncio.gather(
        gateway.peers.health(),
        _depths(call),
        gateway.store.cases.oldest_open_us(),
        gateway.store.ehr_writes.counts(call.tenant),
    )
    received_us = oldest.get(call.tenant)
    age = round(time.time() - received_us / 1e6, 1) if received_us else None
    healthy = all(state == "SERVING" for state in health.values())
    answer = {
        "healthy": healthy,
        "services": health,
        "queues": depths,
        "oldest_open_case_s": age,
        "critical": await _critical(call),
        "ehr_writes": writes,
        "subscriptions": await _subscriptions(call),
    }
    return JSONResponse(answer)


async def _critical(call: Call) -> dict[str, Any]:
    """Return how many critical results nobody has read, and since when the first was sent."""
    count, sent_us = await call.store.critical.unread(call.tenant)
    age = round((call.store.database.now_us() - sent_us) / 1e6, 1) if count else None
    return {"unread": count, "oldest_s": age}


async def _subscriptions(call: Call) -> list[dict[str, Any]]:
    """Return the subscriptions that fail, or whose events wait, until they are taken.

    Of an endpoint the host alone is told: its path may hold a secret.
    """
    now_us = call.store.database.now_us()
    return [
        {
            "id": one.id,
            "status": one.status,
            "owner": one.registration.owner.client_id or one.registration.owner.name,
            "host": urlsplit(one.registration.definition.endpoint).hostname or "",
            "reason": one.reason,
            "failures": one.failures,
            "failing_s": round((now_us - one.failing_us) / 1e6, 1) if one.failing_us else None,
            "waiting": one.waiting,
        }
        for one in await call.store.subscriptions.standings(call.tenant)
        if one.status != OFF and (one.failures or one.status == "error" or one.waiting)
    ]


async def _depths(call: Call) -> dict[str, int]:
    """Return messages waiting by "service.topic"; those of other tenants are counted too."""
    names = [(s, topic) for s in subjects.SERVICES for topic in subjects.CONSUMES[s]]
    counts = await asyncio.gather(
        *(call.gateway.queues.waiting(topic, service) for service, topic in names)
    )
    return {f"{s}.{topic.name}": n for (s, topic), n in zip(names, counts, strict=True)}
