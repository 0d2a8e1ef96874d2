"""Slides from TIFF, SVS and DICOM: every pixel in its place, bounded memory, typed refusals."""

from __future__ import annotations

import importlib.util
import io
import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from services.imaging.pathology.slides import Slide, open_slide
from services.imaging.pathology.slides import slide as slide_module
from services.imaging.pathology.slides.refusals import (
    DamagedSlide,
    FocalPlanes,
    MissingScale,
    MixedSlides,
    NotASlide,
    SlideTooLarge,
    UnsuitableSlidePixels,
    UnsupportedSlideCompression,
)
from services.imaging.series.refusals import SeriesRefused
from services.imaging.series.sources import SlideFiles

pytestmark = pytest.mark.requirement("DX-IMG-80")
SVS = b"Aperio Image Library\nAppMag = 40|MPP = 0.2520|Left = 1"


@pytest.fixture(scope="session")
def slides() -> ModuleType:
    """The module slide_phantom.py; tests of one folder cannot import from another by name."""
    name = "imaging_slide_phantom"
    if name not in sys.modules:
        path = Path(__file__).parent / "slide_phantom.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def opened(path: Path) -> Slide:
    return open_slide(SlideFiles(paths=(path,), format="tiff"))


def opened_dicom(paths: list[Path]) -> Slide:
    return open_slide(SlideFiles(paths=tuple(paths), format="dicom"))


def near(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether pictures are the same but for JPEG."""
    return bool(np.abs(one.astype(int) - other.astype(int)).mean() < 8)


def test_region_across_tiles_and_edges_of_a_tiff(slides: ModuleType, tmp_path: Path) -> None:
    picture = slides.tissue(600, 900)
    levels = [slides.picture_level(one, description=SVS) for one in slides.pyramid(picture)]
    slide = opened(slides.write_tiff(tmp_path / "a.svs", levels))
    assert [(level.width_px, level.height_px) for level in slide.levels] == [
        (900, 600), (450, 300), (225, 150),
    ]  # fmt: skip
    assert slide.mpp == 0.252
    assert near(slide.region(0, 200, 130, 400, 300), picture[130:430, 200:600])
    assert near(slide.region(1, 0, 0, 450, 300), slides.pyramid(picture)[1])
    beyond = slide.region(0, 850, 550, 100, 100)
    assert near(beyond[:50, :50], picture[550:, 850:])
    assert (beyond[50:] == 255).all() and (beyond[:, 50:] == 255).all()
    assert (slide.region(0, 5000, 5000, 10, 10) == 255).all()
    assert slide.finest_for(0.4) == 0 and slide.finest_for(0.5) == 1


@pytest.mark.parametrize(
    "compression", ["none", "deflate", "lzw", "jpeg2000", "rgb-jpeg", "tables"]
)
def test_compressions_of_tiff(slides: ModuleType, tmp_path: Path, compression: str) -> None:
    picture = slides.tissue(256, 256)
    buffer = io.BytesIO()
    number, photometric, tables = 1, 2, b""
    content = picture.tobytes()
    if compression == "deflate":
        import zlib

        number, content = 8, zlib.compress(content)
    elif compression == "lzw":
        Image.fromarray(picture).save(buffer, "TIFF", compression="tiff_lzw", tiffinfo={278: 256})
        stored = Image.open(buffer)
        strips = zip(stored.tag_v2[273], stored.tag_v2[279], strict=True)
        pieces = [buffer.getvalue()[at : at + length] for at, length in strips]
        if len(pieces) > 1:
            pytest.skip("this Pillow writes several strips")
        number, content = 5, pieces[0]
    elif compression == "jpeg2000":
        Image.fromarray(picture).save(buffer, "JPEG2000", no_jp2=True)
        number, content = 33005, buffer.getvalue()
    elif compression == "rgb-jpeg":
        # Components are red, green and blue, and the JPEG does not say so (Aperio).
        Image.fromarray(picture, "YCbCr").save(buffer, "JPEG", quality=95)
        number, content = 7, buffer.getvalue().replace(b"JFIF", b"XXXX")
    elif compression == "tables":
        whole = slides.jpeg(picture)
        scan = whole.index(b"\xff\xc0")
        number, photometric = 7, 6
        tables, content = whole[:scan] + b"\xff\xd9", b"\xff\xd8" + whole[scan:]
    level = slides.TiffLevel(256, 256, 256, lambda c, r: content, number, photometric, tables, SVS)
    slide = opened(slides.write_tiff(tmp_path / "a.tif", [level]))
    assert near(slide.region(0, 0, 0, 256, 256), picture)


@pytest.mark.parametrize("table", ["basic", "extended", "none", "native"])
def test_full_tiling_of_dicom(slides: ModuleType, tmp_path: Path, table: str) -> None:
    picture = slides.tissue(600, 700)
    paths = slides.write_dicom(tmp_path, slides.pyramid(picture), table=table, organ="39607008")
    slide = opened_dicom(paths)
    assert len(slide.levels) == 3 and slide.mpp == pytest.approx(0.25)
    assert slide.organ == "39607008" and all(level.sop_uid for level in slide.levels)
    assert near(slide.region(0, 100, 100, 500, 400), picture[100:500, 100:600])
    slide.close()


def test_sparse_tiling_leaves_glass_white(slides: ModuleType, tmp_path: Path) -> None:
    picture = np.full((768, 768, 3), 255, np.uint8)
    picture[256:512, 512:] = slides.tissue(256, 256)
    (path,) = slides.write_dicom(tmp_path, [picture], kind="sparse")
    slide = opened_dicom([path])
    assert near(slide.region(0, 0, 0, 768, 768), picture)


def test_concatenation_is_one_level(slides: ModuleType, tmp_path: Path) -> None:
    picture = slides.tissue(600, 700)
    slide = opened_dicom(slides.write_dicom(tmp_path, [picture], concatenated=3)[::-1])
    assert len(slide.levels) == 1
    assert near(slide.region(0, 0, 0, 700, 600), picture)


@pytest.mark.requirement("DX-IMG-81")
def test_focal_planes_are_refused(slides: ModuleType, tmp_path: Path) -> None:
    picture = slides.tissue(300, 300)
    with pytest.raises(FocalPlanes) as caught:
        opened_dicom(slides.write_dicom(tmp_path, [picture], planes=3))
    assert caught.value.facts["planes"] == "3"
    twice = [slides.picture_level(picture, description=SVS)] * 2
    with pytest.raises(FocalPlanes):
        opened(slides.write_tiff(tmp_path / "a.tif", twice))


@pytest.mark.requirement("DX-IMG-81")
def test_what_is_no_slide_is_refused(slides: ModuleType, tmp_path: Path) -> None:
    picture = slides.tissue(300, 300)
    jpeg = tmp_path / "picture.jpg"
    jpeg.write_bytes(slides.jpeg(picture))
    with pytest.raises(NotASlide):
        opened(jpeg)
    Image.fromarray(picture).save(tmp_path / "strips.tif")
    with pytest.raises(NotASlide):
        opened(tmp_path / "strips.tif")
    with pytest.raises(MissingScale):
        opened(slides.write_tiff(tmp_path / "b.tif", [slides.picture_level(picture)]))
    odd = slides.picture_level(picture, compression=34887, description=SVS)
    with pytest.raises(UnsupportedSlideCompression):
        opened(slides.write_tiff(tmp_path / "c.tif", [odd]))
    grey = slides.picture_level(picture, photometric=1, description=SVS)
    with pytest.raises(UnsuitableSlidePixels):
        opened(slides.write_tiff(tmp_path / "d.tif", [grey]))
    first, second = tmp_path / "one", tmp_path / "two"
    first.mkdir(), second.mkdir()
    both = slides.write_dicom(first, [picture]) + slides.write_dicom(second, [picture])
    with pytest.raises(MixedSlides):
        opened_dicom(both)


@pytest.mark.requirement("DX-IMG-81")
def test_absurd_sizes_are_refused_before_memory_is_asked_for(
    slides: ModuleType, tmp_path: Path
) -> None:
    content = slides.jpeg(slides.tissue(16, 16))
    for width, side in ((1 << 31, 1 << 15), ((1 << 20) - 1, 16), (300, 1 << 30)):
        level = slides.TiffLevel(width, width, side, lambda c, r: content, description=SVS)
        path = tmp_path / "a.tif"
        level.width, level.height, level.side = 256, 256, 256
        slides.write_tiff(path, [level])
        raw = path.read_bytes()
        for tag, old, new in (
            (256, 256, width),
            (257, 256, width),
            (322, 256, side),
            (323, 256, side),
        ):
            raw = raw.replace(
                struct.pack("<HHQQ", tag, 4, 1, old), struct.pack("<HHQQ", tag, 4, 1, new)
            )
        path.write_bytes(raw)
        with pytest.raises(SlideTooLarge):
            opened(path)


@pytest.mark.requirement("DX-IMG-81")
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_are_refused_not_crashed_on(
    slides: ModuleType, tmp_path: Path, data: st.DataObject
) -> None:
    source = tmp_path / "whole.tif"
    if not source.is_file():
        picture = slides.tissue(300, 300)
        slides.write_tiff(source, [slides.picture_level(picture, description=SVS)])
        slides.write_dicom(tmp_path, [picture], kind="sparse")
    tiff = data.draw(st.booleans())
    raw = bytearray((source if tiff else tmp_path / "0-0.dcm").read_bytes())
    # Headers are a small share of the file: half of the changes go there.
    low = len(raw) - 500 if tiff else 0
    high = len(raw) - 1 if tiff else 1500
    for _ in range(data.draw(st.integers(1, 6))):
        whole = data.draw(st.booleans())
        at = data.draw(st.integers(0, len(raw) - 1) if whole else st.integers(low, high))
        raw[at] = data.draw(st.integers(0, 255))
    if data.draw(st.integers(0, 3)) == 0:
        raw = raw[: data.draw(st.integers(0, len(raw)))]
    path = tmp_path / ("m.tif" if tiff else "m.dcm")
    path.write_bytes(bytes(raw))
    try:
        slide = opened(path) if tiff else opened_dicom([path])
    except SeriesRefused:
        return
    try:
        assert slide.region(0, 0, 0, 300, 300).shape == (300, 300, 3)
    except SeriesRefused:
        pass
    finally:
        slide.close()


def test_only_a_bounded_number_of_tiles_is_kept(
    slides: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slide_module, "CACHE_BYTES", 4 * 256 * 256 * 3)
    picture = slides.tissue(1024, 1024)
    slide = opened(
        slides.write_tiff(tmp_path / "a.tif", [slides.picture_level(picture, description=SVS)])
    )
    for row in range(4):
        slide.region(0, 0, row * 256, 1024, 256)
        assert slide._kept_bytes <= 4 * 256 * 256 * 3


def test_tile_of_another_size_is_damage(slides: ModuleType, tmp_path: Path) -> None:
    content = slides.jpeg(slides.tissue(64, 64))
    level = slides.TiffLevel(256, 256, 256, lambda c, r: content, description=SVS)
    slide = opened(slides.write_tiff(tmp_path / "a.tif", [level]))
    with pytest.raises(DamagedSlide):
        slide.region(0, 0, 0, 10, 10)
