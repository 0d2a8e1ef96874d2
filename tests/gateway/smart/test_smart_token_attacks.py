"""Tokens, launches and clients where they do not belong."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.gateway.smart.forging import (
    CALLBACK,
    SCOPE,
    key_set,
    told,
)

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
