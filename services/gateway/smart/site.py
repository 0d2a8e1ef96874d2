"""The server's own addresses, which clients hold tokens and assertions against. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from services.gateway.call import base_url
from services.gateway.settings import Settings
from services.kernel.errors import Precondition

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


@dataclass(frozen=True, slots=True)
class Site:
    """Every address under the issuer."""

    issuer: str

    @property
    def fhir(self) -> str:
        """FHIR base: the `aud` of an authorization request and the `iss` of a launch."""
        return f"{self.issuer}/fhir"

    @property
    def authorize(self) -> str:
        """Authorization endpoint."""
        return f"{self.issuer}/smart/authorize"

    @property
    def token(self) -> str:
        """Token endpoint: the `aud` of a client's assertion."""
        return f"{self.issuer}/smart/token"

    @property
    def introspect(self) -> str:
        """Introspection endpoint (RFC 7662)."""
        return f"{self.issuer}/smart/introspect"

    @property
    def revoke(self) -> str:
        """Revocation endpoint (RFC 7009)."""
        return f"{self.issuer}/smart/revoke"

    @property
    def jwks(self) -> str:
        """Public keys of id_tokens."""
        return f"{self.issuer}/smart/jwks"

    @property
    def style(self) -> str:
        """SMART styles for apps."""
        return f"{self.issuer}/smart/style.json"

    @property
    def audiences(self) -> frozenset[str]:
        """What an assertion of a client may name as its audience."""
        return frozenset({self.token, self.introspect, self.revoke})


def site_of(request: Request, settings: Settings) -> Site:
    """Return the server's addresses: those the operator set.

    Without a setting the request's own Host names them, which only a loopback address may:
    else whoever sends a Host header chooses the audience that tokens are held against.

    Raises
    ------
    Precondition
    """
    if not settings.public_url and request.url.hostname not in LOOPBACK:
        raise Precondition(
            "DX_GATEWAY_PUBLIC_URL must be set before apps can be let in", reason="NO_PUBLIC_URL"
        )
    return Site(base_url(request, settings))
