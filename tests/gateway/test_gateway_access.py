"""Nothing answers without a credential, and each role may do its own things alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.gateway.access import accounts
from services.gateway.access.passwords import ScryptHash
from services.gateway.routes import ENTRIES
from services.kernel.settings import BadSettings

OPEN = {"/healthz", "/sign-in"}


@pytest.mark.requirement("DX-GW-01")
@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if not e.open], ids=lambda e: f"{e.method} {e.path}"
)
async def test_no_route_answers_without_a_credential(world: Any, entry: Any) -> None:
    path = entry.path.replace("{type}", "Task").replace("{", "").replace("}", "")
    answer = await world.http.request(entry.method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.requirement("DX-GW-01")
async def test_unknown_address_and_method_need_a_credential_too(world: Any) -> None:
    assert (await world.http.get("/fhir/Nothing/1/2/3")).status_code == 401
    assert (await world.http.delete("/fhir/Task/1")).status_code == 401
    assert (await world.get("/nowhere")).status_code == 404
    answer = await world.http.delete("/fhir/Task/1/_history", headers=world.bearer())
    assert answer.status_code == 405
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.headers["allow"] == "GET, HEAD"
    answer = await world.http.post("/fhir/Task/1", headers=world.bearer())
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH, PUT")


async def test_health_and_sign_in_are_open_and_tell_nothing(world: Any) -> None:
    assert [e.path for e in ENTRIES if e.open] == ["/fhir/metadata"]
    assert (await world.http.get("/fhir/metadata")).status_code == 200
    assert (await world.http.get("/healthz")).json() == {"status": "ok"}
    page = await world.http.get("/sign-in", headers={"Accept-Language": "zh-CN"})
    assert page.status_code == 200 and "登录" in page.text


@pytest.mark.requirement("DX-GW-02")
@pytest.mark.parametrize(
    ("name", "method", "path", "allowed"),
    [
        ("ehr", "GET", "/fhir/Task", True),
        ("ehr", "GET", "/ops/cases", False),
        ("ehr", "GET", "/worklist", False),
        ("operator", "GET", "/ops/cases", True),
        ("operator", "GET", "/fhir/Task", False),
        ("operator", "POST", "/fhir", False),
        ("operator", "GET", "/ops/audit", False),
        ("auditor", "GET", "/ops/audit", True),
        ("auditor", "GET", "/fhir/DiagnosticReport", False),
        ("auditor", "GET", "/ops/cases", False),
        ("operator", "GET", "/fhir/metadata", True),
    ],
)
async def test_each_role_may_do_its_own_things(
    world: Any, name: str, method: str, path: str, allowed: bool
) -> None:
    answer = await world.http.request(method, path, headers=world.bearer(name))
    assert (answer.status_code == 403) is not allowed


async def test_wrong_token_is_refused(world: Any) -> None:
    for header in ("Bearer wrong", "Bearer", "Basic dXNlcjpwYXNz", "Bearer token-of-ehr x"):
        answer = await world.http.get("/fhir/Task", headers={"Authorization": header})
        assert answer.status_code == 401


@pytest.mark.requirement("DX-GW-03")
async def test_sign_in_sets_a_cookie_that_scripts_and_other_sites_cannot_use(world: Any) -> None:
    answer = await world.sign_in()
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303 and answer.headers["location"] == "/worklist"
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie
    assert (await world.http.get("/worklist")).status_code == 200


@pytest.mark.requirement("DX-GW-03")
async def test_a_name_must_wait_after_wrong_passwords(world: Any) -> None:
    codes = [(await world.sign_in(password="wrong")).status_code for _ in range(5)]
    assert codes == [401, 401, 401, 401, 429]
    right = await world.sign_in()
    assert right.status_code == 429 and int(right.headers["retry-after"]) >= 1
    assert (await world.sign_in("second")).status_code == 303


@pytest.mark.requirement("DX-GW-03")
async def test_tries_at_the_same_time_have_to_wait_as_well(world: Any) -> None:
    tries = await asyncio.gather(*(world.sign_in(password=f"wrong {n}") for n in range(12)))
    assert sum(one.status_code == 401 for one in tries) <= 5
    assert sum(one.status_code == 429 for one in tries) >= 7


async def test_unknown_name_is_answered_like_a_wrong_password(world: Any) -> None:
    known = await world.sign_in(password="wrong")
    unknown = await world.sign_in("nobody", "wrong")
    assert known.status_code == unknown.status_code == 401


@pytest.mark.requirement("DX-GW-03")
async def test_a_change_without_the_pages_token_is_refused(world: Any) -> None:
    await world.sign_in()
    answer = await world.http.post("/sign-out")
    assert answer.status_code == 403
    assert (await world.http.get("/worklist")).status_code == 200


async def test_sign_in_from_another_site_is_refused(world: Any) -> None:
    answer = await world.http.post(
        "/sign-in",
        data={"name": "reader", "password": "x"},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert answer.status_code == 403


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil", "x"])
async def test_sign_in_leads_to_no_other_site(world: Any, target: str) -> None:
    page = await world.http.get("/sign-in", params={"next": target})
    assert 'value="/worklist"' in page.text


async def test_a_person_without_a_session_is_led_to_sign_in(world: Any) -> None:
    answer = await world.http.get("/worklist", headers={"Accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=/worklist"


@pytest.mark.requirement("DX-GW-04")
async def test_every_answer_tells_the_browser_to_trust_our_own_files_alone(world: Any) -> None:
    for answer in (
        await world.http.get("/sign-in"),
        await world.get("/fhir/metadata"),
        await world.http.get("/static/page.css"),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "text",
    [
        "not toml [",
        '[[clients]]\nid = "a"\ntenant = "t"\nrole = "root"\ntoken_sha256 = "' + "0" * 64 + '"',
        '[[clients]]\nid = "a"\ntenant = "T!"\nrole = "ehr"\ntoken_sha256 = "' + "0" * 64 + '"',
        '[[clients]]\nid = "a"\ntenant = "t"\nrole = "ehr"\ntoken_sha256 = "secret"',
        '[[users]]\nname = "a"\ntenant = "t"\nrole = "physician"\npassword = "plain"',
    ],
)
def test_an_accounts_file_that_is_wrong_stops_the_start(text: str) -> None:
    with pytest.raises(BadSettings):
        accounts.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "scrypt$1024$8$1$c2FsdA==$aGFzaA==",
        "scrypt$4194304$64$1$c2FsdA==$aGFzaA==",
        "md5$16384$8$1$c2FsdA==$aGFzaA==",
    ],
)
def test_weak_or_costly_password_hashes_are_refused(text: str) -> None:
    with pytest.raises(BadSettings):
        ScryptHash.parse(text, "users[1]")


async def test_cookie_is_secure_over_https(world: Any) -> None:
    form = {"name": "reader", "password": "correct horse battery"}
    answer: httpx.Response = await world.http.post("https://gateway/sign-in", data=form)
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.requirement("DX-GW-03")
@pytest.mark.parametrize("address", ["/sign-in", "/language"])
async def test_what_anybody_may_send_is_limited(world: Any, address: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b"name="
        while sent < 8 << 20:
            sent += 1 << 14
            yield b"a" * (1 << 14)

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await world.http.post(address, content=endless(), headers=form)
    assert answer.status_code == 413
    assert sent < 1 << 20
    many = await world.http.post(address, content="a=1&" * 3000, headers=form)
    assert many.status_code == 400


@pytest.mark.requirement("DX-GW-03")
@pytest.mark.parametrize("address", ["/sign-in", "/language"])
async def test_files_are_not_taken_with_a_form(world: Any, address: str) -> None:
    answer = await world.http.post(address, files={"name": ("a.bin", b"a" * 100)})
    assert answer.status_code == 415
