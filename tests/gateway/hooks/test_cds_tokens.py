"""Who may call a CDS service: the JWT, its issuer, its keys, and each token once."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from services.gateway.hooks import clients, token
from services.gateway.hooks.clients import CdsClient
from services.gateway.hooks.keys import AGAIN_S, KEPT_S, ClientKeys
from services.gateway.outbound import Answer
from services.kernel.errors import InvalidInput, Unauthenticated, Unavailable
from services.kernel.settings import BadSettings

VIEW = "dxmesh-patient-view"
HOUR = 3600


async def status(ehr: Any, requests: Any, token: str, service: str = VIEW) -> tuple[int, str]:
    answer = await ehr.post(service, requests["view"](), token=token)
    if answer.status_code == 200:
        return 200, ""
    issue = answer.json()["issue"][0]
    return answer.status_code, issue["details"]["coding"][0]["code"]


@pytest.mark.requirement("DX-CDS-02")
async def test_a_good_token_is_taken_once(ehr: Any, requests: Any) -> None:
    token = ehr.token(VIEW)
    assert await status(ehr, requests, token) == (200, "")
    assert await status(ehr, requests, token) == (401, "TOKEN_REPLAYED")


@pytest.mark.requirement("DX-CDS-02")
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "http://gateway/cds-services/dxmesh-order-sign"},
        {"aud": "http://gateway/fhir"},
        {"aud": None},
        {"aud": []},
        {"exp": int(time.time()) - HOUR, "iat": int(time.time()) - HOUR - 60},
        {"exp": int(time.time()) + 24 * HOUR},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": int(time.time()) + HOUR, "exp": int(time.time()) + HOUR + 60},
        {"iat": None},
        {"nbf": int(time.time()) + HOUR},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 300},
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(
    ehr: Any, requests: Any, changes: dict[str, Any]
) -> None:
    assert await status(ehr, requests, ehr.token(VIEW, **changes)) == (401, "BAD_TOKEN")


@pytest.mark.requirement("DX-CDS-02")
async def test_an_audience_may_be_one_of_several(ehr: Any, requests: Any) -> None:
    given = ["https://else.example", f"http://gateway/cds-services/{VIEW}"]
    assert await status(ehr, requests, ehr.token(VIEW, aud=given)) == (200, "")


@pytest.mark.requirement("DX-CDS-02")
async def test_an_issuer_nobody_configured_is_refused(ehr: Any, requests: Any) -> None:
    ehr.keys["https://evil.example"] = ehr.keys["https://ehr.example"]
    token = ehr.token(VIEW, "https://evil.example")
    del ehr.keys["https://evil.example"]
    assert await status(ehr, requests, token) == (401, "UNKNOWN_ISSUER")


@pytest.mark.requirement("DX-CDS-02")
async def test_one_issuers_key_does_not_sign_for_another(ehr: Any, requests: Any) -> None:
    token = ehr.token(VIEW, "https://south.example", iss="https://ehr.example")
    assert await status(ehr, requests, token) == (401, "BAD_TOKEN")


def signed(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"x") -> str:
    parts = [json.dumps(part).encode() for part in (header, claims)]
    return ".".join(base64.urlsafe_b64encode(p).decode().rstrip("=") for p in (*parts, signature))


@pytest.mark.requirement("DX-CDS-02")
async def test_algorithms_that_prove_nothing_are_refused(ehr: Any, requests: Any) -> None:
    _, claims, _ = ehr.token(VIEW).split(".")
    plain = json.loads(base64.urlsafe_b64decode(claims + "=="))
    unsigned = signed({"alg": "none"}, plain, b"")
    assert (await status(ehr, requests, unsigned))[0] == 401
    public = json.dumps(ehr.keys["https://ehr.example"].as_dict(private=False)).encode()
    from joserfc import jwt

    confused = jwt.encode({"alg": "HS256"}, plain, OctKey.import_key(public), algorithms=["HS256"])
    assert await status(ehr, requests, confused) == (401, "BAD_TOKEN")
    own = ECKey.generate_key("P-384")
    carried = {"alg": "ES384", "jwk": own.as_dict(private=False)}
    assert await status(ehr, requests, jwt.encode(carried, plain, own, algorithms=["ES384"])) == (
        401,
        "BAD_TOKEN",
    )


@pytest.mark.parametrize("header", ["", "Basic eDp5", "Bearer", "Bearer a.b", "Bearer a.b.c"])
async def test_what_is_no_jwt_is_refused(ehr: Any, requests: Any, header: str) -> None:
    answer = await ehr.http.post(
        f"/cds-services/{VIEW}", json=requests["view"](), headers={"Authorization": header}
    )
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers


async def test_a_gateway_without_clients_answers_nobody(
    world: Any, ehr: Any, requests: Any
) -> None:
    headers = {"Authorization": f"Bearer {ehr.token(VIEW)}"}
    answer = await world.http.post(
        f"/cds-services/{VIEW}", json=requests["view"](), headers=headers
    )
    assert answer.status_code == 401
    assert (await world.http.get("/cds-services")).status_code == 200


async def test_a_token_of_the_fhir_interface_is_no_good_here(ehr: Any, requests: Any) -> None:
    headers = ehr.world.bearer()
    answer = await ehr.http.post(f"/cds-services/{VIEW}", json=requests["view"](), headers=headers)
    assert answer.status_code == 401


async def test_there_is_no_such_service(ehr: Any, requests: Any) -> None:
    assert (await status(ehr, requests, ehr.token("other"), "other"))[0] == 404


@dataclass
class Site:
    """An address that serves a key set, or not."""

    document: Any
    status: int = 200
    asked: int = 0

    async def request(self, tenant: str, method: str, url: str, **more: Any) -> Answer:
        self.asked += 1
        if self.status == 0:
            raise Unavailable("away")
        return Answer(self.status, {}, json.dumps(self.document).encode())


@pytest.mark.requirement("DX-CDS-02")
async def test_keys_are_fetched_kept_and_fetched_anew_when_one_is_unknown() -> None:
    key = ECKey.generate_key("P-256", {"kid": "a"})
    site, now = Site({"keys": [key.as_dict(private=False)]}), [0.0]
    keys = ClientKeys(site, lambda: now[0])  # type: ignore[arg-type]  # stands for Outbound
    client = CdsClient("i", "north", jwks_url="https://ehr.example/jwks")
    for _ in range(3):
        assert [k.kid for k in (await keys.of(client, "a")).keys] == ["a"]
    assert site.asked == 1
    await keys.of(client, "b")
    assert site.asked == 1, "an unknown kid floods nobody"
    now[0] = AGAIN_S + 1
    await keys.of(client, "b")
    assert site.asked == 2
    now[0] += KEPT_S + 1
    site.status = 0
    assert await keys.of(client, "a"), "what is kept still holds while the address is away"


async def test_no_keys_no_answer() -> None:
    site = Site({"keys": []}, status=404)
    with pytest.raises(Unavailable):
        await ClientKeys(site).of(  # type: ignore[arg-type]  # stands for Outbound
            CdsClient("i", "north", jwks_url="https://ehr.example/jwks"), None
        )


@pytest.mark.requirement("DX-CDS-02")
def test_only_public_signature_keys_of_some_size_are_kept() -> None:
    good = RSAKey.generate_key(2048, {"kid": "good"})
    poor = [
        RSAKey.generate_key(1024, {"kid": "short"}).as_dict(private=False),
        OctKey.generate_key(256, {"kid": "shared"}).as_dict(private=True),
        ECKey.generate_key("P-256", {"kid": "private"}).as_dict(private=True),
        ECKey.generate_key("P-256", {"kid": "enc", "use": "enc"}).as_dict(private=False),
        {"kty": "RSA"},
        "x",
    ]
    found = clients.key_set({"keys": [*poor, good.as_dict(private=False)]})
    assert [key.kid for key in found.keys] == ["good"]
    for document in ({"keys": poor}, {"keys": 3}, [], None):
        with pytest.raises(InvalidInput):
            clients.key_set(document)


@pytest.mark.parametrize(
    "text",
    [
        "x = ",
        '[[clients]]\ntenant = "north"',
        '[[clients]]\niss = "i"\ntenant = "North!"\njwks_url = "https://a"',
        '[[clients]]\niss = "i"\ntenant = "north"',
        '[[clients]]\niss = "i"\ntenant = "north"\njwks = "{}"',
        '[[clients]]\niss = "i"\ntenant = "north"\njwks_url = "https://a"\nsecret = "x"',
        '[[clients]]\niss = "i"\ntenant = "north"\njwks_url = "https://a"\n' * 2,
    ],
)
def test_a_wrong_file_of_clients_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(BadSettings):
        clients.parse(text)


def test_an_issuer_may_serve_several_tenants() -> None:
    entry = '[[clients]]\niss = "i"\ntenant = "{}"\njwks_url = "https://a"\nehr_tenant = "{}"\n'
    known = clients.parse(entry.format("north", "a") + entry.format("south", "b"))
    for named, tenant in (("a", "north"), ("b", "south")):
        found = clients.find(known, "i", named)
        assert found
        assert found.tenant == tenant
    assert clients.find(known, "i", "c") is None
    assert clients.find(known, "i", "") is None


@pytest.mark.requirement("DX-CDS-02")
def test_an_address_of_keys_in_the_token_is_never_followed(cds_keys: dict[str, ECKey]) -> None:
    """A `jku` must be the configured address; with inline keys it means nothing."""
    url = "https://ehr.example/jwks"
    fetched = clients.parse(f'[[clients]]\niss = "i"\ntenant = "north"\njwks_url = "{url}"')
    inline = clients.parse(
        '[[clients]]\niss = "i"\ntenant = "north"\njwks = '
        + f"'{json.dumps({'keys': [cds_keys['https://ehr.example'].as_dict(private=False)]})}'"
    )
    for jku, refused in ((url, False), ("https://evil.example/jwks", True)):
        made = signed({"alg": "ES384", "jku": jku}, {"iss": "i"})
        assert token.issuer(made, inline).iss == "i"
        if refused:
            with pytest.raises(Unauthenticated):
                token.issuer(made, fetched)
        else:
            assert token.issuer(made, fetched).iss == "i"
