"""/ops/clients: the operator registers, lists, rotates and revokes apps of the tenant.

There is no dynamic registration: an app that nobody at the hospital knows is not let in.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.responses import JSONResponse, Response

from services.gateway.call import Call, body
from services.gateway.progress import to_instant
from services.gateway.smart.clients import SmartClient, checked
from services.gateway.store.smart_clients import Registered
from services.kernel import fhir
from services.kernel.errors import InvalidInput, NotFound, Violation

BODY_BYTES_MAX = 128 << 10
TEXTS = ("client_id", "name", "kind", "launch_url", "scope", "role", "jwks_url")


async def list_clients(call: Call) -> Response:
    """List the tenant's clients, oldest first."""
    found = await call.store.smart.clients.list(call.tenant)
    return JSONResponse({"clients": [shown(each) for each in found]})


async def register(call: Call) -> Response:
    """Register a client; its secret, where it has one, is in this answer and nowhere else."""
    client = checked(_client(call.tenant, await _content(call)))
    if client.jwks_url:
        await call.gateway.outbound.check(call.tenant, client.jwks_url)
    secret = await call.store.smart.clients.register(client)
    await call.audit("register-client", query=client.client_id)
    found = await call.store.smart.clients.find(client.client_id)
    answer = shown(found) if found else {"client_id": client.client_id}
    return JSONResponse(answer | ({"client_secret": secret} if secret else {}), 201)


async def revoke(call: Call) -> Response:
    """End a client and every token it has."""
    client_id = call.path("id")
    await call.store.smart.clients.revoke(call.tenant, client_id)
    call.store.smart.grants.revision += 1
    await call.audit("revoke-client", query=client_id)
    return JSONResponse({"client_id": client_id, "revoked": True})


async def rotate(call: Call) -> Response:
    """Give a symmetric client a new secret, or put other keys in an asymmetric one's place."""
    client_id, content = call.path("id"), await _content(call)
    overlap_s = call.gateway.settings.smart_key_overlap_s
    answer: dict[str, Any] = {"client_id": client_id}
    if content:
        found = await call.store.smart.clients.find(client_id)
        if found is None or found.client.tenant != call.tenant:
            raise NotFound("there is no such client; `dxmesh client list` shows them")
        keys = _client(call.tenant, {"client_id": client_id, **content})
        client = checked(replace(found.client, jwks=keys.jwks, jwks_url=keys.jwks_url))
        if client.jwks_url:
            await call.gateway.outbound.check(call.tenant, client.jwks_url)
        await call.store.smart.clients.replace_keys(client)
    else:
        secret = await call.store.smart.clients.rotate_secret(call.tenant, client_id, overlap_s)
        answer |= {"client_secret": secret, "old_secret_s": int(overlap_s)}
    await call.audit("rotate-client", query=client_id)
    return JSONResponse(answer)


async def rotate_keys(call: Call) -> Response:
    """Let another key sign id_tokens from now on; the one before stays published for a while."""
    overlap_s = call.gateway.settings.smart_key_overlap_s
    keys = await call.store.smart.keys.rotate(overlap_s)
    await call.audit("rotate-signing-key", query=str(keys.signing.kid))
    kids = [str(key["kid"]) for key in keys.published]
    return JSONResponse({"kid": keys.signing.kid, "published": kids, "old_key_s": int(overlap_s)})


def shown(found: Registered) -> dict[str, Any]:
    """Return a registration as the operator sees it; never a secret."""
    client = found.client
    return {
        "client_id": client.client_id,
        **client.document(),
        "created": to_instant(found.created_us),
        "revoked": to_instant(found.revoked_us) if found.revoked_us else None,
    }


async def _content(call: Call) -> Mapping[str, Any]:
    raw = await body(call.request, BODY_BYTES_MAX)
    content = fhir.parse(raw) if raw.strip() else {}
    if not isinstance(content, Mapping):
        raise InvalidInput("the content must be a JSON object", reason="BAD_REQUEST")
    return content


def _client(tenant: str, content: Mapping[str, Any]) -> SmartClient:
    """Return a registration out of what was sent.

    Raises
    ------
    InvalidInput
    """
    known = {*TEXTS, "redirect_uris", "jwks"}
    problems = [Violation(name, "not a field of a client") for name in content if name not in known]
    for name in TEXTS:
        if not isinstance(content.get(name, ""), str):
            problems.append(Violation(name, "a text"))
    addresses = content.get("redirect_uris", [])
    if not isinstance(addresses, list) or not all(isinstance(each, str) for each in addresses):
        problems.append(Violation("redirect_uris", "a list of texts"))
    jwks = content.get("jwks")
    if jwks is not None and not isinstance(jwks, Mapping):
        problems.append(Violation("jwks", "a JWK set"))
    if problems:
        raise InvalidInput("the client cannot be registered like this", problems)
    texts = {name: content[name] for name in TEXTS if name in content}
    texts = {"client_id": f"app-{secrets.token_hex(8)}", "name": "", "kind": "public"} | texts
    return SmartClient(tenant=tenant, redirect_uris=tuple(addresses), jwks=jwks, **texts)
