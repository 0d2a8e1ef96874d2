"""The SMART app inside an EHR's frame, in a real Chromium: another site's page around ours.

Two sites (127.0.0.1 and localhost), both https, with third-party cookies blocked as browsers
do it by default or soon will: only a partitioned cookie survives there.
"""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "output"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--test-third-party-cookie-phaseout"]
EHRS = """
[[ehrs]]
name = "north-ehr"
tenant = "north"
issuer = "{issuer}"
client_id = "dxmesh"
ca_file = "tls.crt"
frame_ancestors = ["{ancestor}"]

[ehrs.physicians]
allow = ["urn:test:staff|*"]
"""


def load(name: str, path: Path) -> Any:
    """Return a module of tests/gateway; tests of one folder cannot import another's by name."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@dataclass
class Hospital:
    """The EHR and the gateway, both serving."""

    ehr: Any
    gateway_url: str
    world: Any
    setting: Any
    loop: asyncio.AbstractEventLoop

    def do(self, work: Any) -> Any:
        """Run something in the servers' loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def framed(self, patient: str = "p-1") -> str:
        """Return the address of an EHR page that shows dxmesh in a frame."""
        asked = urlencode({"iss": self.ehr.url, "launch": self.ehr.launch(patient)})
        src = f"{self.gateway_url}/ehr/launch?{asked}"
        return f"{self.ehr.origin}/frame?{urlencode({'src': src})}"


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """Serve both in a thread."""
    folder = tmp_path_factory.mktemp("hospital")
    load("gateway_fakes", ROOT / "gateway" / "fakes.py")
    setting = load("gateway_world", ROOT / "gateway" / "world.py")
    load("gateway_fake_fhir", ROOT / "gateway" / "ehr" / "fake_fhir.py")
    fake = load("gateway_fake_ehr", ROOT / "gateway" / "ehr" / "fake_ehr.py")
    charts = load("gateway_fake_chart", ROOT / "gateway" / "ehr" / "fake_chart.py")
    charts.certificate(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        from services.gateway import app, server
        from services.gateway.ehr import opening

        ehr = fake.FakeEhr(clients={"dxmesh": {}})
        ehr.put(*charts.chart("p-1"), *charts.chart("p-2", "Wu Fictional"))
        ehr.put(setting.PATIENT)  # whom the composed report is about
        staff = [{"system": "urn:test:staff", "value": "7"}]
        name = [{"text": "Dr Sun (fictional)"}]
        ehr.put({"resourceType": "Practitioner", "id": "dr-1", "identifier": staff, "name": name})
        async with fake.serve(ehr, tls=folder), setting.open_world(folder) as world:
            (folder / "ehrs.toml").write_text(EHRS.format(issuer=ehr.url, ancestor=ehr.origin))
            settings = replace(
                world.gateway.settings,
                http_listen=f"127.0.0.1:{port}",
                http_tls_dir=folder,
                public_url=f"https://localhost:{port}",
            )
            ehrs = await opening.open_ehrs(folder / "ehrs.toml")
            world.gateway = replace(world.gateway, settings=settings, ehrs=ehrs)
            task = asyncio.create_task(server.run(server.make(app.make(world.gateway), settings)))
            found.update(world=world, ehr=ehr, loop=asyncio.get_running_loop())
            found["stop"] = asyncio.Event()
            await asyncio.sleep(0.5)
            ready.set()
            await found["stop"].wait()
            task.cancel()
            await asyncio.wait([task])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    url = f"https://localhost:{port}"
    yield Hospital(found["ehr"], url, found["world"], setting, found["loop"])
    found["loop"].call_soon_threadsafe(found["stop"].set)
    thread.join(15)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium that blocks third-party cookies."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=path, args=FLAGS, headless=True)
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    """A fresh browser profile; the certificates are the test's own."""
    made = browser.new_context(
        ignore_https_errors=True, viewport={"width": 1280, "height": 800}, locale="en-GB"
    )
    yield made
    made.close()


def app_in(page: Any) -> Any:
    """Return the frame that shows dxmesh."""
    page.wait_for_selector("#app")
    return page.frame_locator("#app")


def shoot(page: Any, name: str) -> None:
    OUTPUT.mkdir(exist_ok=True)
    page.screenshot(path=OUTPUT / f"{name}.png")


@pytest.mark.requirement("DX-EHR-12")
def test_a_case_from_launch_to_the_signed_report_inside_the_frame(
    hospital: Hospital, context: Any
) -> None:
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if _is_ours(m) else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(hospital.framed())
    inside = app_in(page)
    inside.locator(".patient").get_by_text("Zhang Fictional").wait_for()
    shoot(page, "ehr_worklist")
    inside.get_by_role("link", name="Submit a case").click()
    inside.get_by_text("Potassium").wait_for()
    shoot(page, "ehr_submit")
    inside.get_by_role("button", name="Submit for analysis").click()
    inside.get_by_text("The analysis is not finished").wait_for()
    case_id = hospital.do(_only_case(hospital))
    ref = hospital.setting.case_ref(case_id)
    hospital.do(hospital.setting.compose(hospital.world, hospital.setting.sample_report(), ref=ref))
    inside.locator("#review").wait_for()
    inside.locator("#main").focus()
    for _ in range(inside.locator(".finding").count()):
        page.keyboard.press("n")
        page.keyboard.press("a")
    inside.locator("#saved time").wait_for()
    shoot(page, "ehr_case")
    inside.get_by_role("button", name="Sign the report").click()
    inside.get_by_text("On its way to the EHR").wait_for()
    hospital.do(_write(hospital))
    inside.get_by_role("link", name="dxmesh").click()
    inside.get_by_text("In the EHR").wait_for()
    shoot(page, "ehr_written")
    (report,) = hospital.ehr.of("DiagnosticReport")
    assert report["status"] == "final" and report["subject"]["reference"] == "Patient/p-1"
    assert problems == []


def _is_ours(message: Any) -> bool:
    return message.type == "error" and "favicon" not in message.location["url"]


async def _only_case(hospital: Hospital) -> str:
    (case,) = await hospital.world.gateway.store.cases.latest("north")
    return str(case.case_id)


async def _write(hospital: Hospital) -> None:
    from services.gateway.ehr.writeback import WriteBack

    assert await WriteBack(hospital.world.gateway).step()


@pytest.mark.requirement("DX-EHR-12")
def test_two_patients_side_by_side_stay_apart(hospital: Hospital, context: Any) -> None:
    first, second = context.new_page(), context.new_page()
    first.goto(hospital.framed("p-1"))
    app_in(first).locator(".patient").get_by_text("Zhang Fictional").wait_for()
    second.goto(hospital.framed("p-2"))
    app_in(second).locator(".patient").get_by_text("Wu Fictional").wait_for()
    app_in(first).get_by_role("link", name="Signed").click()
    app_in(first).locator(".patient").get_by_text("Zhang Fictional").wait_for()
    app_in(second).get_by_role("button", name="中文").click()
    app_in(second).locator(".patient").get_by_text("Wu Fictional").wait_for()
    app_in(second).get_by_text("提交病例").wait_for()
    shoot(second, "ehr_worklist_zh")


@pytest.mark.requirement("DX-EHR-12")
def test_another_site_cannot_frame_the_pages(hospital: Hospital, context: Any) -> None:
    """A page of a third origin around the same launch shows nothing of it."""
    page = context.new_page()
    page.goto(hospital.framed())
    app_in(page).locator(".patient").get_by_text("Zhang Fictional").wait_for()
    root = next(f.url for f in page.frames if "/ehr/" in f.url)
    foreign = hospital.ehr.origin.replace("127.0.0.1", "localhost")
    for target in (root, f"{hospital.gateway_url}/sign-in"):
        page.goto(f"{foreign}/frame?{urlencode({'src': target})}")
        page.wait_for_timeout(500)
        assert page.frames[1].url.startswith("chrome-error://"), target


@pytest.mark.requirement("DX-EHR-12")
def test_in_a_window_of_its_own(hospital: Hospital, context: Any) -> None:
    page = context.new_page()
    asked = urlencode({"iss": hospital.ehr.url, "launch": hospital.ehr.launch()})
    page.goto(f"{hospital.gateway_url}/ehr/launch?{asked}")
    page.locator(".patient").get_by_text("Zhang Fictional").wait_for()


@pytest.mark.requirement("DX-EHR-12")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_pages_are_accessible(hospital: Hospital, browser: Any, language: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    locale = "zh-CN" if language == "zh" else "en-GB"
    context = browser.new_context(ignore_https_errors=True, locale=locale)
    page = context.new_page()
    asked = urlencode({"iss": hospital.ehr.url, "launch": hospital.ehr.launch()})
    page.goto(f"{hospital.gateway_url}/ehr/launch?{asked}")
    root = page.url.removesuffix("/worklist")
    for path in ("/worklist", "/submit", "/cases/none"):
        page.goto(f"{root}{path}")
        found = axe.Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag22aa"]})
        assert found.response["violations"] == [], path
    context.close()
