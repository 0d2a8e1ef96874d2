"""How a client proves who it is at the token, revocation and introspection endpoints.

A public client says its id and nothing else. A symmetric one sends its secret as HTTP Basic.
An asymmetric one signs an assertion, each used once. Each kind by its own way alone: a secret
from a public client, or a client id alone from a confidential one, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from services.gateway.smart import assertions
from services.gateway.smart.answers import basic
from services.gateway.smart.assertions import SKEW_S
from services.gateway.smart.clients import SmartClient
from services.gateway.smart.errors import InvalidClient, OAuthError
from services.gateway.smart.server import Server

US = 1_000_000
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def client_of(request: Request, server: Server, fields: Mapping[str, str]) -> SmartClient:
    """Return the client that asks, proved.

    Raises
    ------
    InvalidClient, OAuthError
    """
    header, assertion = request.headers.get("authorization", ""), fields.get("client_assertion", "")
    if "client_secret" in fields:
        raise InvalidClient("a secret is sent as HTTP Basic, never in the form")
    if header and assertion:
        raise OAuthError("invalid_request", "a client proves who it is in one way")
    if assertion:
        if fields.get("client_assertion_type") != ASSERTION_TYPE:
            raise InvalidClient("client_assertion_type is not the one for a JWT")
        client = await _by_assertion(request, server, assertion)
    elif header:
        client = await _by_secret(server, *basic(header))
    else:
        client = await _public(server, fields.get("client_id", ""))
    if fields.get("client_id", client.client_id) != client.client_id:
        raise InvalidClient("client_id is another client's")
    return client


async def _public(server: Server, client_id: str) -> SmartClient:
    found = await server.store.clients.find(client_id)
    if found is None or found.client.kind != "public":
        raise InvalidClient("the client is not known, or must prove who it is")
    return found.client


async def _by_secret(server: Server, client_id: str, secret: str) -> SmartClient:
    found = await server.store.clients.find(client_id)
    now = server.store.grants.now_us()
    if found is None or found.client.kind != "symmetric" or not found.knows(secret, now):
        raise InvalidClient("the client is not known, or its secret is not right")
    return found.client


async def _by_assertion(request: Request, server: Server, assertion: str) -> SmartClient:
    stated = assertions.stated(assertion)
    found = await server.store.clients.find(stated.client_id)
    if found is None or found.client.kind != "asymmetric":
        raise InvalidClient("the client is not known, or has no registered keys")
    client, now_s = found.client, server.store.grants.now_us() / US
    keys = await server.key_sets.keys(client, stated.kid, now_s)
    audiences = server.site(request).audiences
    claims = assertions.verify(assertion, client.client_id, keys, audiences, now_s)
    until_us = (claims.exp + SKEW_S + 1) * US
    if not await server.store.launches.is_first_use(client.client_id, claims.jti, until_us):
        raise InvalidClient("the assertion was used before; sign a new one with a new jti")
    return client
