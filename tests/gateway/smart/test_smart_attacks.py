"""What an attacker tries against the authorization server, and what comes of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey
from sqlalchemy import update

from services.gateway.access.tokens import REMEMBERED_S
from services.gateway.store.smart_tables import SMART_CLIENTS

CALLBACK = "https://app.example/callback"
SCOPE = "user/Patient.rs"
OFFLINE = "offline_access user/Patient.rs"
SITE = "https://gateway.example"


def key_set(kind: Any, size: Any, *, private: bool = False) -> dict[str, Any]:
    return {"keys": [kind.generate_key(size).as_dict(private=private)]}


def told(answer: Any) -> str:
    """Return the error an app was told at its own address."""
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    assert location.startswith(f"{CALLBACK}?"), location
    assert "iss=https%3A%2F%2Fgateway.example" in location
    return str(location.partition("error=")[2].partition("&")[0])


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


# Client authentication


WRONG_CLAIMS = [
    ("iss", "another"), ("sub", "another"), ("aud", "https://evil.example/token"),
    ("aud", [f"{SITE}/smart/token", "https://evil.example/token"]), ("aud", None),
    ("aud", f"{SITE}/fhir"), ("exp", None), ("exp", 1), ("exp", "soon"), ("exp", 9e9),
    ("jti", None), ("jti", ""), ("nbf", 9e9), ("iat", 9e9),
]  # fmt: skip


@pytest.mark.requirement("DX-SMT-07")
async def test_an_assertion_with_a_wrong_claim_is_refused(smart: Any) -> None:
    for claim, value in WRONG_CLAIMS:
        app = await smart.backend("system/Patient.rs")
        assertion = app.assertion(app.claims(smart.now_s, **{claim: value}))
        answer = await asked(smart, app, assertion)
        assert answer.status_code == 401 and answer.json()["error"] == "invalid_client"


@pytest.mark.requirement("DX-SMT-07")
async def test_an_assertion_is_used_once(smart: Any) -> None:
    app = await smart.backend("system/Patient.rs")
    assertion = app.assertion(app.claims(smart.now_s))
    assert (await asked(smart, app, assertion)).status_code == 200
    assert (await asked(smart, app, assertion)).status_code == 401


WRONG_ALGORITHMS = ["none", "HS256", "HS384", "RS256", "ES256", "PS384"]


@pytest.mark.requirement("DX-SMT-07")
async def test_only_two_algorithms_sign_and_the_key_decides_which(smart: Any) -> None:
    """`none`, and a symmetric signature made with the public key (algorithm confusion)."""
    for alg in WRONG_ALGORITHMS:
        app = await smart.backend("system/Patient.rs", alg="RS384")
        assertion = forged(app, app.claims(smart.now_s), alg, app.key)
        assert (await asked(smart, app, assertion)).status_code == 401


@pytest.mark.requirement("DX-SMT-07")
async def test_a_key_of_another_kind_or_name_signs_nothing(smart: Any) -> None:
    app = await smart.backend("system/Patient.rs", alg="ES384")
    claims = app.claims(smart.now_s)
    stranger = ECKey.generate_key("P-384", {"kid": app.key.kid})
    for assertion in (
        forged(app, claims, "ES384", stranger),
        app.assertion(claims, kid="another"),
        app.assertion(claims)[:-6] + "AAAAAA",
        forged(app, claims, "RS384", RSAKey.generate_key(2048)),
    ):
        assert (await asked(smart, app, assertion)).status_code == 401


@pytest.mark.requirement("DX-SMT-07")
async def test_a_key_in_the_header_and_a_jku_are_never_looked_at(smart: Any) -> None:
    app = await smart.backend("system/Patient.rs")
    own = ECKey.generate_key("P-384", {"kid": app.key.kid})
    visited: list[str] = []
    smart.gateway.outbound._resolve = resolver(visited)  # any connection would resolve a name
    header = {"jku": "https://evil.example/jwks", "jwk": own.as_dict(private=False)}
    assertion = forged(app, app.claims(smart.now_s), "ES384", own, **header)
    assert (await asked(smart, app, assertion)).status_code == 401
    assert visited == []


@pytest.mark.requirement("DX-SMT-08")
async def test_a_key_set_by_address_is_fetched_through_the_guard(smart: Any) -> None:
    keys = {"kind": "asymmetric", "role": "ehr", "redirect_uris": None, "scope": "system/*.rs"}
    for url in ("https://keys.example/jwks", "http://keys.example/jwks", "https://127.0.0.1/jwks"):
        answer = await smart.register(jwks_url=url, **keys)
        assert answer.status_code == 403, url
        assert "ADDRESS" in answer.text


@pytest.mark.requirement("DX-SMT-07")
async def test_each_kind_of_client_proves_itself_in_its_own_way_alone(smart: Any) -> None:
    public = await smart.app(SCOPE)
    secret = await smart.app(SCOPE, kind="symmetric")
    keyed = await smart.backend("system/Patient.rs")
    refused = [
        {"data": {"client_id": secret.client_id}},
        {"data": {"client_id": keyed.client_id}},
        {"data": {}, "auth": (public.client_id, "")},
        {"data": {}, "auth": (public.client_id, "guess")},
        {"data": {}, "auth": (secret.client_id, "guess")},
        {"data": {}, "auth": (secret.client_id, "")},
        {"data": {}, "auth": (keyed.client_id, "")},
        {"data": {"client_id": secret.client_id, "client_secret": secret.secret}},
        {"data": {"client_id": public.client_id}, "auth": (secret.client_id, secret.secret)},
        {"data": {"client_id": public.client_id, "client_secret": "x"}},
    ]
    for each in refused:
        each["data"] |= {"grant_type": "authorization_code", "code": "x", "code_verifier": "y"}
        answer = await smart.outside.post("/smart/token", **each)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), each
    symmetric = forged(public, public.claims(smart.now_s), "HS256", OctKey.generate_key(256))
    assert (await asked(smart, public, symmetric)).status_code == 401


@pytest.mark.requirement("DX-SMT-07")
async def test_only_a_backend_service_asks_in_its_own_name(smart: Any) -> None:
    secret = await smart.app(SCOPE, kind="symmetric")
    answer = await smart.token(secret, grant_type="client_credentials", scope="system/*.rs")
    assert answer.json()["error"] == "unauthorized_client"
    keyed = await smart.backend("system/Patient.rs")
    for scope in ("", "patient/*.rs", "user/*.rs", "system/Observation.rs"):
        answer = await smart.token(keyed, grant_type="client_credentials", scope=scope)
        assert answer.json()["error"] == "invalid_scope"


@pytest.mark.requirement("DX-SMT-10")
async def test_the_host_of_a_request_does_not_choose_the_audience(smart: Any) -> None:
    """An assertion for another server, sent here with that server's name as Host."""
    app = await smart.backend("system/Patient.rs")
    assertion = app.assertion(app.claims(smart.now_s, aud="https://other.example/smart/token"))
    form = {
        "grant_type": "client_credentials",
        "scope": "system/Patient.rs",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion,
    }
    answer = await smart.outside.post("/smart/token", data=form, headers={"Host": "other.example"})
    assert answer.status_code == 401
    bare = await smart.world.http.get("/.well-known/smart-configuration")
    assert bare.status_code == 422 and "DX_GATEWAY_PUBLIC_URL" in bare.text


# Tokens where they do not belong


@pytest.mark.requirement("DX-SMT-12")
async def test_a_token_opens_its_own_tenant_and_fhir_alone(smart: Any) -> None:
    patient = {"resourceType": "Patient", "id": "south-1"}
    await smart.put(patient, tenant="south")
    app = await smart.backend("system/*.cruds")
    answer = await smart.token(app, grant_type="client_credentials", scope="system/*.rs")
    token = answer.json()["access_token"]
    assert (await smart.get("/fhir/Patient/p-1", token)).status_code == 200
    assert (await smart.get("/fhir/Patient/south-1", token)).status_code == 404
    for path in ("/worklist", "/ops/cases", "/ops/clients", "/ops/audit"):
        assert (await smart.get(path, token)).status_code == 403, path
    physician = await smart.app(SCOPE)
    tokens = await smart.tokens(physician, SCOPE)
    assert (await smart.get("/worklist", tokens["access_token"])).status_code == 403


@pytest.mark.requirement("DX-SMT-12")
async def test_another_tenant_learns_nothing_of_a_token(smart: Any) -> None:
    app = await smart.app(SCOPE)
    tokens = await smart.tokens(app, SCOPE)
    foreign = smart.world.bearer("other")
    asked_of = {"token": tokens["access_token"]}
    answer = await smart.outside.post("/smart/introspect", data=asked_of, headers=foreign)
    assert answer.json() == {"active": False}
    said = {"client_id": app.client_id, "patient": "p-1"}
    launch = await smart.outside.post("/smart/launches", json=said, headers=foreign)
    assert launch.status_code == 404
    own = await smart.app(SCOPE, kind="symmetric")
    await smart.outside.post("/smart/revoke", data=asked_of, auth=(own.client_id, own.secret))
    assert (await smart.get("/fhir/Patient/p-1", tokens["access_token"])).status_code == 200
    public = {"token": tokens["access_token"], "client_id": app.client_id}
    assert (await smart.outside.post("/smart/introspect", data=public)).status_code == 401
    assert (await smart.outside.post("/smart/introspect", data=asked_of)).status_code == 401


@pytest.mark.requirement("DX-SMT-02")
async def test_a_launch_is_for_its_client_and_physician_and_its_own_hospital(smart: Any) -> None:
    scope = "launch patient/Patient.rs"
    app, other = await smart.app(scope), await smart.app(scope)
    said = {"client_id": app.client_id, "patient": "p-1", "account": "second"}
    ehr = smart.world.bearer("ehr")
    launch = (await smart.outside.post("/smart/launches", json=said, headers=ehr)).json()["launch"]
    await smart.sign_in()
    assert told(await smart.ask(other.request(scope, launch=launch))) == "invalid_request"
    assert told(await smart.ask(app.request(scope, launch=launch))) == "access_denied"
    smart.http.cookies.clear()
    await smart.sign_in("second")
    assert (await smart.ask(app.request(scope, launch=launch))).status_code == 200
    smart.later(601)
    assert told(await smart.ask(app.request(scope, launch=launch))) == "invalid_request"
    wrong = [
        {"patient": "nobody"}, {"encounter": "e-1"}, {"patient": "../x"}, {"nonsense": 1},
        {"patient": "p-1", "fhirContext": [{"reference": "Patient/p-2"}]}, {"client_id": "none"},
    ]  # fmt: skip
    for change in wrong:
        made = await smart.outside.post(
            "/smart/launches", json={"client_id": app.client_id} | change, headers=ehr
        )
        assert made.status_code in (400, 404, 422), change


WEAK_CLIENTS = [
    {"redirect_uris": ["http://app.example/cb"]}, {"redirect_uris": ["https://app.example/#a"]},
    {"redirect_uris": ["https://u@app.example/"]}, {"redirect_uris": ["javascript:alert(1)"]},
    {"redirect_uris": ["data:text/html,x"]}, {"redirect_uris": []}, {"redirect_uris": "x"},
    {"redirect_uris": ["https://app.example/;script-src *"], "kind": "none"},
    {"redirect_uris": ["https://a.example;script-src"]}, {"scope": "patient/Nothing.rs"},
    {"scope": ""}, {"scope": "system/*.rs"}, {"kind": "asymmetric"}, {"name": ""},
    {"jwks": {"keys": []}}, {"client_id": "a b"}, {"secret": "mine"}, {"name": "a\nb"},
    {"kind": "asymmetric", "jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}},
    {"kind": "asymmetric", "jwks": key_set(RSAKey, 1024)},
    {"kind": "asymmetric", "jwks": key_set(ECKey, "P-384", private=True)},
    {"kind": "asymmetric", "jwks": key_set(ECKey, "P-256")},
]  # fmt: skip


@pytest.mark.requirement("DX-SMT-09")
async def test_a_client_that_would_weaken_the_server_is_not_registered(smart: Any) -> None:
    for client in WEAK_CLIENTS:
        answer = await smart.register(**({"scope": SCOPE} | client))
        assert answer.status_code == 422, answer.text


async def test_there_is_no_dynamic_registration(smart: Any) -> None:
    for path in ("/smart/register", "/register", "/connect/register"):
        assert (
            await smart.outside.post(path, json={"redirect_uris": [CALLBACK]})
        ).status_code == 401


async def asked(smart: Any, app: Any, assertion: str) -> Any:
    return await smart.token(
        app,
        grant_type="client_credentials",
        scope="system/Patient.rs",
        client_assertion=assertion,
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    )


def forged(app: Any, claims: dict[str, Any], alg: str, key: Any, **header: Any) -> str:
    """Return a JWT with whatever header, signed as the algorithm says with whatever key."""
    kid = app.key.kid if app.key else "k"
    head = {"alg": alg, "kid": kid, "typ": "JWT", **header}
    parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in (head, claims)]
    signed = b".".join(parts)
    if alg == "none":
        return (signed + b".").decode()
    if alg.startswith("HS"):
        secret = key.as_pem(private=False) if key.key_type != "oct" else key.raw_value
        mac = hmac.new(secret, signed, getattr(hashlib, f"sha{alg[2:]}")).digest()
        return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()
    if alg in ("ES256", "RS256", "PS384"):
        key = ECKey.generate_key("P-256") if alg == "ES256" else key
    return jws.serialize_compact(head, parts_payload(claims), key, [alg])


def parts_payload(claims: dict[str, Any]) -> bytes:
    return json.dumps(claims).encode()


def resolver(visited: list[str]) -> Any:
    async def resolve(host: str, port: int) -> list[str]:
        visited.append(host)
        return ["127.0.0.1"]

    return resolve
