"""Series as files: damaged ones, archives that are none, and real ones."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pydicom
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    JPEGLosslessSV1,
)

from services.imaging.series import refusals
from services.imaging.series.assemble import Facts, assemble
from services.imaging.series.volume import Volume

READABLE = pytest.mark.requirement("DX-IMG-01")
REFUSED = pytest.mark.requirement("DX-IMG-02")


def read(phantom: ModuleType, datasets: list[Any]) -> Volume:
    return assemble(phantom.archive(datasets), Facts())


def refusal(phantom: ModuleType, datasets: list[Any]) -> refusals.SeriesRefused:
    with pytest.raises(refusals.SeriesRefused) as caught:
        read(phantom, datasets)
    assert caught.value.retry_after_s is None
    return caught.value


@REFUSED
@settings(max_examples=40, deadline=None)
@example(cut=563, flip=0, value=0)
@example(cut=564, flip=0, value=0)
@given(cut=st.integers(0, 4000), flip=st.integers(0, 4000), value=st.integers(0, 255))
def test_damaged_files_are_refused_and_nothing_crashes(
    phantom: ModuleType, cut: int, flip: int, value: int
) -> None:
    files = [phantom.written(one) for one in phantom.blank(slices=11)]
    spoilt = bytearray(files[5])
    spoilt[flip % len(spoilt)] = value
    files[5] = bytes(spoilt[: len(spoilt) - cut % len(spoilt)])
    try:
        assemble(phantom.archive(files), Facts())
    except refusals.SeriesRefused as error:
        assert error.reason


@REFUSED
@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all"])
def test_archive_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(refusals.DamagedSeries):
        assemble(content, Facts())


@REFUSED
def test_head_ct_with_tilt_is_refused(phantom: ModuleType, head_files: list[bytes]) -> None:
    facts = Facts()
    with pytest.raises(refusals.GantryTilt) as caught:
        assemble(phantom.archive(head_files), facts)
    assert caught.value.facts == {"degrees": "18.5"}
    assert (facts.modality, facts.slices) == ("CT", 28)


@READABLE
def test_lidc_idri_0001_is_read(lidc_archive: bytes) -> None:
    facts = Facts()
    volume = assemble(lidc_archive, facts)
    assert volume.hu.shape == (133, 512, 512)
    assert volume.spacing_mm == pytest.approx((2.5, 0.703125, 0.703125))
    assert volume.affine[2, 3] == -340.0
    assert (facts.slices, facts.modality) == (133, "CT")
    assert volume.hu.min() == -1024


@READABLE
def test_jpeg_lossless_gives_the_same_numbers(phantom: ModuleType, tmp_path: Path) -> None:
    gdcm = pytest.importorskip("gdcm")
    files = []
    for number, one in enumerate(phantom.blank(slices=11)):
        source, target = tmp_path / f"{number}.dcm", tmp_path / f"{number}-lossless.dcm"
        source.write_bytes(phantom.written(one))
        reader = gdcm.ImageReader()
        reader.SetFileName(str(source))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(target))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        files.append(target.read_bytes())
    assert (
        pydicom.dcmread(tmp_path / "3-lossless.dcm").file_meta.TransferSyntaxUID == JPEGLosslessSV1
    )
    volume = assemble(phantom.archive(files), Facts())
    assert volume.hu[:, 0, 0].tolist() == [index * 10 for index in range(11)]
