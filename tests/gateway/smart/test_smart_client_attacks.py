"""What an attacker tries with a client's proof of itself, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from tests.gateway.smart.forging import (
    SCOPE,
    SITE,
    asked,
    forged,
    resolver,
)

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
