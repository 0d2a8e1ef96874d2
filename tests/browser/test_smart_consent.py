"""A physician lets an app in, in a real Chromium: sign-in, picker, consent, and back to the app."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import orjson
import pytest

VERIFIER = "v" * 64
SCOPE = (
    "openid fhirUser launch/patient offline_access patient/Patient.rs user/Observation.cu "
    "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category"
    "|laboratory"
)
PATIENTS = (
    {"resourceType": "Patient", "id": "p-1", "name": [{"text": "Zhang Fictional"}],
     "birthDate": "1964-03-15", "gender": "male", "identifier": [{"value": "MRN-7431"}]},
    {"resourceType": "Patient", "id": "p-2", "name": [{"text": "王虚构"}],
     "birthDate": "1980-01-01", "gender": "female", "identifier": [{"value": "MRN-9000"}]},
)  # fmt: skip


class _App(BaseHTTPRequestHandler):
    """An app's own site: a page for the answer, and one that frames what it is asked to."""

    def do_GET(self) -> None:
        query = dict(parse_qsl(urlsplit(self.path).query))
        frame = f'<iframe src="{query["frame"]}"></iframe>' if "frame" in query else ""
        content = f"<!doctype html><title>app</title><link rel=icon href=data:,>{frame}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def app_site() -> Iterator[str]:
    """An app's own site, on another port and so of another origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def asked(site: Any, app_site: str) -> dict[str, str]:
    """An authorization request of an app that is registered."""

    async def fill() -> None:
        async with site.world.gateway.store.resources.writing("north") as writing:
            for patient in PATIENTS:
                await writing.save(orjson.dumps(patient))

    site.do(fill())
    client = {"name": "Growth chart", "scope": SCOPE, "redirect_uris": [f"{app_site}/callback"]}
    made = httpx.post(f"{site.url}/ops/clients", json=client, headers=site.world.bearer("operator"))
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    return {
        "response_type": "code",
        "client_id": made.json()["client_id"],
        "redirect_uri": f"{app_site}/callback",
        "scope": SCOPE,
        "state": "state-1",
        "aud": f"{site.url}/fhir",
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }


def shot(page: Any, name: str) -> None:
    """Keep a picture where the environment says so."""
    if folder := os.environ.get("DX_TEST_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.requirement("DX-SMT-11")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_physician_lets_an_app_in_with_the_keyboard_alone(
    site: Any, open_page: Callable[..., Any], asked: dict[str, str], language: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag22aa"]}
    page = open_page(language, sign_in=False)
    page.goto(f"/smart/authorize?{urlencode(asked)}")
    page.fill("#name", "reader")
    page.fill("#password", site.setting.PASSWORD)
    page.press("#password", "Enter")
    page.wait_for_selector("#q")
    shot(page, f"picker-{language}")
    assert axe.run(page, options=options).violations_count == 0
    page.keyboard.type("zhang")
    page.keyboard.press("Enter")
    # Not wait_for_function: what it polls is evaluated, and the page's policy forbids that.
    page.locator(".choices li").nth(1).wait_for(state="detached")
    assert page.locator(".choices li").count() == 1
    page.focus(".choices button")
    page.keyboard.press("Enter")
    page.wait_for_selector("button[value=approve]")
    shot(page, f"consent-{language}")
    report = axe.run(page, options=options)
    assert report.violations_count == 0, report.generate_report()
    page.get_by_role("button", name="中文" if language == "en" else "English").click()
    page.wait_for_selector("#q")
    page.get_by_role("button", name="Zhang Fictional").click()
    page.wait_for_selector("button[value=approve]")
    page.uncheck("input[value='user/Observation.cu']")
    page.focus("button[value=approve]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/callback?**")
    answer = dict(parse_qsl(urlsplit(page.url).query))
    assert answer["state"] == "state-1" and answer["iss"] == site.url
    # The app is a page: it may ask for its token from its own origin.
    form = urlencode(
        {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": asked["redirect_uri"],
            "client_id": asked["client_id"],
            "code_verifier": VERIFIER,
        }
    )
    tokens = page.evaluate(
        """async ([url, form]) => (await fetch(url, {method: "POST", body: form,
           headers: {"Content-Type": "application/x-www-form-urlencoded"}})).json()""",
        [f"{site.url}/smart/token", form],
    )
    assert tokens["patient"] == "p-1" and "user/Observation.cu" not in tokens["scope"].split()


@pytest.mark.requirement("DX-SMT-11")
def test_the_consent_page_is_not_shown_in_another_sites_frame(
    open_page: Callable[..., Any], asked: dict[str, str], site: Any, app_site: str
) -> None:
    page = open_page("en")
    framed = f"{site.url}/smart/authorize?{urlencode(asked)}"
    page.goto(f"{app_site}/?{urlencode({'frame': framed})}")
    page.wait_for_load_state("networkidle")
    frames = [frame for frame in page.frames if frame is not page.main_frame]
    assert frames and all("decide" not in frame.content() for frame in frames)
    open_page.problems.clear()  # type: ignore[attr-defined]  # the refusal, which is meant


@pytest.mark.requirement("DX-SMT-11")
def test_a_refusal_leads_back_to_the_app_too(
    open_page: Callable[..., Any], asked: dict[str, str]
) -> None:
    page = open_page("en")
    page.goto(f"/smart/authorize?{urlencode(asked)}")
    page.click("button[value=deny]")
    page.wait_for_url("**/callback?**")
    assert dict(parse_qsl(urlsplit(page.url).query))["error"] == "access_denied"


@pytest.mark.requirement("DX-SMT-10")
def test_an_error_found_after_sign_in_reaches_the_app(
    site: Any, open_page: Callable[..., Any], asked: dict[str, str]
) -> None:
    """A browser follows no answer of a form to another origin: the sign-in form must not be one."""
    client = {"name": "Chart", "scope": "launch openid", "redirect_uris": [asked["redirect_uri"]]}
    operator = site.world.bearer("operator")
    made = httpx.post(f"{site.url}/ops/clients", json=client, headers=operator).json()
    request = asked | {"client_id": made["client_id"], "scope": "launch openid", "launch": "old"}
    page = open_page("en", sign_in=False)
    page.goto(f"/smart/authorize?{urlencode(request)}")
    page.fill("#name", "reader")
    page.fill("#password", site.setting.PASSWORD)
    page.press("#password", "Enter")
    page.wait_for_url("**/callback?**")
    assert dict(parse_qsl(urlsplit(page.url).query))["error"] == "invalid_request"
