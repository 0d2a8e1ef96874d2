"""The authorization code flow from discovery to the revoked token, as an app lives it."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.gateway.smart.asked import SCOPE, SITE


@pytest.mark.requirement("DX-SMT-01")
@pytest.mark.parametrize("base", ["/fhir", ""])
async def test_an_app_finds_its_addresses_without_a_credential(smart: Any, base: str) -> None:
    found = await smart.outside.get(f"{base}/.well-known/smart-configuration")
    assert found.status_code == 200 and found.headers["access-control-allow-origin"] == "*"
    document = found.json()
    assert document["issuer"] == SITE and document["token_endpoint"] == f"{SITE}/smart/token"
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert "registration_endpoint" not in document
    assert {"launch-ehr", "launch-standalone", "permission-v2", "authorize-post"} <= set(
        document["capabilities"]
    )
    provider = (await smart.outside.get(f"{base}/.well-known/openid-configuration")).json()
    assert provider["issuer"] == SITE and provider["jwks_uri"] == f"{SITE}/smart/jwks"


@pytest.mark.requirement("DX-SMT-02")
async def test_standalone_launch_from_request_to_resource(smart: Any) -> None:
    app = await smart.app(SCOPE)
    page = await smart.ask(app.request(SCOPE, nonce="nonce-1"))
    assert page.status_code == 303 and page.headers["location"].startswith("/sign-in?next=")
    await smart.sign_in()
    tokens = await smart.tokens(app, SCOPE, nonce="nonce-1")
    assert tokens["token_type"] == "Bearer" and tokens["patient"] == "p-1"
    assert tokens["need_patient_banner"] is True and tokens["expires_in"] == 900
    assert set(tokens["scope"].split()) == set(SCOPE.split())
    assert (await smart.outside.get(tokens["smart_style_url"])).json()["color_text"]
    read = await smart.get("/fhir/Patient/p-1", tokens["access_token"])
    assert read.status_code == 200 and read.json()["id"] == "p-1"


@pytest.mark.requirement("DX-SMT-04")
async def test_the_id_token_is_signed_by_a_published_key_and_names_the_physician(
    smart: Any,
) -> None:
    app = await smart.app(SCOPE)
    tokens = await smart.tokens(app, SCOPE, nonce="nonce-1")
    keys = KeySet.import_key_set((await smart.outside.get("/smart/jwks")).json())
    assert all("d" not in key.as_dict() for key in keys.keys)
    token = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"])
    assert token.claims["aud"] == app.client_id and token.claims["iss"] == SITE
    assert token.claims["nonce"] == "nonce-1"
    user = token.claims["fhirUser"]
    assert user.startswith(f"{SITE}/fhir/Practitioner/")
    found = await smart.get(user.removeprefix(SITE), tokens["access_token"])
    assert found.status_code == 200 and found.json()["identifier"][0]["value"] == "reader"


@pytest.mark.requirement("DX-SMT-04")
async def test_after_a_rotation_the_old_key_stays_published(smart: Any) -> None:
    app = await smart.app("openid fhirUser user/Patient.rs")
    first = await smart.tokens(app, "openid fhirUser user/Patient.rs")
    rotated = await smart.outside.post(
        "/ops/signing-keys/rotate", headers=smart.world.bearer("operator")
    )
    assert rotated.status_code == 200 and len(rotated.json()["published"]) == 2
    second = await smart.tokens(app, "openid fhirUser user/Patient.rs")
    keys = KeySet.import_key_set((await smart.outside.get("/smart/jwks")).json())
    kids = [
        jwt.decode(t["id_token"], keys, algorithms=["RS256"]).header["kid"] for t in (first, second)
    ]
    assert kids[0] != kids[1] == rotated.json()["kid"]


@pytest.mark.requirement("DX-SMT-02")
async def test_ehr_launch_brings_patient_and_encounter(smart: Any) -> None:
    encounter = {
        "resourceType": "Encounter",
        "id": "e-1",
        "status": "in-progress",
        "class": {"code": "IMP", "display": "inpatient"},
        "subject": {"reference": "Patient/p-2"},
    }
    await smart.put(encounter)
    scope = "launch openid fhirUser patient/Patient.rs"
    app = await smart.app(scope, launch_url="https://app.example/launch")
    said = {
        "client_id": app.client_id,
        "patient": "p-2",
        "encounter": "e-1",
        "need_patient_banner": False,
        "intent": "reconcile",
        "fhirContext": [{"reference": "ImagingStudy/i-1"}],
    }
    made = await smart.outside.post("/smart/launches", json=said, headers=smart.world.bearer("ehr"))
    assert made.status_code == 201, made.text
    launch = made.json()["launch"]
    assert made.json()["url"].startswith("https://app.example/launch?iss=https%3A%2F%2Fgateway")
    tokens = await smart.tokens(app, scope, launch=launch)
    assert (tokens["patient"], tokens["encounter"]) == ("p-2", "e-1")
    assert tokens["need_patient_banner"] is False and tokens["intent"] == "reconcile"
    assert tokens["fhirContext"] == said["fhirContext"]
    again = await smart.ask(app.request(scope, launch=launch))
    assert "error=invalid_request" in again.headers["location"], "a launch is taken once"
    assert (await smart.get("/fhir/Patient/p-1", tokens["access_token"])).status_code == 404


@pytest.mark.requirement("DX-SMT-02")
async def test_standalone_launch_with_an_encounter(smart: Any) -> None:
    for number, patient in (("e-1", "p-1"), ("e-2", "p-2")):
        await smart.put(
            {
                "resourceType": "Encounter",
                "id": number,
                "status": "finished",
                "class": {"code": "AMB"},
                "subject": {"reference": f"Patient/{patient}"},
            }
        )
    scope = "launch/patient launch/encounter patient/Encounter.rs"
    app = await smart.app(scope)
    await smart.sign_in()
    page = await smart.answer(await smart.ask(app.request(scope)), patient="p-1")
    assert 'value="e-1"' in page.text and 'value="e-2"' not in page.text
    wrong = await smart.answer(
        page, encounter="e-2", decision="approve", scope=["patient/Encounter.rs"]
    )
    assert "code=" not in wrong.headers.get("location", "")
    consent = await smart.answer(page, encounter="e-1")
    done = await smart.answer(consent, decision="approve")
    code = done.headers["location"].partition("code=")[2].partition("&")[0]
    tokens = (await smart.exchange(app, code)).json()
    assert (tokens["patient"], tokens["encounter"]) == ("p-1", "e-1")


@pytest.mark.requirement("DX-SMT-02")
async def test_the_picker_finds_patients_by_name_and_number(smart: Any) -> None:
    app = await smart.app("launch/patient patient/Patient.rs")
    await smart.sign_in()
    page = await smart.ask(app.request("launch/patient patient/Patient.rs"))
    assert "Zhang" in page.text and "Other" in page.text
    for text, there, gone in (("zha", "Zhang", "Other"), ("MRN-9000", "Other", "Zhang")):
        found = await smart.answer(page, q=text, step="search")
        assert there in found.text and gone not in found.text
        assert text not in str(found.url), "a patient's name is in no address"
    assert "No patient found" in (await smart.answer(page, q="nobody", step="search")).text


@pytest.mark.requirement("DX-SMT-05")
async def test_what_the_physician_unticks_is_not_granted(smart: Any) -> None:
    scope = "launch/patient openid offline_access patient/Patient.rs patient/Observation.rs"
    app = await smart.app(scope)
    await smart.sign_in()
    page = await smart.answer(await smart.ask(app.request(scope)), patient="p-1")
    done = await smart.answer(page, decision="approve", scope=["patient/Patient.rs", "user/*.rs"])
    code = done.headers["location"].partition("code=")[2].partition("&")[0]
    tokens = (await smart.exchange(app, code)).json()
    assert tokens["scope"] == "launch/patient patient/Patient.rs"
    assert "refresh_token" not in tokens and "id_token" not in tokens
    refused = await smart.get("/fhir/Observation", tokens["access_token"])
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    nothing = await smart.answer(page, decision="approve", scope=[])
    assert nothing.status_code == 200 and 'role="alert"' in nothing.text


@pytest.mark.requirement("DX-SMT-05")
async def test_more_than_registered_or_than_the_role_is_not_offered(smart: Any) -> None:
    app = await smart.app("launch/patient patient/Observation.rs user/*.cruds")
    asked = "launch/patient patient/*.cruds user/Patient.cruds system/*.rs openid"
    tokens = await smart.tokens(app, asked)
    assert set(tokens["scope"].split()) == {
        "launch/patient",
        "patient/Observation.rs",
        "user/Patient.rs",
    }


@pytest.mark.requirement("DX-SMT-02")
async def test_a_physician_may_say_no(smart: Any) -> None:
    app = await smart.app("user/Patient.rs")
    await smart.sign_in()
    page = await smart.ask(app.request("user/Patient.rs"))
    done = await smart.answer(page, decision="deny")
    location = done.headers["location"]
    assert (
        "error=access_denied" in location
        and "state=state-1" in location
        and "code=" not in location
    )


async def test_a_request_sent_as_a_form_goes_on_as_a_link(smart: Any) -> None:
    app = await smart.app("user/Patient.rs")
    await smart.sign_in()
    answer = await smart.http.post("/smart/authorize", data=app.request("user/Patient.rs"))
    assert answer.status_code == 303
    page = await smart.http.get(answer.headers["location"])
    assert page.status_code == 200 and 'name="decision"' in page.text


async def test_a_page_of_another_origin_may_ask_for_tokens(smart: Any) -> None:
    form = {"grant_type": "authorization_code", "client_id": "nobody"}
    answer = await smart.outside.post(
        "/smart/token", data=form, headers={"Origin": "https://app.example"}
    )
    assert answer.status_code == 401 and answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.requirement("DX-SMT-02")
async def test_who_was_looked_at_in_the_picker_is_in_the_trail(smart: Any) -> None:
    app = await smart.app("launch/patient patient/Patient.rs")
    await smart.sign_in()
    await smart.ask(app.request("launch/patient patient/Patient.rs"))
    rows = await smart.outside.get("/ops/audit", headers=smart.world.bearer("auditor"))
    assert "pick-patient" in rows.text and "Patient/p-2" in rows.text


async def test_pages_are_in_chinese_too(smart: Any) -> None:
    app = await smart.app("launch/patient patient/Observation.rs")
    await smart.sign_in()
    smart.http.headers["Accept-Language"] = "zh-CN"
    page = await smart.ask(app.request("launch/patient patient/Observation.rs"))
    assert "选择患者" in page.text
    page = await smart.answer(page, patient="p-1")
    assert "读取、查找此患者的检验与观察结果" in page.text
