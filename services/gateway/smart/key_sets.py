"""The public keys of asymmetric clients: registered inline, or fetched from their address."""

from __future__ import annotations

import orjson
from joserfc.jwk import KeySet

from services.gateway.outbound import Outbound
from services.gateway.smart import assertions
from services.gateway.smart.clients import SmartClient, usable
from services.gateway.smart.errors import InvalidClient
from services.kernel.errors import MeshError

KEYS_S, KEYS_AGAIN_S = 300.0, 20.0
"""How long a fetched key set is good, and how soon it is fetched anew for an unknown key."""
KEYS_BYTES_MAX = 64 << 10
KEYS_TIMEOUT_S = 5.0
SETS_MAX = 512


class KeySets:
    """Clients' keys: inline ones as registered, others fetched and kept for a while."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._known: dict[tuple[str, str], tuple[float, KeySet]] = {}

    async def keys(self, client: SmartClient, kid: str, now_s: float) -> KeySet:
        """Return a client's keys; fetched anew when old, or when `kid` is not among them.

        Raises
        ------
        InvalidClient
        """
        if client.jwks is not None:
            return usable(client.jwks)
        slot = (client.client_id, client.jwks_url)
        if slot in self._known:
            read_s, keys = self._known[slot]
            age = now_s - read_s
            if age < KEYS_AGAIN_S or (age < KEYS_S and assertions.has_key(keys, kid)):
                return keys
        keys = await self._fetch(client)
        if len(self._known) >= SETS_MAX:
            self._known.clear()
        self._known[slot] = (now_s, keys)
        return keys

    async def _fetch(self, client: SmartClient) -> KeySet:
        try:
            answer = await self._outbound.request(
                client.tenant,
                "GET",
                client.jwks_url,
                headers={"Accept": "application/json"},
                limit=KEYS_BYTES_MAX,
                timeout_s=KEYS_TIMEOUT_S,
            )
            if answer.status != 200:
                raise InvalidClient("the address of the client's keys does not answer with 200")
            return usable(orjson.loads(answer.content))
        except (MeshError, ValueError) as error:
            raise InvalidClient("the client's keys cannot be had from their address") from error
