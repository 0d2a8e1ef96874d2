"""The authorization server's parts, as its handlers are given them."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from services.gateway.call import Gateway
from services.gateway.settings import Settings
from services.gateway.smart.key_sets import KeySets
from services.gateway.smart.site import Site, site_of
from services.gateway.store.smart import SmartStore
from services.kernel.settings import BadSettings

US = 1_000_000
ACCESS_S = (300, 3600)
"""Seconds an access token may be valid."""


@dataclass(frozen=True, slots=True)
class Server:
    """The gateway, and the clients' keys it remembers."""

    gateway: Gateway
    key_sets: KeySets

    @property
    def store(self) -> SmartStore:
        """Clients, grants, launches and keys."""
        return self.gateway.store.smart

    @property
    def settings(self) -> Settings:
        """The gateway's settings."""
        return self.gateway.settings

    def site(self, request: Request) -> Site:
        """Return the server's addresses."""
        return site_of(request, self.gateway.settings)

    def now_s(self) -> int:
        """Return the store's time, seconds since 1970 UTC."""
        return self.store.grants.now_us() // US


def make(gateway: Gateway) -> Server:
    """Return the server of a gateway.

    Raises
    ------
    BadSettings
        Access tokens would live too long, or too short to be of use.
    """
    if not ACCESS_S[0] <= gateway.settings.smart_access_token_s <= ACCESS_S[1]:
        raise BadSettings(f"DX_GATEWAY_SMART_ACCESS_TOKEN_S must be {ACCESS_S[0]} to {ACCESS_S[1]}")
    return Server(gateway, KeySets(gateway.outbound))
