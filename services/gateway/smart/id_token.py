"""id_token: who the physician is, signed by the server (OpenID Connect Core 1.0, 2)."""

from __future__ import annotations

import asyncio
from typing import Any

from joserfc import jwt

from services.gateway.access import scopes
from services.gateway.smart.server import Server
from services.gateway.smart.site import Site
from services.gateway.store.smart_grants import Grant

LIFETIME_S = 3600
ALGORITHM = "RS256"


async def sign(server: Server, site: Site, grant: Grant, scope: str) -> str:
    """Return the token for the client of a grant."""
    settings = server.settings
    keys = await server.store.keys.current(settings.smart_key_overlap_s, settings.smart_key_days)
    claims = claims_of(site, grant, scope, server.now_s())
    header = {"alg": ALGORITHM, "kid": keys.signing.kid}
    return await asyncio.to_thread(jwt.encode, header, claims, keys.signing, [ALGORITHM])


def claims_of(site: Site, grant: Grant, scope: str, now_s: int) -> dict[str, Any]:
    """Return what the token says."""
    flags, subject = scopes.parse(scope).flags, str(grant.content["subject"])
    claims: dict[str, Any] = {
        "iss": site.issuer,
        "sub": subject,
        "aud": grant.client_id,
        "iat": now_s,
        "exp": now_s + LIFETIME_S,
    }
    if nonce := grant.content.get("nonce"):
        claims["nonce"] = nonce
    for name in ("fhirUser", "profile"):
        if name in flags:
            claims[name] = f"{site.fhir}/Practitioner/{subject}"
    return claims
