"""The launch by an EHR: the way there and back, who and whom, and what must not pass."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest


def query_of(answer: Any) -> dict[str, Any]:
    query = urlsplit(answer.headers["location"]).query
    return {name: values[0] for name, values in parse_qs(query).items()}


@pytest.mark.requirement("DX-EHR-01")
async def test_an_ehr_launches_a_session_for_its_patient(scene: Any) -> None:
    root = await scene.launch()
    page = await scene.page(f"{root}/worklist")
    assert page.status_code == 200
    assert "Chen Fictional" in page.text and "MRN-p-1" in page.text
    assert page.headers["content-security-policy"].endswith("frame-ancestors https://ehr.example")
    assert "x-frame-options" not in page.headers


@pytest.mark.requirement("DX-EHR-01")
async def test_the_request_has_pkce_state_nonce_and_audience(scene: Any) -> None:
    begun = await scene.begin()
    asked = query_of(begun)
    assert begun.status_code == 303
    assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
    assert asked["aud"] == scene.ehr.url and asked["redirect_uri"].endswith(
        "/ehr/callback/north-ehr"
    )
    assert asked["scope"].split()[0] == "launch" and len(asked["state"]) >= 43 and asked["nonce"]
    cookie = begun.headers["set-cookie"]
    for part in ("__Host-dx_launch=", "; Secure", "; SameSite=None", "; Partitioned", "; HttpOnly"):
        assert part in cookie


@pytest.mark.requirement("DX-EHR-04")
async def test_an_unknown_issuer_is_not_even_asked(scene: Any) -> None:
    before = len(scene.ehr.requests)
    for iss in ("http://169.254.169.254/", "https://evil.example/fhir", scene.ehr.origin, ""):
        answer = await scene.begin(iss=iss)
        assert answer.status_code == 404 and "EHR_NOT_KNOWN" in answer.text
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"
    assert len(scene.ehr.requests) == before


@pytest.mark.requirement("DX-EHR-04")
@pytest.mark.parametrize("field", ["token_endpoint", "jwks_uri", "issuer"])
async def test_a_configuration_that_points_elsewhere_is_refused(scene: Any, field: str) -> None:
    for url in ("http://169.254.169.254/latest", "https://evil.example/x", "http://127.0.0.1:1/"):
        scene.client._seen.clear()
        scene.ehr.configuration = {field: url}
        assert "EHR_HOST_NOT_ALLOWED" in (await scene.begin()).text


@pytest.mark.requirement("DX-EHR-04")
async def test_an_ehr_without_s256_is_refused(scene: Any) -> None:
    scene.ehr.configuration = {"code_challenge_methods_supported": ["plain"]}
    assert "EHR_WITHOUT_PKCE" in (await scene.begin()).text


@pytest.mark.requirement("DX-EHR-04")
async def test_the_answer_of_another_ehr_is_refused(scene: Any) -> None:
    """Mix-up: a dishonest EHR sends its code with the state of an honest one, or the reverse."""
    scene.ehr.answer = {"iss": "https://evil.example/fhir"}
    answer = await scene.http.get(await scene.approve(await scene.begin()))
    assert answer.status_code == 403 and "EHR_MIX_UP" in answer.text
    scene.ehr.answer = {"iss": ""}
    answer = await scene.http.get(await scene.approve(await scene.begin()))
    assert answer.status_code == 403, "it says that it names itself, and does not"
    assert not any(method == "GET" and kind == "Patient" for method, kind in scene.ehr.requests)


@pytest.mark.requirement("DX-EHR-04")
async def test_a_state_belongs_to_its_ehr(scene: Any) -> None:
    store = scene.gateway.store.ehr
    state = await store.add_state("north", "north-ehr", {"browser": "x"})
    assert await store.take_state("other-ehr", state) is None
    assert await store.take_state("north-ehr", state) == {"browser": "x"}


@pytest.mark.requirement("DX-EHR-04")
async def test_a_state_is_taken_once_and_by_its_browser_alone(scene: Any) -> None:
    back = await scene.approve(await scene.begin())
    assert (await scene.http.get(back)).status_code == 303
    again = await scene.http.get(back)
    assert again.status_code == 403 and "EHR_STATE" in again.text
    stolen = await scene.approve(await scene.begin())
    scene.http.cookies.clear()
    await scene.begin()  # the victim's browser has a cookie, but not the one of this state
    answer = await scene.http.get(stolen)
    assert answer.status_code == 403 and "EHR_STATE" in answer.text


@pytest.mark.requirement("DX-EHR-04")
async def test_a_state_lasts_ten_minutes(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.gateway.store import ehr as module

    back = await scene.approve(await scene.begin())
    monkeypatch.setattr(module, "STATE_S", 0)
    assert "EHR_STATE" in (await scene.http.get(back)).text


@pytest.mark.requirement("DX-EHR-04")
@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"nonce": "another"}, "ID_TOKEN_NONCE"),
        ({"aud": "another-app"}, "ID_TOKEN_AUDIENCE"),
        ({"aud": ["dxmesh", "another"], "azp": "another"}, "ID_TOKEN_AUDIENCE"),
        ({"iss": "https://evil.example/fhir"}, "ID_TOKEN_ISSUER"),
        ({"exp": int(time.time()) - 3600}, "ID_TOKEN_TIME"),
        ({"iat": int(time.time()) + 3600}, "ID_TOKEN_TIME"),
        ({"fhirUser": "https://evil.example/fhir/Practitioner/dr-1"}, "EHR_USER_NOT_KNOWN"),
    ],
)
async def test_a_wrong_id_token_opens_nothing(
    scene: Any, claims: dict[str, Any], reason: str
) -> None:
    scene.ehr.claims = claims
    answer = await scene.http.get(await scene.approve(await scene.begin()))
    assert answer.status_code == 403 and reason in answer.text
    assert "__Secure-dx_ehr" not in answer.headers.get("set-cookie", "")


@pytest.mark.requirement("DX-EHR-04")
@pytest.mark.parametrize("forgery", ["none", "symmetric", "another key"])
async def test_a_forged_id_token_opens_nothing(
    scene: Any, fake: Any, monkeypatch: pytest.MonkeyPatch, forgery: str
) -> None:
    from joserfc import jwt
    from joserfc.jwk import ECKey

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    grant = scene.ehr._grant

    def forged(asked: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = grant(asked)
        body = answer["id_token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        if forgery == "none":
            answer["id_token"] = f"{part({'alg': 'none'})}.{part(claims)}."
        elif forgery == "symmetric":
            # The public key as a shared secret: what a library that trusts `alg` would accept.
            pem = scene.ehr.key.as_pem(private=False)
            signed = f"{part({'alg': 'HS256'})}.{part(claims)}"
            mac = hmac.new(pem, signed.encode(), hashlib.sha256).digest()
            answer["id_token"] = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
        else:
            header = {"alg": "ES256", "kid": scene.ehr.key.thumbprint()}
            answer["id_token"] = jwt.encode(header, claims, ECKey.generate_key("P-256"))
        return answer

    monkeypatch.setattr(scene.ehr, "_grant", forged)
    answer = await scene.http.get(await scene.approve(await scene.begin()))
    assert answer.status_code == 403 and "ID_TOKEN_SIGNATURE" in answer.text


@pytest.mark.requirement("DX-EHR-04")
async def test_rotated_keys_are_asked_for_again(scene: Any) -> None:
    await scene.launch()
    scene.ehr.key = type(scene.ehr.key).generate_key("P-256")
    assert await scene.launch()


@pytest.mark.requirement("DX-EHR-04")
async def test_nothing_in_a_request_says_where_to_go(scene: Any) -> None:
    """Open redirects: only the configured EHR and the launch's own pages are redirected to."""
    evil = "https://evil.example/"
    begun = await scene.begin(redirect_uri=evil, next=evil, state=evil)
    assert urlsplit(begun.headers["location"]).netloc == urlsplit(scene.ehr.url).netloc
    assert "gateway.example/ehr/callback" in query_of(begun)["redirect_uri"]
    back = await scene.approve(begun)
    answer = await scene.http.get(f"{back}&next={evil}&redirect_uri={evil}")
    assert answer.headers["location"].startswith("/ehr/")
    root = answer.headers["location"].removesuffix("/worklist")
    for target in (evil, "//evil.example", f"{root}/../../sign-in", "/worklist"):
        moved = await scene.post(root, "/language", language="zh", next=target)
        assert moved.headers["location"].startswith(f"{root}/")


@pytest.mark.requirement("DX-EHR-01")
async def test_what_the_ehr_refuses_is_said(scene: Any) -> None:
    scene.ehr.answer = {"error": "access_denied", "code": ""}
    answer = await scene.http.get(await scene.approve(await scene.begin()))
    assert answer.status_code == 403 and "EHR_SAID_ACCESS_DENIED" in answer.text
    scene.ehr.answer = {"error": "<script>alert(1)</script>", "code": ""}
    answer = await scene.http.get(await scene.approve(await scene.begin()))
    assert "<script>alert" not in answer.text
    scene.ehr.answer = {}
    scene.ehr.launches["no-patient"] = {"patient": "../Practitioner/dr-1"}
    answer = await scene.http.get(await scene.approve(await scene.begin(launch="no-patient")))
    assert answer.status_code == 403 and "EHR_WITHOUT_PATIENT" in answer.text


@pytest.mark.requirement("DX-EHR-01")
async def test_over_plain_http_nothing_is_begun(scene: Any) -> None:
    answer = await scene.http.get(
        f"http://gateway.example/ehr/launch?iss={scene.ehr.url}&launch={scene.ehr.launch()}"
    )
    assert answer.status_code == 422 and "EHR_NEEDS_HTTPS" in answer.text


@pytest.mark.requirement("DX-EHR-04")
async def test_launches_that_nobody_ends_do_not_fill_the_store(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.gateway.store import ehr as module

    monkeypatch.setattr(module, "STATES_MAX", 2)
    assert [(await scene.begin()).status_code for _ in range(3)] == [303, 303, 503]
