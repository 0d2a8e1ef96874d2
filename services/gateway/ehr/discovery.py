"""What an EHR says of itself, and whether it may be believed. Pure.

Source: SMART App Launch 2.2.0, Conformance; RFC 9207; OpenID Connect Discovery 1.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from services.gateway.ehr.registry import LOOPBACK, Ehr
from services.kernel.errors import Forbidden

WELL_KNOWN = "/.well-known/smart-configuration"
OPENID = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where an EHR's authorization server is."""

    authorize: str
    token: str
    issuer: str
    """Who signs id_tokens; empty: it does not say."""
    jwks: str
    """Keys of the id_token; empty: to be found by OpenID Connect Discovery."""
    names_itself: bool
    """Whether the authorization response must carry `iss` (RFC 9207)."""


def endpoints(ehr: Ehr, document: Mapping[str, Any]) -> Endpoints:
    """Return what a smart-configuration says.

    Raises
    ------
    Forbidden
        It names an address that is not the EHR's, or does not offer PKCE with S256.
    """
    methods = document.get("code_challenge_methods_supported")
    if methods is not None and "S256" not in methods:
        raise Forbidden("the EHR does not offer PKCE with S256", reason="EHR_WITHOUT_PKCE")
    found = Endpoints(
        authorize=_text(document, "authorization_endpoint"),
        token=_text(document, "token_endpoint"),
        issuer=_text(document, "issuer"),
        jwks=_text(document, "jwks_uri"),
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
    )
    for url in (found.token, found.issuer, found.jwks):
        if url and not ehr.trusts(url):
            raise Forbidden(
                "the EHR's configuration names a host that is not among its hosts",
                reason="EHR_HOST_NOT_ALLOWED",
            )
    # The browser alone goes there, with our client id and no secret.
    parts = urlsplit(found.authorize)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise Forbidden("the EHR's authorization endpoint is not https", reason="EHR_NOT_HTTPS")
    if not found.token:
        raise Forbidden("the EHR names no token endpoint", reason="EHR_WITHOUT_TOKENS")
    return found


def is_from(found: Endpoints, ehr: Ehr, given: str | None) -> bool:
    """Tell whether the `iss` of an authorization response is this EHR's (RFC 9207, 2.4)."""
    if given is None:
        return not found.names_itself
    return given.rstrip("/") in {ehr.issuer, found.issuer.rstrip("/") or ehr.issuer}


def jwks_of(ehr: Ehr, document: Mapping[str, Any], issuer: str) -> str:
    """Return the key address in an openid-configuration.

    Raises
    ------
    Forbidden
        It speaks of another issuer, or names a host that is not the EHR's.
    """
    if _text(document, "issuer").rstrip("/") != issuer.rstrip("/"):
        raise Forbidden("the EHR's OpenID configuration is of another issuer", reason="EHR_ISSUER")
    jwks = _text(document, "jwks_uri")
    if not ehr.trusts(jwks):
        raise Forbidden("the EHR's keys are on a host not among its hosts", reason="EHR_KEYS")
    return jwks


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name, "")
    return value if isinstance(value, str) else ""
