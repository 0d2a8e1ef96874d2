"""The viewer in a real Chromium: stacks, radiographs, slides; what a physician draws on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.viewing import (
    MEASURED,
    SLICES,
    drag,
    fill,
    grey,
    ready,
    shoot,
    view,
)
from tests.gateway.dicomweb.images import SERIES

pytestmark = pytest.mark.browser


@pytest.mark.requirement("DX-VIE-01")
@pytest.mark.requirement("DX-VIE-02")
@pytest.mark.requirement("DX-VIE-04")
def test_the_stack_scrolls_in_its_windows_and_jumps_to_findings(
    site: Any, open_page: Callable[..., Any]
) -> None:
    site.do(fill(site))
    page = open_page()
    view(site, page)
    ready(page, 6)  # the first finding's slice
    assert page.inner_text("#viewer-place").startswith(f"7 / {SLICES} · C -600 W 1500")
    shoot(page, "viewer_stack")
    page.locator("#viewer-image").focus()
    page.keyboard.press("ArrowUp")
    ready(page, 7)
    page.keyboard.press("PageDown")
    ready(page, 0)
    page.keyboard.press("End")
    ready(page, SLICES - 1)
    page.mouse.wheel(0, 120)
    page.locator("#viewer-image").hover()
    page.mouse.wheel(0, 120)
    page.wait_for_selector(f"#viewer[data-ready='{SERIES}/{SLICES - 2}']")
    page.keyboard.press("Escape")
    page.locator("#finding-2 h3").click()
    ready(page, 2)
    page.locator("#finding-1 h3").click()
    ready(page, 6)
    shades = {}
    for name in ("lung", "mediastinum", "brain", "bone"):
        page.select_option("#viewer-window", name)
        shades[name] = grey(page, 0.5, 0.5)
    assert shades["lung"] > 230 and 100 < shades["mediastinum"] < 160 and shades["bone"] < 90
    page.select_option("#viewer-window", "lung")
    page.keyboard.press("]")
    assert page.input_value("#viewer-window") == "mediastinum"
    page.click("[data-tool=window]")
    drag(page, (0.4, 0.4), (0.6, 0.4))
    assert "C 40" in page.inner_text("#viewer-place")
    assert "W 400" not in page.inner_text("#viewer-place")


@pytest.mark.requirement("DX-VIE-03")
@pytest.mark.requirement("DX-VIE-05")
def test_zoom_pan_measure_overlay_and_large(site: Any, open_page: Callable[..., Any]) -> None:
    site.do(fill(site))
    page = open_page()
    view(site, page)
    ready(page, 6)
    with_marks = page.locator("#viewer-image").screenshot()
    page.click("#overlay")
    assert page.locator("#viewer-image").screenshot() != with_marks
    page.click("#overlay")
    before = page.inner_text("#viewer-place")
    page.locator("#viewer-image").focus()
    page.keyboard.press("+")
    assert page.inner_text("#viewer-place") != before
    page.keyboard.press("0")
    assert page.inner_text("#viewer-place") == before
    page.click("[data-tool=measure]")
    drag(page, (0.4, 0.5), (0.6, 0.5))
    share = "e => [e.width / devicePixelRatio, e.height / devicePixelRatio]"
    wide, high = page.eval_on_selector("#viewer-image", share)
    scale = min(wide / 128, high / 128)
    expected = 0.2 * wide / scale * 0.7
    shown = page.evaluate(MEASURED)
    assert abs(shown - expected) < 1.0, (shown, expected)
    page.keyboard.press("f")
    box = page.locator("#viewer").bounding_box()
    assert (box["width"], box["height"]) == (1280, 800)
    shoot(page, "viewer_large")
    page.keyboard.press("f")
    page.keyboard.press("v")
    assert page.locator("#viewer").is_hidden() and page.locator("#image-0").is_visible()


@pytest.mark.requirement("DX-VIE-11")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_viewer_breaks_no_accessibility_rule(
    site: Any, open_page: Callable[..., Any], language: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    site.do(fill(site, language))
    page = open_page(language)
    view(site, page)
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
    result = axe.run(page, options=options)
    assert result.violations_count == 0, result.generate_report()
