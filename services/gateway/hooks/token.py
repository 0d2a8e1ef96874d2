"""The JSON Web Token with which an EHR says who it is. Pure: the time is given.

Checked: an issuer the operator configured, its key, an asymmetric algorithm named here, the
address of the very service that is called, `exp`, `iat`, and a `jti` the caller must then see
to be new. What the token says of itself before its signature is checked decides one thing
alone: whose keys check it. A `jku` is never fetched.

Source: CDS Hooks 2.0, Trusting CDS Clients; RFC 8725 (JWT best current practices).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from services.gateway.hooks.clients import CdsClient, Clients, find
from services.kernel import fhir
from services.kernel.errors import MeshError, Unauthenticated

ALGORITHMS = ("ES384", "RS384", "ES256", "RS256")
BYTES_MAX = 8 << 10
JTI_CHARS_MAX = 255
SKEW_S = 60
"""How far the EHR's clock may be from ours."""
LIFETIME_S_MAX = 600
"""Longest time from `iat` to `exp`; the standard recommends 300."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token that was verified says."""

    iss: str
    jti: str
    exp: int


def bearer(header: str) -> str:
    """Return the token of an Authorization header.

    Raises
    ------
    Unauthenticated
    """
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("a CDS client sends its JWT as a bearer token", reason="NO_TOKEN")
    if len(token) > BYTES_MAX or token.count(".") != 2:
        raise _refused("it is not a signed JWT")
    return token


def issuer(token: str, clients: Clients) -> CdsClient:
    """Return the client a token says it is from; nothing is verified yet.

    Raises
    ------
    Unauthenticated
        The operator has configured no such issuer, or a `jku` that is not the configured one.
    """
    header, claims = (_decoded(part) for part in token.split(".")[:2])
    client = find(clients, _text(claims, "iss"), _text(claims, "tenant"))
    if client is None:
        raise Unauthenticated("no CDS client with this iss is configured", reason="UNKNOWN_ISSUER")
    if client.jwks_url and header.get("jku", client.jwks_url) != client.jwks_url:
        raise _refused("its jku is not the address that is configured for its issuer")
    return client


def key_id(token: str) -> str | None:
    """Return the `kid` a token names; nothing is verified yet."""
    return _text(_decoded(token.partition(".")[0]), "kid") or None


def verify(
    token: str, client: CdsClient, keys: KeySet, audiences: Collection[str], now_s: float
) -> Claims:
    """Return the claims of a token that `client` signed for one of `audiences`.

    Raises
    ------
    Unauthenticated
        Says which check it did not pass.
    """
    try:
        found = jwt.decode(token, keys, algorithms=ALGORITHMS)
    except (JoseError, ValueError, TypeError) as error:
        raise _refused("no configured key of its issuer verifies it") from error
    claims: Mapping[str, Any] = found.claims
    if claims.get("iss") != client.iss:
        raise _refused("it is of another issuer")
    given = claims.get("aud")
    if not set(given if isinstance(given, list) else [given]) & set(audiences):
        raise _refused("its aud is not the address of this service")
    exp, iat = _time(claims, "exp"), _time(claims, "iat")
    if exp + SKEW_S < now_s:
        raise _refused("it has expired")
    if iat - SKEW_S > now_s or exp - iat > LIFETIME_S_MAX or exp < iat:
        raise _refused(f"iat must be past, and exp at most {LIFETIME_S_MAX} s after it")
    if _time(claims, "nbf", iat) - SKEW_S > now_s:
        raise _refused("it is not valid yet")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= JTI_CHARS_MAX:
        raise _refused("it has no jti")
    return Claims(client.iss, jti, exp)


def _time(claims: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e11:
        raise _refused(f"it has no usable {name}")
    return int(value)


def _decoded(part: str) -> dict[str, Any]:
    try:
        value = fhir.parse(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, MeshError) as error:
        raise _refused("it is not a signed JWT") from error
    if not isinstance(value, dict):
        raise _refused("it is not a signed JWT")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    return value if isinstance(value, str) else ""


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(f"the CDS client's token is refused: {why}", reason="BAD_TOKEN")
