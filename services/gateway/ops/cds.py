"""GET /ops/cds: how often cards were accepted and overridden, and why. Holds no identity."""

from __future__ import annotations

from dataclasses import asdict

from starlette.responses import JSONResponse, Response

from services.gateway.call import Call


async def feedback(call: Call) -> Response:
    """Return the counts of the operator's tenant."""
    counts = await call.store.hooks.counts(call.tenant)
    return JSONResponse({"feedback": [asdict(count) for count in counts]})
