"""Token requests and answers, client authentication and PKCE. Pure.

Source: RFC 6749 4.1.3 and 6; RFC 7523 (private_key_jwt); RFC 7636 (PKCE); SMART App Launch
2.2.0, Client authentication, asymmetric.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from joserfc import jwt
from joserfc.jwk import ECKey, JWKRegistry, RSAKey

from services.gateway.ehr.registry import Ehr
from services.kernel import fhir
from services.kernel.errors import Forbidden
from services.kernel.settings import BadSettings

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_S = 240
"""Life of a client assertion; SMART allows 5 minutes."""
LIFE_S_DEFAULT = 300
"""Taken for an access token whose answer does not say."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an EHR granted."""

    access: str
    refresh: str
    scope: str
    expires_us: int

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Tokens:
        """Return the tokens that `plain` wrote down."""
        return cls(value["access"], value["refresh"], value["scope"], value["expires_us"])

    def plain(self) -> dict[str, Any]:
        """Return the tokens as JSON, to be sealed."""
        return {
            "access": self.access,
            "refresh": self.refresh,
            "scope": self.scope,
            "expires_us": self.expires_us,
        }


def granted(answer: Mapping[str, Any], now_us: int, before: Tokens | None = None) -> Tokens:
    """Return the tokens of a token answer; a refresh may leave scope and refresh token out.

    Raises
    ------
    Forbidden
        Not a bearer token.
    """
    access, kind = answer.get("access_token"), str(answer.get("token_type", ""))
    if not isinstance(access, str) or not access.isprintable() or kind.lower() != "bearer":
        raise Forbidden("the EHR gave no bearer token", reason="EHR_GAVE_NO_TOKEN")
    refresh, scope = answer.get("refresh_token"), answer.get("scope")
    try:
        life_s = min(max(int(answer.get("expires_in", LIFE_S_DEFAULT)), 0), 86_400)
    except (TypeError, ValueError):
        life_s = LIFE_S_DEFAULT
    return Tokens(
        access,
        refresh if isinstance(refresh, str) else before.refresh if before else "",
        scope if isinstance(scope, str) else before.scope if before else "",
        now_us + life_s * 1_000_000,
    )


def challenge(verifier: str) -> str:
    """Return the S256 code challenge of a verifier (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authentication(
    ehr: Ehr, token_url: str, now_s: int, nonce: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return form fields and headers that say who we are at the token endpoint."""
    if ehr.auth == "private_key_jwt":
        proof = assertion(ehr, ehr.client_id, token_url, now_s, nonce)
        return {"client_assertion_type": ASSERTION, "client_assertion": proof}, {}
    if ehr.auth == "client_secret":
        pair = f"{quote(ehr.client_id, safe='')}:{quote(ehr.secret, safe='')}"
        return {}, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {"client_id": ehr.client_id}, {}


def assertion(ehr: Ehr, client_id: str, token_url: str, now_s: int, nonce: str) -> str:
    """Return a signed client assertion; `nonce` becomes its `jti`."""
    key = private_key(ehr)
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": token_url,
        "iat": now_s,
        "exp": now_s + ASSERTION_S,
        "jti": nonce,
    }
    algorithm = "RS384" if isinstance(key, RSAKey) else "ES384"
    header = {"alg": algorithm, "typ": "JWT", "kid": key.thumbprint()}
    return jwt.encode(header, claims, key, algorithms=[algorithm])


def private_key(ehr: Ehr) -> RSAKey | ECKey:
    """Return our key for an EHR.

    Raises
    ------
    BadSettings
        Neither RSA nor EC P-384, or not a private key.
    """
    try:
        key = JWKRegistry.import_key(fhir.parse(ehr.key.encode()))
    except Exception as error:
        raise BadSettings(f"EHR {ehr.name}: key_file is not a JWK") from error
    strong = isinstance(key, RSAKey) or getattr(key, "curve_name", "") == "P-384"
    if key.is_private and strong and isinstance(key, RSAKey | ECKey):
        return key
    raise BadSettings(f"EHR {ehr.name}: key_file must be a private RSA or P-384 key")


def public_keys(ehr: Ehr) -> dict[str, Any]:
    """Return the JWK set that the EHR checks our assertions with."""
    if not ehr.key:
        return {"keys": []}
    key = private_key(ehr)
    algorithm = "RS384" if isinstance(key, RSAKey) else "ES384"
    public = dict(key.as_dict(private=False))
    return {"keys": [public | {"kid": key.thumbprint(), "use": "sig", "alg": algorithm}]}
