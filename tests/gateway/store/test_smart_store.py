"""Codes, refresh tokens, launches and assertions taken by many at once: each is taken once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from services.gateway.smart.clients import SmartClient
from services.gateway.store import Store
from services.gateway.store.smart_grants import Approval, Reused
from services.gateway.store.smart_keys import SmartKeys
from services.kernel.errors import Conflict, NotFound

CLIENT = SmartClient(
    client_id="chart",
    tenant="north",
    name="Chart",
    kind="symmetric",
    redirect_uris=("https://app.example/callback",),
    scope="openid",
)
APPROVAL = Approval(
    tenant="north",
    client_id="chart",
    account="reader",
    content={"scope": "offline_access user/*.rs", "patient": "p-1"},
    seconds=3600,
)
AT_ONCE = 8


async def code_of(store: Store, launch: str = "") -> str | None:
    return await store.smart.grants.approve(APPROVAL, "https://app.example/callback", "c", launch)


async def outcomes(*work: Any) -> list[Any]:
    return await asyncio.gather(*work, return_exceptions=True)


@pytest.mark.requirement("DX-SMT-03")
async def test_a_code_tried_by_many_at_once_is_given_to_one_and_then_ends(store: Store) -> None:
    code = await code_of(store)
    assert code
    tried = await outcomes(*(store.smart.grants.redeem(code) for _ in range(AT_ONCE)))
    taken = [each for each in tried if isinstance(each, tuple)]
    assert len(taken) == 1 and sum(isinstance(e, Reused) for e in tried) == AT_ONCE - 1
    _, grant = taken[0]
    assert grant.content["patient"] == "p-1"
    access, _ = await store.smart.grants.issue(grant, "user/*.rs", 900, refresh=False)
    found = await store.smart.grants.token(access)
    assert found and found.grant.revoked_us, "what the first got is ended too"


@pytest.mark.requirement("DX-SMT-03")
async def test_a_refresh_token_tried_by_many_at_once_ends_the_family(store: Store) -> None:
    grants = store.smart.grants
    grant = await grants.grant(APPROVAL)
    _, refresh = await grants.issue(grant, "user/*.rs", 900, refresh=True)
    rotate = (grants.rotate(refresh, "chart", "user/*.rs", 900) for _ in range(AT_ONCE))
    tried = await outcomes(*rotate)
    pairs = [each for each in tried if isinstance(each, tuple)]
    assert len(pairs) == 1 and any(isinstance(each, Reused) for each in tried)
    found = await grants.token(pairs[0][0])
    assert found and found.grant.revoked_us
    assert await grants.rotate(pairs[0][1], "chart", "user/*.rs", 900) is None


@pytest.mark.requirement("DX-SMT-02")
async def test_a_launch_is_taken_by_one_of_many(store: Store) -> None:
    launch = await store.smart.launches.put("north", "chart", {"patient": "p-1"}, 600)
    assert await store.smart.launches.find("north", "chart", launch) == {"patient": "p-1"}
    assert await store.smart.launches.find("south", "chart", launch) is None
    codes = await outcomes(*(code_of(store, launch) for _ in range(AT_ONCE)))
    assert [isinstance(code, str) for code in codes].count(True) == 1
    assert codes.count(None) == AT_ONCE - 1


@pytest.mark.requirement("DX-SMT-07")
async def test_an_assertion_is_new_once_whatever_comes_at_once(store: Store) -> None:
    until = store.smart.grants.now_us() + 300_000_000
    first = store.smart.launches.is_first_use
    tried = await outcomes(*(first("chart", "jti-1", until) for _ in range(AT_ONCE)))
    assert tried.count(True) == 1 and tried.count(False) == AT_ONCE - 1
    assert await first("other", "jti-1", until), "a jti is the client's own"


@pytest.mark.requirement("DX-SMT-09")
async def test_a_client_is_its_tenants_alone_and_an_id_is_given_once(store: Store) -> None:
    clients = store.smart.clients
    secret = await clients.register(CLIENT)
    with pytest.raises(Conflict):
        await clients.register(replace(CLIENT, tenant="south"))
    found = await clients.find("chart")
    assert found and found.client == CLIENT and found.knows(secret, 0)
    assert await clients.list("south") == []
    for deed in (clients.revoke("south", "chart"), clients.rotate_secret("south", "chart", 60)):
        with pytest.raises(NotFound):
            await deed
    grant = await store.smart.grants.grant(APPROVAL)
    access, _ = await store.smart.grants.issue(grant, "user/*.rs", 900, refresh=False)
    await clients.revoke("north", "chart")
    token = await store.smart.grants.token(access)
    assert token and token.grant.revoked_us and await clients.find("chart") is None
    with pytest.raises(NotFound):
        await clients.revoke("north", "chart")
    with pytest.raises(Conflict):
        await clients.register(CLIENT)


@pytest.mark.requirement("DX-SMT-04")
async def test_replicas_agree_on_the_signing_key(store: Store) -> None:
    one, other = SmartKeys(store.database), SmartKeys(store.database)
    await one.current(86_400, 90)
    first = (await one.current(86_400, 90)).signing.kid
    assert (await other.current(86_400, 90)).signing.kid == first
    second = (await other.rotate(86_400)).signing.kid
    fresh = await SmartKeys(store.database).current(86_400, 90)
    assert fresh.signing.kid == second != first
    assert {key["kid"] for key in fresh.published} == {first, second}
    await other.rotate(0)
    left = {key["kid"] for key in (await SmartKeys(store.database).current(0, 90)).published}
    assert second not in left and first in left
