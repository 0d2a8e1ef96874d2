"""POST /smart/token: a code, a refresh token or a backend's assertion for an access token.

Source: RFC 6749, 4.1.3, 4.4 and 6; SMART App Launch 2.2.0, Obtain access token and Backend
Services; RFC 9700 (OAuth security).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from services.gateway.access import scopes
from services.gateway.access.principal import RESOURCES
from services.gateway.smart import id_token, pkce, trails
from services.gateway.smart.answers import answer, fields_of
from services.gateway.smart.authentication import client_of
from services.gateway.smart.clients import SmartClient, role_of
from services.gateway.smart.errors import OAuthError
from services.gateway.smart.server import Server
from services.gateway.smart.site import Site
from services.gateway.store.smart_grants import Approval, Grant, Reused, Token

BACKEND_S = 300.0
"""Seconds a backend's access token is valid (SMART Backend Services: not more)."""
REFRESHED_BY = frozenset({"offline_access", "online_access"})
CONTEXT = ("patient", "encounter", "fhirContext", "intent")


async def token(request: Request, server: Server) -> Response:
    """Answer with tokens, or say why not."""
    fields = await fields_of(request)
    grants = {
        "authorization_code": _by_code,
        "refresh_token": _by_refresh_token,
        "client_credentials": _by_credentials,
    }
    kind = fields.get("grant_type", "")
    if kind not in grants:
        raise OAuthError("unsupported_grant_type", f"grant_type is one of {', '.join(grants)}")
    client = await client_of(request, server, fields)
    try:
        return await grants[kind](request, server, client, fields)
    except Reused as error:
        await trails.record(request, server, error.grant, "token", succeeded=False)
        raise OAuthError("invalid_grant", "used before: all that came of it ends") from error


async def _by_code(
    request: Request, server: Server, client: SmartClient, fields: Mapping[str, str]
) -> Response:
    taken = await server.store.grants.redeem(fields.get("code", ""))
    if taken is None:
        raise OAuthError("invalid_grant", "the code is not known or too old")
    code, grant = taken
    proved = pkce.proves(fields.get("code_verifier", ""), code.challenge)
    same = code.redirect_uri == fields.get("redirect_uri", "")
    if code.client_id != client.client_id or not same or not proved:
        await server.store.grants.revoke(grant.grant_id, "CODE_MISUSED")
        await trails.record(request, server, grant, "token", succeeded=False)
        raise OAuthError(
            "invalid_grant", "client, redirect_uri or code_verifier are not those of the request"
        )
    if not _is_here(server, grant):
        raise OAuthError("invalid_grant", "the account is gone")
    scope = str(grant.content["scope"])
    refresh = bool(REFRESHED_BY & scopes.parse(scope).flags)
    pair = await server.store.grants.issue(
        grant, scope, server.settings.smart_access_token_s, refresh=refresh
    )
    await trails.record(request, server, grant, "token")
    content = _answer(server, grant, scope, pair, server.settings.smart_access_token_s)
    return answer(content | await _identity(server, server.site(request), grant, scope))


async def _by_refresh_token(
    request: Request, server: Server, client: SmartClient, fields: Mapping[str, str]
) -> Response:
    given = fields.get("refresh_token", "")
    found = await server.store.grants.token(given)
    refused = OAuthError("invalid_grant", "the refresh token is not good (any more)")
    if found is None or not found.refresh or found.grant.client_id != client.client_id:
        raise refused
    scope = _narrowed(found, fields.get("scope", ""))
    usable = found.expires_us > server.store.grants.now_us() and _is_here(server, found.grant)
    if not usable or not await _is_online(server, found):
        raise refused
    seconds = server.settings.smart_access_token_s
    pair = await server.store.grants.rotate(given, client.client_id, scope, seconds)
    if pair is None:
        raise refused
    await trails.record(request, server, found.grant, "token")
    content = _answer(server, found.grant, scope, pair, seconds)
    return answer(content | await _identity(server, server.site(request), found.grant, scope))


async def _by_credentials(
    request: Request, server: Server, client: SmartClient, fields: Mapping[str, str]
) -> Response:
    if client.kind != "asymmetric" or not client.role:
        raise OAuthError("unauthorized_client", "the client is not registered as a backend service")
    role = RESOURCES[role_of(client)]
    asked = scopes.parse(fields.get("scope", "")).of("system")
    registered = scopes.rights(client.scopes.of("system"), role, "")
    kept = scopes.cap(asked, registered)
    if not kept:
        raise OAuthError("invalid_scope", "ask for system/ scopes it is registered for")
    scope = " ".join(one.text for one in kept)
    approval = Approval(
        tenant=client.tenant,
        client_id=client.client_id,
        account="",
        content={"scope": scope, "role": client.role},
        seconds=BACKEND_S,
    )
    grant = await server.store.grants.grant(approval)
    pair = await server.store.grants.issue(grant, scope, BACKEND_S, refresh=False)
    await trails.record(request, server, grant, "token")
    return answer(_answer(server, grant, scope, pair, BACKEND_S))


def _narrowed(found: Token, asked: str) -> str:
    """Return the scope of the next token: that of the last one, or less of it (RFC 6749, 6)."""
    if not asked:
        return found.scope
    had, wanted = set(found.scope.split()), dict.fromkeys(asked.split())
    if not set(wanted) <= had:
        raise OAuthError("invalid_scope", "a refresh cannot add to what was granted")
    return " ".join(wanted)


def _is_here(server: Server, grant: Grant) -> bool:
    return not grant.account or (grant.tenant, grant.account) in server.gateway.accounts.by_name


async def _is_online(server: Server, found: Token) -> bool:
    """Tell whether a grant may be refreshed: with `online_access` while the session lasts."""
    if "offline_access" in scopes.parse(str(found.grant.content["scope"])).flags:
        return True
    return await server.gateway.store.people.is_open(found.grant.session_hash)


def _answer(
    server: Server, grant: Grant, scope: str, pair: tuple[str, str], seconds: float
) -> dict[str, Any]:
    left_s = (grant.ends_us - server.store.grants.now_us()) // 1_000_000
    content: dict[str, Any] = {
        "access_token": pair[0],
        "token_type": "Bearer",
        "expires_in": max(0, min(int(seconds), left_s)),
        "scope": scope,
    }
    if pair[1]:
        content["refresh_token"] = pair[1]
    return content


async def _identity(server: Server, site: Site, grant: Grant, scope: str) -> dict[str, Any]:
    """Return the launch context and, with `openid`, who the physician is."""
    content = {name: grant.content[name] for name in CONTEXT if grant.content.get(name)}
    if "patient" in content:
        content["need_patient_banner"] = bool(grant.content.get("need_patient_banner", True))
    content["smart_style_url"] = site.style
    if "openid" in scopes.parse(scope).flags:
        content["id_token"] = await id_token.sign(server, site, grant, scope)
    return content
