"""Tokens after the launch: refreshed, looked at, revoked; clients that are no persons."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.smart.asked import SCOPE, SITE


@pytest.mark.requirement("DX-SMT-03")
async def test_refresh_tokens_rotate_and_may_be_narrowed(smart: Any) -> None:
    app = await smart.app(SCOPE)
    tokens = await smart.tokens(app, SCOPE)
    fields = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    more = await smart.token(app, **fields, scope="patient/*.rs user/*.rs")
    assert more.status_code == 400 and more.json()["error"] == "invalid_scope"
    second = (await smart.token(app, **fields)).json()
    assert second["refresh_token"] != tokens["refresh_token"] and second["patient"] == "p-1"
    assert (await smart.get("/fhir/Patient/p-1", second["access_token"])).status_code == 200


@pytest.mark.requirement("DX-SMT-03")
async def test_online_access_ends_with_the_session(smart: Any) -> None:
    scope = "online_access user/Patient.rs"
    app = await smart.app(scope)
    tokens = await smart.tokens(app, scope)
    fields = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    tokens = (await smart.token(app, **fields)).json()
    await smart.gateway.store.people.close_session(smart.http.cookies["dx_session"])
    fields["refresh_token"] = tokens["refresh_token"]
    assert (await smart.token(app, **fields)).json()["error"] == "invalid_grant"


@pytest.mark.requirement("DX-SMT-03")
async def test_introspection_says_what_a_token_is_worth_and_revocation_ends_it(smart: Any) -> None:
    app = await smart.app(SCOPE, kind="symmetric")
    tokens = await smart.tokens(app, SCOPE)
    auth = (app.client_id, app.secret)
    asked = {"token": tokens["access_token"]}
    found = (await smart.outside.post("/smart/introspect", data=asked, auth=auth)).json()
    assert found["active"] and found["client_id"] == app.client_id and found["patient"] == "p-1"
    assert found["iss"] == SITE and found["fhirUser"].endswith(found["sub"])
    assert set(found["scope"].split()) == set(SCOPE.split()) and found["exp"] > found["iat"]
    ehr = await smart.outside.post("/smart/introspect", data=asked, headers=smart.world.bearer())
    assert ehr.json()["active"]
    done = await smart.outside.post("/smart/revoke", data=asked, auth=auth)
    assert done.status_code == 200
    after = (await smart.outside.post("/smart/introspect", data=asked, auth=auth)).json()
    assert after == {"active": False}
    assert (await smart.get("/fhir/Patient/p-1", tokens["access_token"])).status_code == 401
    fields = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await smart.token(app, **fields)).json()["error"] == "invalid_grant"


@pytest.mark.requirement("DX-SMT-07")
@pytest.mark.parametrize("alg", ["ES384", "RS384"])
async def test_a_backend_service_gets_a_short_token_of_its_own(smart: Any, alg: str) -> None:
    app = await smart.backend("system/Patient.rs", alg=alg)
    answer = await smart.token(app, grant_type="client_credentials", scope="system/*.cruds")
    tokens = answer.json()
    assert answer.status_code == 200, answer.text
    assert tokens["scope"] == "system/Patient.rs" and tokens["expires_in"] <= 300
    assert "refresh_token" not in tokens
    assert (await smart.get("/fhir/Patient/p-1", tokens["access_token"])).status_code == 200
    assert (await smart.get("/fhir/Observation", tokens["access_token"])).status_code == 403


@pytest.mark.requirement("DX-SMT-07")
async def test_a_confidential_app_with_keys_goes_through_the_code_flow(smart: Any) -> None:
    scope = "launch/patient patient/Patient.rs"
    app = await smart.backend(scope, role=None, redirect_uris=["https://app.example/callback"])
    assert (await smart.tokens(app, scope))["patient"] == "p-1"


@pytest.mark.requirement("DX-SMT-09")
async def test_the_operator_registers_lists_rotates_and_revokes(smart: Any) -> None:
    app = await smart.app("user/Patient.rs", kind="symmetric", client_id="chart-1")
    operator = smart.world.bearer("operator")
    listed = (await smart.outside.get("/ops/clients", headers=operator)).json()["clients"]
    assert [client["client_id"] for client in listed] == ["chart-1"]
    assert app.secret not in json.dumps(listed) and "secret" not in json.dumps(listed)
    rotated = await smart.outside.post("/ops/clients/chart-1/rotate", headers=operator)
    old, new = app.secret, rotated.json()["client_secret"]
    tokens = await smart.tokens(app, "user/Patient.rs")
    app.secret = new
    assert new != old and await smart.tokens(app, "user/Patient.rs")
    done = await smart.outside.post("/ops/clients/chart-1/revoke", headers=operator)
    assert done.status_code == 200
    assert (await smart.get("/fhir/Patient/p-1", tokens["access_token"])).status_code == 401
    assert (await smart.ask(app.request("user/Patient.rs"))).status_code == 400
    for name in ("ehr", "auditor"):
        assert (await smart.register(name, scope="openid")).status_code == 403
    rows = await smart.outside.get("/ops/audit", headers=smart.world.bearer("auditor"))
    for deed in ("register-client", "rotate-client", "revoke-client", "authorize", "token"):
        assert deed in rows.text
