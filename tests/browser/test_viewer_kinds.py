"""Radiographs and slides in the viewer, and what is drawn there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.viewing import (
    DX,
    colour,
    drag,
    fill,
    lay,
    ready,
    shoot,
    view,
)
from tests.gateway.dicomweb.images import SERIES

pytestmark = pytest.mark.browser


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
