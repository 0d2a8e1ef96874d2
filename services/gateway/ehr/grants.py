"""Tokens that are good now: refreshed when they end, by one process at a time.

A server that rotates refresh tokens takes a second use of one for a theft and revokes all.
"""

from __future__ import annotations

import asyncio

from services.gateway.ehr.client import EhrClient, EhrRefused
from services.gateway.ehr.tokens import Tokens
from services.gateway.store.ehr import EhrLaunches, Launch
from services.kernel.errors import Unavailable

MARGIN_US = 20_000_000
"""A token that ends sooner is not begun with."""
REFRESH_S = 40.0
"""How long a refresh may take before another process tries."""
WAIT_S = 0.1


async def current(
    launches: EhrLaunches, client: EhrClient, launch: Launch, *, force: bool = False
) -> Tokens:
    """Return a launch's tokens, refreshed when needed.

    Parameters
    ----------
    force : the EHR did not take the access token, whatever its time

    Raises
    ------
    EhrRefused
        They ended and cannot be refreshed: the physician has to launch again.
    Unavailable
    """
    refused = str(launch.content["tokens"]["access"]) if force else ""
    for _ in range(int(REFRESH_S / WAIT_S)):
        found = await launches.get(launch.launch_id)
        if found is None:
            raise EhrRefused(401, reason="EHR_TOKEN_EXPIRED")
        held = Tokens.of(found.content["tokens"])
        if _is_good(held, refused, client):
            return held
        if not held.refresh:
            raise EhrRefused(401, reason="EHR_TOKEN_EXPIRED")
        if await launches.begin_refresh(launch.launch_id, REFRESH_S):
            return await _refresh(launches, client, launch, refused)
        await asyncio.sleep(WAIT_S)
    raise Unavailable("another process refreshes the EHR's tokens", reason="EHR_REFRESHING")


async def _refresh(
    launches: EhrLaunches, client: EhrClient, launch: Launch, refused: str
) -> Tokens:
    """Refresh, unless another process did between the look and the lease."""
    fresh: Tokens | None = None
    found = await launches.get(launch.launch_id) or launch
    held = Tokens.of(found.content["tokens"])
    try:
        fresh = held if _is_good(held, refused, client) else await client.refresh(held)
    finally:
        await asyncio.shield(
            launches.end_refresh(found, fresh.plain() if fresh is not None else None)
        )
    return fresh


def _is_good(held: Tokens, refused: str, client: EhrClient) -> bool:
    """Tell whether tokens last, and are not those that the EHR refused."""
    return held.access != refused and held.expires_us - client.now_us() > MARGIN_US
