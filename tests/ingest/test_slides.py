"""TIFF and SVS slides become DICOM at the door; de-identification and the reading take them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from services.anonymization.instance import Deidentifier
from services.anonymization.pseudonyms import Pseudonyms
from services.imaging.pathology.slides.dicom import open_dicom
from services.ingest import slides
from services.ingest.elements import UnusableInstance
from services.kernel.crypto import KeyedHash
from tests.imaging import slide_phantom

STUDY = "1.2.3.4"
LABEL = "Zhao Tiezhu MRN0042917"


def picture(rows: int, columns: int) -> Any:
    generator = np.random.default_rng(3)
    smooth = generator.integers(60, 250, (rows // 32 + 1, columns // 32 + 1, 3))
    return np.kron(smooth, np.ones((32, 32, 1)))[:rows, :columns].astype(np.uint8)


def svs(path: Path, mpp: str = "MPP = 0.25|", **more: Any) -> Path:
    """Write an SVS as Aperio does: levels, then a label and a macro picture in strips."""
    whole = picture(600, 900)
    with tifffile.TiffWriter(path) as file:
        text = f"Aperio Image Library\n|AppMag = 40|{mpp}Patient = {LABEL}"
        options: dict[str, Any] = {"tile": (256, 256), "photometric": "rgb", "description": text}
        for by in (1, 4):
            file.write(whole[::by, ::by], **options | more)
        file.write(picture(200, 300), description=f"label {LABEL}", photometric="rgb")
    return path


def converted(path: Path) -> list[bytes]:
    content = path.read_bytes()
    made = slides.instances(io.BytesIO(content), "0" * 64, STUDY)
    return [b"".join(pieces) for pieces in made]


@pytest.mark.requirement("DX-RCV-07")
def test_every_pixel_of_every_level_arrives_and_nothing_else_of_the_file(tmp_path: Path) -> None:
    levels = converted(svs(tmp_path / "slide.svs"))
    assert len(levels) == 2
    for number, content in enumerate(levels):
        (tmp_path / f"{number}.dcm").write_bytes(content)
        assert b"Zhao" not in content and b"MRN" not in content
    slide = open_dicom([tmp_path / "0.dcm", tmp_path / "1.dcm"])
    try:
        whole = slide.region(0, 0, 0, 900, 600)
        assert np.array_equal(whole, picture(600, 900))
        assert slide.mpp == pytest.approx(0.25)
        assert [(one.width_px, one.height_px) for one in slide.levels] == [(900, 600), (225, 150)]
    finally:
        slide.close()


@pytest.mark.requirement("DX-RCV-07")
@pytest.mark.parametrize("levels_below", [False, True])
def test_a_picture_of_the_glass_is_left_out_though_it_is_tiled_and_of_the_slides_shape(
    tmp_path: Path, levels_below: bool
) -> None:
    whole, path = picture(600, 900), tmp_path / "slide.svs"
    options: dict[str, Any] = {"tile": (256, 256), "photometric": "rgb"}
    with tifffile.TiffWriter(path) as file:
        text = "Aperio Image Library\r\n|MPP = 0.25"
        file.write(whole, description=text, subifds=int(levels_below), **options)
        file.write(whole[::4, ::4], **options)
        said = "" if levels_below else "Aperio Image Library v12\r\nmacro 300x200"
        file.write(picture(200, 300), description=said, **options)
    sizes = [pydicom.dcmread(io.BytesIO(each)) for each in converted(path)]
    assert [(s.TotalPixelMatrixColumns) for s in sizes] == [900, 225]


@pytest.mark.requirement("DX-RCV-07")
def test_jpeg_tiles_are_not_coded_anew(tmp_path: Path) -> None:
    whole = slide_phantom.pyramid(slide_phantom.tissue(512, 512), 2)
    levels = [slide_phantom.picture_level(each, description=b"MPP = 0.5") for each in whole]
    path = slide_phantom.write_tiff(tmp_path / "jpeg.svs", levels)
    made = converted(path)
    dataset = pydicom.dcmread(io.BytesIO(made[0]))
    assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.JPEGBaseline8Bit
    for number, content in enumerate(made):
        (tmp_path / f"{number}.dcm").write_bytes(content)
    ours = open_dicom([tmp_path / "0.dcm", tmp_path / "1.dcm"])
    try:
        for level in range(2):
            wanted = Image.open(io.BytesIO(levels[level].tile(0, 0))).convert("RGB")
            assert np.array_equal(ours.region(level, 0, 0, 256, 256), np.asarray(wanted))
    finally:
        ours.close()


@pytest.mark.requirement("DX-RCV-07")
def test_a_converted_slide_is_deidentified_and_still_opens(tmp_path: Path) -> None:
    made = Deidentifier(Pseudonyms(KeyedHash(b"k" * 32), "subject"))
    paths = []
    for number, content in enumerate(converted(svs(tmp_path / "slide.svs"))):
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(made.instance(content))
    slide = open_dicom(paths)
    try:
        assert slide.region(0, 0, 0, 64, 64).shape == (64, 64, 3)
    finally:
        slide.close()


@pytest.mark.requirement("DX-RCV-07")
@pytest.mark.parametrize(
    ("reason", "more"),
    [
        ("SLIDE_WITHOUT_SCALE", {"mpp": ""}),
        ("NOT_A_SLIDE", {"tile": None}),
        ("SLIDE_COMPRESSION", {"compression": "deflate", "predictor": True}),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(
    tmp_path: Path, reason: str, more: dict[str, Any]
) -> None:
    with pytest.raises(UnusableInstance) as refused:
        converted(svs(tmp_path / "slide.svs", **more))
    assert refused.value.reason == reason


@pytest.mark.requirement("DX-RCV-07")
def test_focal_planes_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "planes.tif") as file:
        for _ in range(3):
            file.write(
                picture(300, 300), tile=(256, 256), photometric="rgb", description="MPP = 0.25"
            )
    with pytest.raises(UnusableInstance) as refused:
        converted(tmp_path / "planes.tif")
    assert refused.value.reason == "FOCAL_PLANES"


@pytest.mark.requirement("DX-RCV-07")
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_slide_is_refused_and_never_crashes(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "whole.svs"
    content = bytearray((path if path.exists() else svs(path)).read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(8, len(content) - 1)) :]
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, min(len(content), 4096) - 1))] = data.draw(
            st.integers(0, 255)
        )
    try:
        for pieces in slides.instances(io.BytesIO(bytes(content)), "0" * 64, STUDY):
            for _ in pieces:
                pass
    except UnusableInstance as error:
        assert "Zhao" not in error.message


@pytest.mark.requirement("DX-RCV-07")
async def test_a_slide_is_stored_by_level_and_one_without_a_study_is_refused(
    sqlite_world: Any, tmp_path: Path
) -> None:
    async def upload_slide(content: bytes, study: str) -> Any:
        return await sqlite_world.upload(content, "image/tiff", study=study)

    content = svs(tmp_path / "slide.svs").read_bytes()
    answer = await upload_slide(content, STUDY)
    assert [s.study_instance_uid for s in answer.stored] == [STUDY] * 2
    again = await upload_slide(content, STUDY)
    assert all(s.duplicate for s in again.stored)
    refused = await upload_slide(content, "")
    assert [p.reason for p in refused.problems] == ["STUDY_NOT_NAMED"]
