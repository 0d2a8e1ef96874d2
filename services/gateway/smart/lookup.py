"""POST /smart/introspect and /smart/revoke: what a token is worth, and its end.

Source: RFC 7662 with the members SMART App Launch 2.2.0 adds; RFC 7009.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from services.gateway.access import scopes
from services.gateway.access.principal import Principal, Role
from services.gateway.access.tokens import is_live, principal_of
from services.gateway.smart import trails
from services.gateway.smart.answers import answer, fields_of
from services.gateway.smart.authentication import client_of
from services.gateway.smart.errors import InvalidClient, OAuthError
from services.gateway.smart.server import US, Server
from services.gateway.smart.site import Site
from services.gateway.smart.token import CONTEXT
from services.gateway.store.smart_grants import Token


async def introspect(request: Request, server: Server) -> Response:
    """Say what a token of the asker's own tenant is worth; of any other, that it is not active."""
    fields = await fields_of(request)
    tenant = await _asker(request, server, fields)
    found = await server.store.grants.token(_token(fields))
    now = server.store.grants.now_us()
    if found is None or found.grant.tenant != tenant or not is_live(found, now):
        return answer({"active": False})
    if not principal_of(found.grant, found.scope, server.gateway.accounts):
        return answer({"active": False})
    return answer(_members(server.site(request), found))


async def revoke(request: Request, server: Server) -> Response:
    """End the family of a token; one that is not the client's own is left (RFC 7009, 2.1)."""
    fields = await fields_of(request)
    client = await client_of(request, server, fields)
    found = await server.store.grants.token(_token(fields))
    if found and found.grant.client_id == client.client_id:
        await server.store.grants.revoke(found.grant.grant_id, "CLIENT_ASKED")
        await trails.record(request, server, found.grant, "revoke")
    return answer({})


async def _asker(request: Request, server: Server, fields: Mapping[str, str]) -> str:
    """Return the tenant that asks: a confidential client's, or the hospital system's own."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        account: Principal | None = server.gateway.accounts.client(token.strip())
        if account is None or account.role is not Role.EHR:
            raise InvalidClient("introspection is for confidential clients and the hospital system")
        return account.tenant
    client = await client_of(request, server, fields)
    if client.kind == "public":
        raise InvalidClient("introspection is for confidential clients and the hospital system")
    return client.tenant


def _token(fields: Mapping[str, str]) -> str:
    if not (token := fields.get("token", "")):
        raise OAuthError("invalid_request", "token is missing")
    return token


def _members(site: Site, found: Token) -> dict[str, Any]:
    grant, flags = found.grant, scopes.parse(found.scope).flags
    content: dict[str, Any] = {
        "active": True,
        "scope": found.scope,
        "client_id": grant.client_id,
        "exp": found.expires_us // US,
        "iat": found.issued_us // US,
        "iss": site.issuer,
        "token_type": "refresh_token" if found.refresh else "Bearer",
        "sub": grant.content.get("subject", grant.client_id),
    }
    content |= {name: grant.content[name] for name in CONTEXT if grant.content.get(name)}
    if "fhirUser" in flags:
        content["fhirUser"] = f"{site.fhir}/Practitioner/{content['sub']}"
    return content
