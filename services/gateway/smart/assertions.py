"""A client's signed assertion (`private_key_jwt`), held against its keys. Pure: time is given.

What the token says before its signature is checked decides one thing alone: whose keys check
it. The algorithm is one of two that need a public key, and must fit the key (RFC 8725, 3.1);
a `jku` or a key inside the header is never looked at.

Source: SMART App Launch 2.2.0, Client Authentication: Asymmetric; RFC 7523.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from services.gateway.smart.errors import InvalidClient
from services.kernel import fhir
from services.kernel.errors import MeshError

ALGORITHMS = ("RS384", "ES384")
BYTES_MAX = 8 << 10
LIFETIME_S_MAX = 300
SKEW_S = 60
"""How far the client's clock may be from ours."""
JTI_CHARS_MAX = 255


@dataclass(frozen=True, slots=True)
class Stated:
    """What an assertion says of itself; nothing of it is verified."""

    client_id: str
    kid: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified assertion says."""

    client_id: str
    jti: str
    exp: int


def stated(assertion: str) -> Stated:
    """Return which client and key an assertion names.

    Raises
    ------
    InvalidClient
    """
    parts = assertion.split(".")
    if len(assertion) > BYTES_MAX or len(parts) != 3:
        raise InvalidClient("the assertion is not a signed JWT")
    header, claims = (_decoded(part) for part in parts[:2])
    if header.get("alg") not in ALGORITHMS:
        raise InvalidClient(f"alg must be one of {', '.join(ALGORITHMS)}")
    kid, subject = header.get("kid"), claims.get("sub")
    if not isinstance(kid, str) or not kid or not isinstance(subject, str):
        raise InvalidClient("the assertion needs kid in its header, and iss and sub")
    return Stated(subject, kid)


def has_key(keys: KeySet, kid: str) -> bool:
    """Tell whether a client's set has a key of this name."""
    return any(key.kid == kid for key in keys.keys)


def verify(
    assertion: str, client_id: str, keys: KeySet, audiences: Collection[str], now_s: float
) -> Claims:
    """Return the claims of an assertion that a client signed for us.

    Raises
    ------
    InvalidClient
        Says which check it did not pass.
    """
    found = stated(assertion)
    named = [key for key in keys.keys if key.kid == found.kid]
    fitting = {"RS384": RSAKey, "ES384": ECKey}[str(_decoded(assertion.split(".")[0])["alg"])]
    named = [key for key in named if isinstance(key, fitting)]
    if not named:
        raise InvalidClient("no registered key has this kid and fits alg")
    try:
        token = jwt.decode(assertion, named[0], algorithms=list(ALGORITHMS))
    except (JoseError, ValueError, TypeError) as error:
        raise InvalidClient("the signature does not verify") from error
    return _claims(token.claims, client_id, audiences, now_s)


def _claims(
    claims: Mapping[str, Any], client_id: str, audiences: Collection[str], now_s: float
) -> Claims:
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise InvalidClient("iss and sub must be the client's id")
    given = claims.get("aud")
    only = given[0] if isinstance(given, list) and len(given) == 1 else given
    if not isinstance(only, str) or only not in audiences:
        raise InvalidClient("aud must be the address of the token endpoint")
    exp = _time(claims, "exp")
    if exp <= now_s - SKEW_S:
        raise InvalidClient("the assertion has expired")
    if exp > now_s + LIFETIME_S_MAX + SKEW_S:
        raise InvalidClient(f"exp must be at most {LIFETIME_S_MAX} s from now")
    for name in ("nbf", "iat"):
        if name in claims and _time(claims, name) > now_s + SKEW_S:
            raise InvalidClient(f"{name} is in the future")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= JTI_CHARS_MAX:
        raise InvalidClient("the assertion needs a jti")
    return Claims(client_id, jti, exp)


def _time(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e11:
        raise InvalidClient(f"{name} must be a time in seconds")
    return int(value)


def _decoded(part: str) -> Mapping[str, Any]:
    try:
        value = fhir.parse(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, MeshError) as error:
        raise InvalidClient("the assertion is not a signed JWT") from error
    if not isinstance(value, Mapping):
        raise InvalidClient("the assertion is not a signed JWT")
    return value
