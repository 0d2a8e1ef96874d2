"""The viewer of a page in a browser: images to see, and what is read of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.gateway.dicomweb import slides
from tests.gateway.dicomweb.images import SERIES, STUDY, content, hold, made

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


MEASURED = """async () => {
  const { lengthOf } = await import("/static/viewer/marks.js");
  const c = document.getElementById("viewer-image");
  const scale = Math.min(c.width, c.height) / devicePixelRatio / 128;
  const from = [0.4 * c.width / devicePixelRatio / scale, 0];
  const till = [0.6 * c.width / devicePixelRatio / scale, 0];
  return parseFloat(lengthOf(from, till, [0.7, 0.7]));
}"""


async def lay(site: Any) -> None:
    """Give the case a slide, and the heat map that the mesh made of it."""
    setting, world = site.setting, site.world
    levels = [slides.level(1, slides.SIDE), slides.level(2, slides.SIDE // 4)]
    await hold(world, setting, [levels], commit=False)
    name, uid = f"{setting.CASE_ID}.dicom", f"{slides.HEAT}.1"
    file = content(slides.heat())
    await world.gateway.archive._made.put("north", name, f"{STUDY}/{slides.HEAT}/{uid}.dcm", file)
    await setting.compose(world, setting.sample_report())
