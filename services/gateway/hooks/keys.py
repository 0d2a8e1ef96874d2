"""The public keys of CDS clients: inline, or fetched from the configured address and kept."""

from __future__ import annotations

import time
from collections.abc import Callable

from joserfc.jwk import KeySet

from services.gateway.hooks.clients import CdsClient, key_set
from services.gateway.outbound import Outbound
from services.kernel import fhir
from services.kernel.errors import MeshError, Unavailable

KEPT_S = 600.0
AGAIN_S = 30.0
"""Shortest time between two fetches from one address: an unknown `kid` cannot make us flood it."""
FETCH_TIMEOUT_S = 3.0


class ClientKeys:
    """Key sets by address."""

    def __init__(self, outbound: Outbound, clock: Callable[[], float] = time.monotonic) -> None:
        self._outbound = outbound
        self._clock = clock
        self._kept: dict[str, tuple[float, KeySet | None]] = {}

    async def of(self, client: CdsClient, kid: str | None) -> KeySet:
        """Return the client's keys; fetched anew when they are old or lack `kid`.

        Raises
        ------
        Unavailable
            The address does not answer with a key set, and none is kept.
        """
        if client.jwks is not None:
            return client.jwks
        fetched_at, keys = self._kept.get(client.jwks_url, (-KEPT_S, None))
        age = self._clock() - fetched_at
        lacks = keys is None or (kid is not None and all(key.kid != kid for key in keys))
        if age > KEPT_S or (lacks and age > AGAIN_S):
            keys = await self._fetch(client) or keys
            self._kept[client.jwks_url] = (self._clock(), keys)
        if keys is None:
            raise Unavailable("the key set of this CDS client cannot be had", reason="NO_KEYS")
        return keys

    async def _fetch(self, client: CdsClient) -> KeySet | None:
        try:
            answer = await self._outbound.request(
                client.tenant,
                "GET",
                client.jwks_url,
                headers={"Accept": "application/json"},
                timeout_s=FETCH_TIMEOUT_S,
            )
            return key_set(fhir.parse(answer.content)) if answer.status == 200 else None
        except MeshError:
            return None
