"""A report waits a little for the notices of its critical results, which go ahead of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from services.gateway.store import Store
from services.kernel.errors import Unavailable

WAITS_S = 10.0
"""How long at most: what is told once alone, or cannot be told, must not keep the report."""
KNOWN_MAX = 10_000
LOOKS, LOOK_S = 20, 0.05
"""Before the report goes back to the bus, which brings it again after seconds."""


class Ahead:
    """Holds reports back; it remembers since when in the process alone."""

    def __init__(
        self,
        store: Store,
        waits_s: float = WAITS_S,
        clock: Callable[[], float] = time.monotonic,
        looks: int = LOOKS,
    ) -> None:
        self._store = store
        self._waits_s = waits_s
        self._clock = clock
        self._looks = looks
        self._since: dict[tuple[str, str, int], float] = {}

    async def require(self, tenant: str, case_id: str, version: int, critical: int) -> None:
        """Let a report pass without critical results, whose notices were told, or that waited.

        Raises
        ------
        Unavailable
            It has some, and nothing was told of its case yet: it comes again.
        """
        key = (tenant, case_id, version)
        if not critical or await self._told(tenant, case_id):
            self._since.pop(key, None)
            return
        if len(self._since) > KNOWN_MAX:
            self._since.clear()
        if self._clock() - self._since.setdefault(key, self._clock()) < self._waits_s:
            raise Unavailable("the critical results of a report are not told yet")
        del self._since[key]

    async def _told(self, tenant: str, case_id: str) -> bool:
        """Tell whether something was told of a case; looks again, for it is often under way."""
        for _ in range(self._looks):
            if await self._store.critical.of_cases(tenant, [case_id]):
                return True
            await asyncio.sleep(LOOK_S)
        return bool(await self._store.critical.of_cases(tenant, [case_id]))
