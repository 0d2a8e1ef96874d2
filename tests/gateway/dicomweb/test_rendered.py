"""Pictures of frames: windowed as asked for, scaled, in the type the client takes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from services.gateway.dicomweb import pictures
from tests.gateway.dicomweb.conftest import OF_SERIES, OF_STUDY, parts
from tests.gateway.dicomweb.images import SERIES, colour, hold, jpeg_ls, made, pixels

ONE = f"{OF_SERIES}/instances/{SERIES}.1"


def grey(answer: Any) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("L")).astype(int)


@pytest.mark.requirement("DX-DWB-12")
async def test_a_frame_is_drawn_in_its_window(held: Any) -> None:
    png = await held.get(f"{ONE}/rendered", accept="image/png")
    assert png.headers["content-type"] == "image/png"
    assert {"Accept", "Authorization", "Cookie"} <= set(png.headers["vary"].split(", "))
    shown, hu = grey(png), pixels(1) - 1024
    expected = np.clip(np.rint(((hu + 600.5) / 1499 + 0.5) * 255), 0, 255)
    assert shown.shape == (32, 24) and np.abs(shown - expected).max() <= 1
    bone = await held.get(f"{ONE}/rendered?window=300,1500,linear", accept="image/png")
    assert grey(bone)[5, 5] == 0 and grey(bone)[0, 0] == 243, "977 HU in 300 ± 750"
    jpeg = await held.get(f"{ONE}/frames/1/rendered?viewport=12,64&quality=80")
    assert jpeg.headers["content-type"] == "image/jpeg" and grey(jpeg).shape == (16, 12)
    part = await held.get(f"{ONE}/rendered?viewport=10,10,4,4,5,5", accept="image/png")
    assert grey(part).shape == (10, 10)
    for wrong in ("window=1", "window=1,0", "window=a,b", "viewport=0,5", "viewport=1,2,3",
                  "quality=0", "viewport=99999,1"):  # fmt: skip
        assert (await held.get(f"{ONE}/rendered?{wrong}")).status_code == 400, wrong
    assert (await held.get(f"{ONE}/rendered", accept="image/gif")).status_code == 406
    assert (await held.get(f"{ONE}/frames/2/rendered")).status_code == 404


@pytest.mark.requirement("DX-DWB-12")
async def test_series_are_drawn_and_thumbnails_are_small(held: Any) -> None:
    answer = await held.get(f"{OF_SERIES}/rendered", accept="multipart/related; type=image/png")
    found = parts(answer)
    assert len(found) == 3 and {head["content-type"] for head, _ in found} == {"image/png"}
    for path in (OF_STUDY, OF_SERIES, ONE, f"{ONE}/frames/1"):
        thumbnail = await held.get(f"{path}/thumbnail", accept="image/jpeg, */*")
        assert max(grey(thumbnail).shape) == 128, path


@pytest.mark.requirement("DX-DWB-12")
async def test_colour_compressed_and_inverted_frames_are_drawn(world: Any, setting: Any) -> None:
    inverted = made(3, PhotometricInterpretation="MONOCHROME1")
    await hold(world, setting, [[colour(1, 2), jpeg_ls(2), inverted]])
    frame = await world.get(f"{ONE}/frames/2/rendered", accept="image/png")
    assert Image.open(io.BytesIO(frame.content)).getpixel((3, 3)) == (2, 4, 253)
    plain = made(2)
    drawn = grey(await world.get(f"{OF_SERIES}/instances/{SERIES}.2/rendered", accept="image/png"))
    view = pictures.View()
    same = pictures.one_frame(plain, "1.2.840.10008.1.2.1", plain.PixelData, 1)
    assert np.array_equal(drawn, np.asarray(Image.open(io.BytesIO(
        pictures.draw(same, view, "image/png")))))  # fmt: skip
    other = grey(await world.get(f"{OF_SERIES}/instances/{SERIES}.3/rendered", accept="image/png"))
    assert other[0, 0] == 0 and drawn[0, 0] == 255
