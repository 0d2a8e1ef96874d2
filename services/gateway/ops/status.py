"""GET /ops/status: each service's health and what waits for it."""

from __future__ import annotations

import asyncio
import time

from starlette.responses import JSONResponse, Response

from services.gateway.call import Call
from services.kernel import subjects


async def status(call: Call) -> Response:
    """Report health, queue depths and the oldest case that has no report."""
    gateway = call.gateway
    health, depths, oldest = await asyncio.gather(
        gateway.peers.health(), _depths(call), gateway.store.cases.oldest_open_us()
    )
    received_us = oldest.get(call.tenant)
    age = round(time.time() - received_us / 1e6, 1) if received_us else None
    healthy = all(state == "SERVING" for state in health.values())
    answer = {
        "healthy": healthy,
        "services": health,
        "queues": depths,
        "oldest_open_case_s": age,
    }
    return JSONResponse(answer)


async def _depths(call: Call) -> dict[str, int]:
    """Return messages waiting by "service.topic"; those of other tenants are counted too."""
    names = [(s, topic) for s in subjects.SERVICES for topic in subjects.CONSUMES[s]]
    counts = await asyncio.gather(
        *(call.gateway.queues.waiting(topic, service) for service, topic in names)
    )
    return {f"{s}.{topic.name}": n for (s, topic), n in zip(names, counts, strict=True)}
