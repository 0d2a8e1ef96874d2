"""The public keys of asymmetric clients: registered inline, or fetched from their address."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

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


@dataclass(slots=True)
class _Held:
    """What is known of one client's address."""

    keys: KeySet | None = None
    read_s: float = -KEYS_S
    tried_s: float = -KEYS_S
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class KeySets:
    """Clients' keys: inline ones as registered, others fetched and kept for a while.

    Anybody who knows a client's id can make us look for its keys, so an address is asked once
    at a time and not again soon, whatever it answers.
    """

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._held: dict[tuple[str, str], _Held] = {}

    async def keys(self, client: SmartClient, kid: str, now_s: float) -> KeySet:
        """Return a client's keys; fetched anew when old, or when `kid` is not among them.

        Raises
        ------
        InvalidClient
        """
        if client.jwks is not None:
            return usable(client.jwks)
        if len(self._held) >= SETS_MAX:
            self._held.clear()
        held = self._held.setdefault((client.client_id, client.jwks_url), _Held())
        async with held.turn:
            is_good = held.keys is not None and now_s - held.read_s < KEYS_S
            if not is_good:
                held.keys = None
            known = held.keys is not None and assertions.has_key(held.keys, kid)
            if not known and now_s - held.tried_s >= KEYS_AGAIN_S:
                held.tried_s = now_s
                held.keys, held.read_s = await self._fetch(client), now_s
            if held.keys is None:
                raise InvalidClient("the client's keys could not be had; try again in a while")
            return held.keys

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
