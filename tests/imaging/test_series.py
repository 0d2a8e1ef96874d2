"""A series becomes one volume in patient space, or is refused with the numbers that show why."""

from __future__ import annotations

import copy
import random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
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


@READABLE
def test_slices_are_ordered_by_where_they_lie(phantom: ModuleType) -> None:
    datasets = phantom.blank()
    for number, one in enumerate(datasets):
        one.InstanceNumber = 99 - number
    random.Random(3).shuffle(datasets)
    volume = read(phantom, datasets)
    assert volume.hu.dtype == np.int16
    assert volume.hu[:, 0, 0].tolist() == [index * 10 for index in range(14)]
    assert volume.sop_uids[0] == "2.25.9000"
    assert volume.spacing_mm == pytest.approx((2.5, 0.8, 0.8))
    assert volume.to_patient(np.array([2.0, 3.0, 4.0])) == pytest.approx([3.2, 2.4, 5.0])


@READABLE
@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(14)))
def test_file_order_never_matters(phantom: ModuleType, order: list[int]) -> None:
    datasets = phantom.blank()
    volume = read(phantom, [datasets[number] for number in order])
    assert volume.hu[:, 0, 0].tolist() == [index * 10 for index in range(14)]


@READABLE
def test_prone_series_keeps_its_pixels_and_its_place(phantom: ModuleType) -> None:
    datasets = phantom.blank()
    for one in datasets:
        one.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
    volume = read(phantom, datasets)
    assert volume.hu[:, 0, 0].tolist() == [index * 10 for index in range(14)]
    assert volume.to_patient(np.array([0.0, 1.0, 2.0])) == pytest.approx([-1.6, -0.8, 0.0])


@READABLE
@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        JPEGLSLossless,
        JPEG2000Lossless,
        RLELossless,
    ],
)
def test_every_lossless_coding_gives_the_same_numbers(phantom: ModuleType, syntax: Any) -> None:
    datasets = phantom.blank(slices=11, side=64)
    for one in datasets:
        if syntax.is_compressed:
            one.compress(syntax, generate_instance_uid=False)
        else:
            values = np.frombuffer(one.PixelData, "<i2")
            order = "<i2" if syntax.is_little_endian else ">i2"
            one.PixelData = values.astype(order).tobytes()
            one.file_meta.TransferSyntaxUID = syntax
    assert read(phantom, datasets).hu[:, 0, 0].tolist() == [index * 10 for index in range(11)]


@READABLE
def test_stored_values_of_any_width_and_sign_become_hu(phantom: ModuleType) -> None:
    for bits, signed, value in ((12, 0, 600), (12, 1, 55), (16, 0, 700), (16, 1, -90)):
        datasets = phantom.blank(slices=11)
        for one in datasets:
            one.BitsStored, one.HighBit, one.PixelRepresentation = bits, bits - 1, signed
            one.RescaleSlope, one.RescaleIntercept = "0.5", "-150"
            word = (value & ((1 << bits) - 1)) | (0xF000 if bits == 12 else 0)  # an old overlay
            pixels = np.full((16, 16), word, np.uint16)
            pixels[-1] = 1 << (bits - 1) if signed else 0  # as low as it goes: air
            one.PixelData = pixels.tobytes()
        hu = read(phantom, datasets).hu
        assert hu[0, 0, 0] == max(round(value * 0.5 - 150), -1024)


@READABLE
def test_padding_is_air_and_monochrome1_is_not_inverted(phantom: ModuleType) -> None:
    datasets = phantom.blank(slices=11)
    for one in datasets:
        one.PhotometricInterpretation = "MONOCHROME1"
        one.add_new("PixelPaddingValue", "SS", -1500)
        values = np.frombuffer(one.PixelData, np.int16).copy()
        values[:5] = -1500
        one.RescaleIntercept = -900
        one.PixelData = values.tobytes()
    hu = read(phantom, datasets).hu
    assert hu[0, 0, :5].tolist() == [-1024] * 5
    assert hu[0, 0, 5] == 1024 - 900


@READABLE
def test_overview_image_among_slices_is_left_aside(phantom: ModuleType) -> None:
    datasets = phantom.blank()
    datasets[3].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    datasets[3].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    error = refusal(phantom, datasets)
    assert (error.reason, error.facts["missing"]) == ("MISSING_SLICES", "1")
    assert len(read(phantom, [*phantom.blank(), _localiser(phantom)]).hu) == 14


def _localiser(phantom: ModuleType) -> Any:
    one = phantom.blank(slices=1)[0]
    one.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    one.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    return one


def _set(name: str, value: Any, *, only: int | None = None) -> Any:
    def change(datasets: list[Any]) -> list[Any]:
        for one in datasets if only is None else [datasets[only]]:
            setattr(one, name, value)
        return datasets

    return change


def _without(name: str) -> Any:
    def change(datasets: list[Any]) -> list[Any]:
        for one in datasets:
            delattr(one, name)
        return datasets

    return change


def _tilted(datasets: list[Any]) -> list[Any]:
    for one in datasets:
        one.ImageOrientationPatient = [1, 0, 0, 0, 0.9483237, -0.3173047]
    return datasets


def _sheared(datasets: list[Any]) -> list[Any]:
    for index, one in enumerate(datasets):
        one.ImagePositionPatient = [0, index * 0.8, one.ImagePositionPatient[2]]
    return datasets


def _shifted(datasets: list[Any]) -> list[Any]:
    datasets[6].ImagePositionPatient = [7, 0, datasets[6].ImagePositionPatient[2]]
    return datasets


def _moved(datasets: list[Any]) -> list[Any]:
    datasets[6].ImagePositionPatient = [0, 0, float(datasets[6].ImagePositionPatient[2]) + 1.1]
    return datasets


def _far_apart(datasets: list[Any]) -> list[Any]:
    for index, one in enumerate(datasets):
        one.ImagePositionPatient = [0, 0, index * 7.5]
    return datasets


def _other_pixels(one: Any) -> Any:
    """Return an image of the same place and UID that shows something else."""
    other = copy.deepcopy(one)
    other.PixelData = bytes(reversed(other.PixelData))
    return other


def _coronal(datasets: list[Any]) -> list[Any]:
    for index, one in enumerate(datasets):
        one.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        one.ImagePositionPatient = [0, index * 2.5, 0]
    return datasets


@REFUSED
@pytest.mark.parametrize(
    ("change", "reason", "facts"),
    [
        (lambda d: [*d, _other_pixels(d[4])], "DUPLICATE_SLICES", {"doubles": "1", "slices": "15"}),
        (
            lambda d: [*d[:5], *d[7:]],
            "MISSING_SLICES",
            {"missing": "2", "gap_mm": "7.5", "spacing_mm": "2.5"},
        ),
        (_moved, "UNEVEN_SLICE_SPACING", {"smallest_mm": "1.4", "largest_mm": "3.6"}),
        (_far_apart, "SLICES_TOO_FAR_APART", {"spacing_mm": "7.5"}),
        (lambda d: d[:5], "TOO_FEW_SLICES", {"slices": "5", "needed": "10"}),
        (_tilted, "GANTRY_TILT", {"degrees": "18.5"}),
        (_sheared, "GANTRY_TILT", {"degrees": "17.74"}),
        (_shifted, "SHIFTED_SLICES", {}),
        (_coronal, "NOT_AXIAL", {"degrees": "90"}),
        (_set("PatientID", "another", only=2), "MIXED_PATIENTS", {"different": "2"}),
        (_set("SeriesInstanceUID", "2.25.1", only=2), "MIXED_SERIES", {"different": "2"}),
        (
            _set("FrameOfReferenceUID", "2.25.1", only=2),
            "MIXED_FRAMES_OF_REFERENCE",
            {"different": "2"},
        ),
        (
            _set("ImageOrientationPatient", [0, 1, 0, -1, 0, 0], only=2),
            "MIXED_ORIENTATION",
            {"largest_difference": "1"},
        ),
        (_set("PixelSpacing", [0.9, 0.9], only=2), "MIXED_PIXEL_SPACING", {"different": "2"}),
        (_set("PixelSpacing", [5, 5]), "UNSUITABLE_PIXELS", {"pixel_mm": "5"}),
        (
            _set("ImageType", ["DERIVED", "SECONDARY", "MIP"]),
            "DERIVED_IMAGES",
            {"image_type": "MIP"},
        ),
        (_set("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]), "LOCALISER", {}),
        (_set("NumberOfFrames", 20), "MULTI_FRAME", {"frames": "20"}),
        (_set("Modality", "MR"), "OTHER_MODALITY", {"modality": "MR"}),
        (_set("PhotometricInterpretation", "RGB"), "UNSUITABLE_PIXELS", {"photometric": "RGB"}),
        (_set("Rows", 60_000), "UNSUITABLE_PIXELS", {"rows": "60000"}),
        (_set("BitsStored", 32), "UNSUITABLE_PIXELS", {"stored": "32"}),
        (_set("RescaleSlope", 0), "MISSING_RESCALE", {}),
        (_without("RescaleIntercept"), "MISSING_RESCALE", {}),
        (_without("ImagePositionPatient"), "MISSING_GEOMETRY", {"position_values": "0"}),
        (_without("PixelData"), "DAMAGED_SERIES", {}),
        (_set("ImageOrientationPatient", [1, 0, 0, 0, 2, 0]), "MISSING_GEOMETRY", {}),
    ],
)
def test_series_that_cannot_be_measured_is_refused_with_numbers(
    phantom: ModuleType, change: Any, reason: str, facts: dict[str, str]
) -> None:
    error = refusal(phantom, change(phantom.blank()))
    assert error.reason == reason
    assert facts.items() <= error.facts.items()


@REFUSED
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_dropping_and_doubling_slices_never_passes_unseen(
    phantom: ModuleType, data: st.DataObject
) -> None:
    datasets = phantom.blank(slices=20)
    dropped = data.draw(st.sets(st.integers(1, 18), min_size=0, max_size=4))
    doubled = data.draw(st.sets(st.integers(0, 19), min_size=0, max_size=3))
    kept = [one for number, one in enumerate(datasets) if number not in dropped]
    twice = [datasets[number] for number in doubled - dropped]
    shuffled = data.draw(st.permutations(kept + twice))
    if not dropped:
        facts = Facts()
        assert len(assemble(phantom.archive(shuffled), facts).hu) == 20
        assert sum(one.images for one in facts.set_aside) == len(twice)
        return
    assert refusal(phantom, shuffled).reason == "MISSING_SLICES"
