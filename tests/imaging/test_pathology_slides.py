"""Slides from DICOM: every pixel in its place, bounded memory, typed refusals."""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import JPEG2000, MPEG2MPML, JPEGBaseline8Bit

from services.imaging.pathology.slides import open_dicom
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

pytestmark = pytest.mark.requirement("DX-IMG-80")


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


def changed(path: Path, **values: Any) -> Path:
    """Return a file like that at `path` with other elements; None leaves one out."""
    dataset = pydicom.dcmread(path)
    for name, value in values.items():
        if name == "TransferSyntaxUID":
            dataset.file_meta.TransferSyntaxUID = value
        elif value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    other = path.with_name("changed.dcm")
    dataset.save_as(other)
    return other


def near(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether pictures are the same but for JPEG."""
    return bool(np.abs(one.astype(int) - other.astype(int)).mean() < 8)


def test_region_across_tiles_and_edges(slides: ModuleType, tmp_path: Path) -> None:
    picture = slides.tissue(600, 900)
    slide = open_dicom(slides.write_dicom(tmp_path, slides.pyramid(picture), mpp=0.252))
    assert [(level.width_px, level.height_px) for level in slide.levels] == [
        (900, 600), (450, 300), (225, 150),
    ]  # fmt: skip
    assert slide.mpp == pytest.approx(0.252)
    assert near(slide.region(0, 200, 130, 400, 300), picture[130:430, 200:600])
    assert near(slide.region(1, 0, 0, 450, 300), slides.pyramid(picture)[1])
    beyond = slide.region(0, 850, 550, 100, 100)
    assert near(beyond[:50, :50], picture[550:, 850:])
    assert (beyond[50:] == 255).all() and (beyond[:, 50:] == 255).all()
    assert (slide.region(0, 5000, 5000, 10, 10) == 255).all()
    assert slide.finest_for(0.4) == 0 and slide.finest_for(0.5) == 1


@pytest.mark.parametrize("compression", ["jpeg2000", "rgb-jpeg"])
def test_compressions(slides: ModuleType, tmp_path: Path, compression: str) -> None:
    def coded(tile: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        if compression == "jpeg2000":
            Image.fromarray(tile).save(buffer, "JPEG2000", no_jp2=True)
            return buffer.getvalue()
        # Components are red, green and blue, and the JPEG does not say so.
        Image.fromarray(tile, "YCbCr").save(buffer, "JPEG", quality=95)
        return buffer.getvalue().replace(b"JFIF", b"XXXX")

    picture = slides.tissue(256, 256)
    syntax = JPEG2000 if compression == "jpeg2000" else JPEGBaseline8Bit
    coding = slides.Coding(coded, syntax, "RGB")
    slide = open_dicom(slides.write_dicom(tmp_path, [picture], coding=coding))
    assert near(slide.region(0, 0, 0, 256, 256), picture)


@pytest.mark.parametrize("table", ["basic", "extended", "none", "native"])
def test_full_tiling_of_dicom(slides: ModuleType, tmp_path: Path, table: str) -> None:
    picture = slides.tissue(600, 700)
    paths = slides.write_dicom(tmp_path, slides.pyramid(picture), table=table, organ="39607008")
    slide = open_dicom(paths)
    assert len(slide.levels) == 3 and slide.mpp == pytest.approx(0.25)
    assert slide.organ == "39607008" and all(level.sop_uid for level in slide.levels)
    assert near(slide.region(0, 100, 100, 500, 400), picture[100:500, 100:600])
    slide.close()


def test_sparse_tiling_leaves_glass_white(slides: ModuleType, tmp_path: Path) -> None:
    picture = np.full((768, 768, 3), 255, np.uint8)
    picture[256:512, 512:] = slides.tissue(256, 256)
    (path,) = slides.write_dicom(tmp_path, [picture], kind="sparse")
    slide = open_dicom([path])
    assert near(slide.region(0, 0, 0, 768, 768), picture)


def test_concatenation_is_one_level(slides: ModuleType, tmp_path: Path) -> None:
    picture = slides.tissue(600, 700)
    slide = open_dicom(slides.write_dicom(tmp_path, [picture], concatenated=3)[::-1])
    assert len(slide.levels) == 1
    assert near(slide.region(0, 0, 0, 700, 600), picture)


@pytest.mark.requirement("DX-IMG-81")
def test_focal_planes_are_refused(slides: ModuleType, tmp_path: Path) -> None:
    picture = slides.tissue(300, 300)
    with pytest.raises(FocalPlanes) as caught:
        open_dicom(slides.write_dicom(tmp_path, [picture], planes=3))
    assert caught.value.facts["planes"] == "3"


@pytest.mark.requirement("DX-IMG-81")
def test_what_is_no_slide_is_refused(slides: ModuleType, tmp_path: Path) -> None:
    picture = slides.tissue(300, 300)
    (path,) = slides.write_dicom(tmp_path, [picture])
    for reason, values in (
        (NotASlide, {"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]}),
        (MissingScale, {"SharedFunctionalGroupsSequence": None}),
        (UnsupportedSlideCompression, {"TransferSyntaxUID": MPEG2MPML}),
        (UnsuitableSlidePixels, {"PhotometricInterpretation": "MONOCHROME2"}),
    ):
        with pytest.raises(reason):
            open_dicom([changed(path, **values)])
    first, second = tmp_path / "one", tmp_path / "two"
    first.mkdir(), second.mkdir()
    both = slides.write_dicom(first, [picture]) + slides.write_dicom(second, [picture])
    with pytest.raises(MixedSlides):
        open_dicom(both)


@pytest.mark.requirement("DX-IMG-81")
def test_absurd_sizes_are_refused_before_memory_is_asked_for(
    slides: ModuleType, tmp_path: Path
) -> None:
    (path,) = slides.write_dicom(tmp_path, [slides.tissue(16, 16)], side=16)
    for width, side in ((1 << 31, 1 << 15), ((1 << 20) - 1, 16), (300, (1 << 16) - 1)):
        matrix = {"TotalPixelMatrixColumns": width, "TotalPixelMatrixRows": width}
        with pytest.raises(SlideTooLarge):
            open_dicom([changed(path, Rows=side, Columns=side, **matrix)])


@pytest.mark.requirement("DX-IMG-81")
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_are_refused_not_crashed_on(
    slides: ModuleType, tmp_path: Path, data: st.DataObject
) -> None:
    whole_file = tmp_path / "0-0.dcm"
    if not whole_file.is_file():
        slides.write_dicom(tmp_path, [slides.tissue(300, 300)], kind="sparse")
    raw = bytearray(whole_file.read_bytes())
    # The header is a small share of the file: half of the changes go there.
    for _ in range(data.draw(st.integers(1, 6))):
        whole = data.draw(st.booleans())
        at = data.draw(st.integers(0, len(raw) - 1) if whole else st.integers(0, 1500))
        raw[at] = data.draw(st.integers(0, 255))
    if data.draw(st.integers(0, 3)) == 0:
        raw = raw[: data.draw(st.integers(0, len(raw)))]
    path = tmp_path / "m.dcm"
    path.write_bytes(bytes(raw))
    try:
        slide = open_dicom([path])
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
    slide = open_dicom(slides.write_dicom(tmp_path, [picture]))
    for row in range(4):
        slide.region(0, 0, row * 256, 1024, 256)
        assert slide._kept_bytes <= 4 * 256 * 256 * 3


def test_tile_of_another_size_is_damage(slides: ModuleType, tmp_path: Path) -> None:
    content = slides.jpeg(slides.tissue(64, 64))
    coding = slides.Coding(lambda tile: content)
    slide = open_dicom(slides.write_dicom(tmp_path, [slides.tissue(256, 256)], coding=coding))
    with pytest.raises(DamagedSlide):
        slide.region(0, 0, 0, 10, 10)
