"""What an attacker tries against the authorization server, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from services.gateway.access.tokens import REMEMBERED_S
from services.gateway.store.smart_tables import SMART_CLIENTS
from tests.gateway.smart.forging import (
    CALLBACK,
    OFFLINE,
    SCOPE,
    SITE,
    told,
)

# The authorization request


WEAKENED = [
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge_method": ""}, "invalid_request"),
    ({"code_challenge": ""}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"state": ""}, "invalid_request"),
    ({"state": "s" * 2000}, "invalid_request"),
    ({"aud": ""}, "invalid_request"),
    ({"aud": "https://evil.example/fhir"}, "invalid_request"),
    ({"aud": f"{SITE}/fhirx"}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported"),
    ({"prompt": "none"}, "interaction_required"),
    ({"scope": "system/*.rs"}, "invalid_scope"),
    ({"scope": "nonsense"}, "invalid_scope"),
    ({"launch": "guess"}, "invalid_scope"),
]


@pytest.mark.requirement("DX-SMT-10")
async def test_a_weakened_request_is_refused_before_anybody_is_asked(smart: Any) -> None:
    for change, error in WEAKENED:
        app = await smart.app("launch user/*.rs")
        answer = await smart.ask(app.request(SCOPE, **change))
        assert told(answer) == error


ELSEWHERE = [
    "https://evil.example/callback", "https://app.example/callback/", f"{CALLBACK}?x=1",
    "https://app.example/callback/../evil", "https://APP.example/callback", "",
    "http://app.example/callback", "https://app.example@evil.example/callback",
    "javascript:alert(1)", "//evil.example", f"{CALLBACK}#x",
]  # fmt: skip


@pytest.mark.requirement("DX-SMT-10")
async def test_nothing_is_sent_to_an_address_that_is_not_registered(smart: Any) -> None:
    """Open redirect: also the errors of such a request are shown, not sent."""
    for uri in ELSEWHERE:
        app = await smart.app(SCOPE)
        for change in ({}, {"response_type": "token"}):
            answer = await smart.ask(app.request(SCOPE, redirect_uri=uri, **change))
            assert answer.status_code == 400 and "location" not in answer.headers
            assert "not the one it is registered with" in answer.text
        unknown = await smart.ask(app.request(SCOPE, client_id="somebody-else"))
        assert unknown.status_code == 400 and "location" not in unknown.headers


@pytest.mark.requirement("DX-SMT-10")
async def test_a_parameter_given_twice_is_refused(smart: Any) -> None:
    app = await smart.app(SCOPE)
    asked = [*app.request(SCOPE).items(), ("redirect_uri", "https://evil.example/")]
    answer = await smart.http.get("/smart/authorize", params=asked)
    assert answer.status_code == 400 and "location" not in answer.headers
    twice = "grant_type=authorization_code&grant_type=refresh_token"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await smart.outside.post("/smart/token", content=twice, headers=form)
    assert answer.json()["error"] == "invalid_request"


# The consent page


@pytest.mark.requirement("DX-SMT-11")
async def test_consent_cannot_be_given_by_another_site(smart: Any) -> None:
    app = await smart.app(SCOPE)
    await smart.sign_in()
    page = await smart.ask(app.request(SCOPE))
    for forged in ("", "0" * 32):
        answer = await smart.answer(page, decision="approve", csrf=forged)
        assert answer.status_code == 403 and "location" not in answer.headers
    crossing = {"Sec-Fetch-Site": "cross-site"}
    smart.http.headers.update(crossing)
    assert (await smart.answer(page, decision="approve")).status_code == 403


@pytest.mark.requirement("DX-SMT-11")
async def test_the_token_of_one_physicians_page_is_no_good_for_another(smart: Any) -> None:
    app = await smart.app(SCOPE)
    await smart.sign_in("second")
    foreign = await smart.ask(app.request(SCOPE))
    smart.http.cookies.clear()
    await smart.sign_in("reader")
    assert (await smart.answer(foreign, decision="approve")).status_code == 403


@pytest.mark.requirement("DX-SMT-11")
async def test_a_link_alone_never_gives_consent(smart: Any) -> None:
    app = await smart.app(SCOPE)
    await smart.sign_in()
    asked = app.request(SCOPE) | {"decision": "approve", "scope": SCOPE}
    answer = await smart.ask(asked)
    assert answer.status_code == 200 and 'name="decision"' in answer.text
    assert (await smart.http.get("/smart/authorize/decide", params=asked)).status_code in (404, 405)


@pytest.mark.requirement("DX-SMT-11")
async def test_the_pages_are_shown_in_no_frame(smart: Any) -> None:
    app = await smart.app("launch/patient patient/Patient.rs")
    await smart.sign_in()
    page = await smart.ask(app.request("launch/patient patient/Patient.rs"))
    consent = await smart.answer(page, patient="p-1")
    for shown in (page, consent):
        policy = shown.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy and shown.headers["x-frame-options"] == "DENY"
        assert "form-action 'self' https://app.example;" in policy and "unsafe" not in policy


@pytest.mark.requirement("DX-SMT-11")
async def test_an_app_cannot_put_markup_into_the_page(smart: Any) -> None:
    app = await smart.app(SCOPE, name="<script>alert(1)</script>")
    await smart.sign_in()
    page = await smart.ask(app.request(SCOPE, state='"><script>alert(2)</script>'))
    assert "<script>alert" not in page.text and "&lt;script&gt;alert(1)" in page.text


@pytest.mark.requirement("DX-SMT-12")
async def test_an_app_of_another_tenant_is_not_for_this_physician(smart: Any) -> None:
    app = await smart.app(SCOPE)
    await smart.sign_in()
    clients = smart.gateway.store.smart.clients
    async with smart.gateway.store.database.begin() as connection:
        await connection.execute(update(SMART_CLIENTS).values(tenant="south"))
    assert (await clients.find(app.client_id)).client.tenant == "south"
    answer = await smart.ask(app.request(SCOPE))
    assert answer.status_code == 403 and "location" not in answer.headers


# Codes and refresh tokens


@pytest.mark.requirement("DX-SMT-03")
async def test_a_code_used_twice_ends_the_tokens_of_the_first_use(smart: Any) -> None:
    app = await smart.app(OFFLINE)
    code = await smart.code(app, OFFLINE)
    tokens = (await smart.exchange(app, code)).json()
    assert (await smart.get("/fhir/Patient/p-1", tokens["access_token"])).status_code == 200
    again = await smart.exchange(app, code)
    assert again.status_code == 400 and again.json()["error"] == "invalid_grant"
    assert (await smart.get("/fhir/Patient/p-1", tokens["access_token"])).status_code == 401
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await smart.token(app, **refresh)).json()["error"] == "invalid_grant"


@pytest.mark.requirement("DX-SMT-03")
@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "a" * 43}, {"code_verifier": ""}, {"redirect_uri": ""},
        {"redirect_uri": "https://app.example/other"},
    ],
)  # fmt: skip
async def test_a_stolen_code_is_worth_nothing_without_its_verifier(
    smart: Any, change: dict[str, str]
) -> None:
    app = await smart.app(SCOPE)
    code = await smart.code(app, SCOPE)
    answer = await smart.exchange(app, code, **change)
    assert answer.status_code == 400 and answer.json()["error"] == "invalid_grant"
    assert (await smart.exchange(app, code)).status_code == 400, "it is burnt"


@pytest.mark.requirement("DX-SMT-03")
async def test_the_challenge_itself_is_no_verifier(smart: Any) -> None:
    """PKCE downgrade: were `plain` taken, the challenge in the address would be enough."""
    app = await smart.app(SCOPE)
    code = await smart.code(app, SCOPE)
    assert (await smart.exchange(app, code, code_verifier=app.challenge)).status_code == 400


@pytest.mark.requirement("DX-SMT-03")
async def test_a_code_is_for_its_own_client_alone_and_for_a_minute(smart: Any) -> None:
    app, other = await smart.app(SCOPE), await smart.app(SCOPE)
    other.verifier = app.verifier
    code = await smart.code(app, SCOPE)
    assert (await smart.exchange(other, code)).json()["error"] == "invalid_grant"
    code = await smart.code(app, SCOPE)
    smart.later(61)
    assert (await smart.exchange(app, code)).json()["error"] == "invalid_grant"


@pytest.mark.requirement("DX-SMT-03")
async def test_a_refresh_token_used_twice_ends_the_whole_family(smart: Any) -> None:
    app = await smart.app(OFFLINE)
    first = await smart.tokens(app, OFFLINE)
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = (await smart.token(app, **refresh)).json()
    thief = await smart.token(app, **refresh)
    assert thief.status_code == 400 and thief.json()["error"] == "invalid_grant"
    for token in (first["access_token"], second["access_token"]):
        assert (await smart.get("/fhir/Patient/p-1", token)).status_code == 401
    refresh["refresh_token"] = second["refresh_token"]
    assert (await smart.token(app, **refresh)).json()["error"] == "invalid_grant"


@pytest.mark.requirement("DX-SMT-03")
async def test_a_refresh_token_is_for_its_own_client_and_is_no_access_token(smart: Any) -> None:
    app, other = await smart.app(OFFLINE), await smart.app(OFFLINE)
    tokens = await smart.tokens(app, OFFLINE)
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await smart.token(other, **refresh)).json()["error"] == "invalid_grant"
    assert (await smart.get("/fhir/Patient/p-1", tokens["refresh_token"])).status_code == 401
    as_refresh = {"grant_type": "refresh_token", "refresh_token": tokens["access_token"]}
    assert (await smart.token(app, **as_refresh)).json()["error"] == "invalid_grant"


@pytest.mark.requirement("DX-SMT-03")
async def test_an_access_token_ends_in_time_and_with_its_account(smart: Any) -> None:
    app = await smart.app(SCOPE)
    tokens = await smart.tokens(app, SCOPE)
    read = await smart.get("/fhir/Patient/p-1", tokens["access_token"])
    assert read.status_code == 200
    account = smart.gateway.accounts.by_name.pop(("north", "reader"))
    smart.later(REMEMBERED_S + 1)
    assert (await smart.get("/fhir/Patient/p-1", tokens["access_token"])).status_code == 401
    smart.gateway.accounts.by_name["north", "reader"] = account
    assert (await smart.get("/fhir/Patient/p-1", tokens["access_token"])).status_code == 200
    smart.later(901)
    refused = await smart.get("/fhir/Patient/p-1", tokens["access_token"])
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    bare = await smart.outside.get("/fhir/Patient/p-1")
    assert bare.headers["www-authenticate"] == 'Bearer realm="dxmesh"'


@pytest.mark.requirement("DX-SMT-03")
async def test_what_is_remembered_of_a_token_does_not_outlive_it(smart: Any) -> None:
    app = await smart.app(SCOPE)
    token = (await smart.tokens(app, SCOPE))["access_token"]
    found = await smart.gateway.store.smart.grants.token(token)
    at = [found.expires_us - 500_000]
    object.__setattr__(smart.gateway.store.database, "now_us", lambda: at[0])
    assert (await smart.get("/fhir/Patient/p-1", token)).status_code == 200
    at[0] = found.expires_us
    assert (await smart.get("/fhir/Patient/p-1", token)).status_code == 401


@pytest.mark.requirement("DX-SMT-03")
async def test_no_secret_is_in_the_database(smart: Any) -> None:
    app = await smart.app(OFFLINE, kind="symmetric")
    tokens = await smart.tokens(app, OFFLINE)
    await smart.outside.get("/smart/jwks")
    content = b"".join(
        path.read_bytes() for path in smart.world.database.parent.glob("gateway.sqlite*")
    )
    for secret in (tokens["access_token"], tokens["refresh_token"], app.secret, "Zhang"):
        assert secret.encode() not in content
    assert b'"qi"' not in content, "a private key is sealed"
