"""The viewer in a real Chromium: stacks, radiographs, slides; what a physician draws on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gateway.dicomweb import slides
from tests.gateway.dicomweb.images import SERIES, STUDY, content, hold, made

pytestmark = pytest.mark.browser

OUTPUT = Path(__file__).parents[1] / "output"
DX = f"{STUDY}.8"
SLICES = 12


def ball(number: int) -> np.ndarray:
    """Return a slice of a chest: two dark lungs, and a bright ball around slice 7."""
    y, x = np.mgrid[0:128, 0:128]
    body = ((x - 64) / 60) ** 2 + ((y - 64) / 50) ** 2 < 1
    lungs = (((x - 38) / 20) ** 2 + ((y - 64) / 34) ** 2 < 1) | (
        ((x - 90) / 20) ** 2 + ((y - 64) / 34) ** 2 < 1
    )
    hu = np.where(lungs, -800, np.where(body, 40, -1000))
    radius = max(0, 36 - 9 * (number - 7) ** 2) ** 0.5
    hu = np.where((x - 40) ** 2 + (y - 60) ** 2 < radius**2, 60, hu)
    return (hu + 1024).astype(np.int16)


def located(bundle: dict[str, Any], identity: Any) -> dict[str, Any]:
    """Return the sample report with its first two findings on our CT."""
    analysed = {true: uid for uid, true in identity.uids.items()}
    number = 0
    for entry in bundle["entry"]:
        for extension in entry["resource"].get("extension", []):
            if not extension["url"].endswith("image-location"):
                continue
            number += 1
            slice_number = 7 if number == 1 else 3
            for part in extension["extension"]:
                if part["url"] == "seriesUid":
                    part["valueUri"] = f"urn:oid:{analysed[SERIES]}"
                elif part["url"] == "sopInstanceUid":
                    part["valueUri"] = f"urn:oid:{analysed[f'{SERIES}.{slice_number}']}"
                elif part["url"].endswith("SliceIndex"):
                    part["valueInteger"] = slice_number - 1
        for extension in entry["resource"].get("extension", []):
            if extension["url"].endswith("pixel-box"):
                edges = {"left": 32, "top": 52, "right": 49, "bottom": 69}
                for part in extension["extension"]:
                    if part["url"] in edges:
                        part["valueInteger"] = edges[part["url"]]
    return bundle


async def fill(site: Any, language: str = "en") -> None:
    setting, world = site.setting, site.world
    chest = [made(n, array=ball(n), SeriesDescription="CHEST LUNG") for n in range(SLICES, 0, -1)]
    wrist = made(
        1, series=DX, modality="DX", sop_class="1.2.840.10008.5.1.4.1.1.1.1", SeriesNumber=9,
        SeriesDescription="WRIST", array=ball(7)[:96], RescaleIntercept=0, WindowCenter=1000,
        WindowWidth=2000, PixelSpacing=[0.2, 0.2],
    )  # fmt: skip
    identity = await hold(world, setting, [chest, [wrist]], commit=False)
    await setting.compose(world, located(setting.sample_report(language), identity))


def view(site: Any, page: Any) -> None:
    page.goto(f"/cases/{site.setting.CASE_ID}")
    page.wait_for_selector("#review")
    page.keyboard.press("v")
    page.wait_for_selector("#viewer[data-ready]")


def ready(page: Any, index: int, series: str = SERIES) -> None:
    page.wait_for_selector(f"#viewer[data-ready='{series}/{index}']")


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag between two places of the image, as shares of the stage."""
    box = page.locator("#viewer-image").bounding_box()
    page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=4)
    page.mouse.up()


def grey(page: Any, x: float, y: float) -> int:
    """Return the shade at a place of the image, as a share of the stage."""
    return colour(page, x, y)[0]


def colour(page: Any, x: float, y: float) -> list[int]:
    """Return the colour there."""
    script = """([x, y]) => {
      const c = document.getElementById("viewer-image");
      const one = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
      one.drawImage(c, -Math.floor(x * c.width), -Math.floor(y * c.height));
      return [...one.getImageData(0, 0, 1, 1).data];
    }"""
    return list(page.evaluate(script, [x, y]))


def shoot(page: Any, name: str) -> None:
    OUTPUT.mkdir(exist_ok=True)
    page.screenshot(path=OUTPUT / f"{name}.png")


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


MEASURED = """async () => {
  const { lengthOf } = await import("/static/viewer/marks.js");
  const c = document.getElementById("viewer-image");
  const scale = Math.min(c.width, c.height) / devicePixelRatio / 128;
  const from = [0.4 * c.width / devicePixelRatio / scale, 0];
  const till = [0.6 * c.width / devicePixelRatio / scale, 0];
  return parseFloat(lengthOf(from, till, [0.7, 0.7]));
}"""


@pytest.mark.requirement("DX-VIE-06")
def test_a_radiograph_is_shown_and_a_missed_fracture_added(
    site: Any, open_page: Callable[..., Any]
) -> None:
    site.do(fill(site))
    page = open_page()
    view(site, page)
    page.select_option("#viewer-series", "1")
    ready(page, 0, DX)
    assert page.locator(".slices").is_hidden()
    page.click("[data-tool=ellipse]")
    drag(page, (0.4, 0.3), (0.55, 0.5))
    assert page.locator("#added-list li").count() == 1
    assert page.input_value("#added-1-kind") == "fracture"
    shoot(page, "viewer_radiograph")


async def lay(site: Any) -> None:
    """Give the case a slide, and the heat map that the mesh made of it."""
    setting, world = site.setting, site.world
    levels = [slides.level(1, slides.SIDE), slides.level(2, slides.SIDE // 4)]
    await hold(world, setting, [levels], commit=False)
    name, uid = f"{setting.CASE_ID}.dicom", f"{slides.HEAT}.1"
    file = content(slides.heat())
    await world.gateway.archive._made.put("north", name, f"{STUDY}/{slides.HEAT}/{uid}.dcm", file)
    await setting.compose(world, setting.sample_report())


@pytest.mark.requirement("DX-VIE-07")
def test_a_slide_is_shown_tile_by_tile_under_its_heat_map(
    site: Any, open_page: Callable[..., Any]
) -> None:
    site.do(lay(site))
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    view(site, page)
    page.wait_for_selector("#viewer[data-overlays][data-tiles='0']", timeout=30_000)
    shoot(page, "viewer_slide")
    warm = colour(page, 0.6, 0.75)
    page.click("#overlay")
    cool = colour(page, 0.6, 0.75)
    assert abs(cool[0] - 150) < 12 and warm[0] > cool[0] + 20, (warm, cool)
    red, green = colour(page, 0.4, 0.25), colour(page, 0.6, 0.25)
    assert red[0] > 150 > red[1] and green[1] > 150 > green[0]
    tiles = {url for url in asked if "/pictures/" in url}
    asked.clear()
    page.locator("#viewer-image").focus()
    for _ in range(12):
        page.keyboard.press("+")
    page.wait_for_selector("#viewer[data-tiles='0']", timeout=30_000)
    near = {url for url in asked if "/pictures/" in url} - tiles
    assert len(tiles) < 90 and len(near) < 30, "only what is seen is fetched"
    page.click("[data-tool=measure]")
    drag(page, (0.3, 0.5), (0.5, 0.5))
    shoot(page, "viewer_slide_near")


@pytest.mark.requirement("DX-VIE-08")
@pytest.mark.requirement("DX-VIE-10")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_drawn_becomes_feedback_in_the_models_own_uids(
    site: Any, open_page: Callable[..., Any], language: str
) -> None:
    site.do(fill(site, language))
    page = open_page(language)
    view(site, page)
    ready(page, 6)
    page.locator("#finding-1 [data-move]").click()
    drag(page, (0.3, 0.3), (0.4, 0.45))
    assert page.locator("#finding-1 .moved").is_visible()
    assert page.locator("#finding-1 .edit input").is_checked()
    page.keyboard.press("b")  # by keyboard alone
    for key in ("Enter", "ArrowRight", "Shift+ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.fill("#added-1-text", "missed by the models")
    page.wait_for_timeout(900)
    page.locator("#saved time").wait_for()
    shoot(page, f"viewer_review_{language}")
    page.reload()
    page.wait_for_selector("#review")
    assert page.input_value("#added-1-text") == "missed by the models"
    for number in range(2, page.locator(".finding[data-finding]").count() + 1):
        page.locator(f"#finding-{number} .agree").click()
    assert page.locator(".sign .open.ready").count() == 1
    page.fill("#password", site.setting.PASSWORD)
    page.click("#sign-button")
    page.wait_for_selector("#amend")
    (request,) = site.world.peers.signatures
    uids = site.world.peers.identities[site.setting.CASE_ID].uids
    moved, (new,) = request.verdicts[0].marking, request.added
    assert uids[moved.sop_instance_uid] == f"{SERIES}.7" and moved.shape == 1
    assert uids[new.marking.series_instance_uid] == SERIES and new.text == "missed by the models"
    assert 0 <= new.marking.left < new.marking.right <= 128
    signed = site.do(site.world.get("/fhir/Observation?code=urn:dxmesh:added-finding|"))
    (observation,) = [entry["resource"] for entry in signed.json()["entry"]]
    assert observation["valueString"] == "missed by the models"
    place = json.dumps(observation["extension"])
    assert f"urn:oid:{SERIES}.7" in place and "2.25." not in place


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
