"""A critical result in a real Chromium: first in the list, read with the keyboard alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dxmesh.event.v1.case_ref_pb2 import LANGUAGE_EN, LANGUAGE_ZH

pytestmark = pytest.mark.browser

OUTPUT = Path(__file__).parents[1] / "output"
WORDS = {
    "en": ("unread 0 min", "I have read these 2", "read by Dr reader (fictional)"),
    "zh": ("危急值未确认 0 分钟", "以上 2 项我已获知", "Dr reader (fictional) 已获知"),
}


def give(site: Any, language: str) -> None:
    """Tell two critical results of a case without a report, beside a case with one."""
    setting, telling = site.setting, sys.modules["gateway_telling"]
    number = LANGUAGE_ZH if language == "zh" else LANGUAGE_EN
    ready = setting.case_ref("case-ready", number)
    site.do(setting.compose(site.world, setting.sample_report(language), ref=ready))

    async def tell() -> None:
        glucose = telling.potassium("1.9", "lab-2")
        glucose.display_en, glucose.display_zh, glucose.effective_time = "Glucose", "葡萄糖", ""
        low = telling.high("lab-2")
        low.direction, low.limit = 1, "2.6"
        await telling.tell(
            site.world,
            setting,
            ref=setting.case_ref(language=number),
            results=[telling.potassium(), glucose],
            told=[telling.high(), low],
        )

    site.do(tell())


def shoot(page: Any, name: str) -> None:
    OUTPUT.mkdir(exist_ok=True)
    page.screenshot(path=OUTPUT / f"{name}.png")


@pytest.mark.requirement("DX-CRI-06")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_is_read_with_the_keyboard_alone(
    site: Any, open_page: Callable[..., Any], language: str
) -> None:
    give(site, language)
    page = open_page(language)
    unread, button, read = WORDS[language]
    first = page.locator(".worklist tbody tr").first
    assert unread in first.inner_text()
    shoot(page, f"critical_worklist_{language}")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("#critical.open")
    shoot(page, f"critical_case_{language}")
    assert page.locator(".acknowledge").inner_text() == button
    while page.evaluate("document.activeElement.className") != "acknowledge":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#critical:not(.open)")
    assert read in page.inner_text("#critical")
    shoot(page, f"critical_read_{language}")
    page.goto("/worklist")
    assert unread not in page.inner_text(".worklist tbody")


@pytest.mark.requirement("DX-CRI-06")
def test_the_page_of_a_report_begins_with_it(site: Any, open_page: Callable[..., Any]) -> None:
    give(site, "en")
    site.do(site.setting.compose(site.world, site.setting.sample_report()))
    page = open_page()
    page.goto(f"/cases/{site.setting.CASE_ID}")
    page.wait_for_selector("#review")
    assert page.evaluate("document.querySelector('main > section').id") == "critical"
    shoot(page, "critical_report_en")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag22aa"]}
    for path in (f"/cases/{site.setting.CASE_ID}", "/worklist"):
        page.goto(path)
        assert axe.run(page, options=options).violations_count == 0
    page.goto(f"/cases/{site.setting.CASE_ID}")
    page.fill("#comment", "kept")
    page.locator("#saved time").wait_for()
    page.click(".acknowledge")
    page.wait_for_selector("#critical:not(.open)")
    assert page.input_value("#comment") == "kept"
