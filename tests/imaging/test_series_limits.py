"""Absurd, lying and foreign series are refused with their numbers, in bounded memory."""

from __future__ import annotations

import copy
import resource
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pydicom
import pytest

from services.imaging.series import archive, refusals
from services.imaging.series.archive import File
from services.imaging.series.facts import Facts
from services.imaging.series.understand import understand
from services.imaging.series.volume import Volume

ABSURD = pytest.mark.requirement("DX-IMG-26")
LIES = pytest.mark.requirement("DX-IMG-27")
TESTS = Path(pydicom.__file__).parent / "data" / "test_files"


def refusal(phantom: ModuleType, datasets: list[Any]) -> refusals.SeriesRefused:
    with pytest.raises(refusals.SeriesRefused) as caught:
        understand(archive.held(phantom.archive(datasets)), Facts())
    return caught.value


@ABSURD
def test_one_slice_is_no_stack(phantom: ModuleType) -> None:
    error = refusal(phantom, phantom.blank(slices=1))
    assert (error.reason, error.facts) == ("TOO_FEW_SLICES", {"slices": "1", "needed": "3"})


@ABSURD
def test_5000_slices_are_refused_before_any_is_decoded(phantom: ModuleType) -> None:
    one = phantom.blank(slices=1)[0]
    one.Rows = one.Columns = 512
    one.ImagePositionPatient = [0, 0, 1234]
    one.PixelData = bytes(2)  # no pixels are needed to see that there are too many
    content = bytearray(phantom.written(one))
    uid, place = content.index(b"2.25.9000"), content.index(b"1234")
    files = []
    for number in range(5000):
        content[uid : uid + 9] = f"2.25.{number:04}".encode()
        content[place : place + 4] = b"%04d" % number
        files.append(File(memoryview(bytes(content))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(refusals.SeriesTooLarge) as caught:
        understand(files, Facts())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB
    assert caught.value.facts["files"] == "5000"
    assert 300_000_000 < int(caught.value.facts["voxels"]) < 301_000_000


@ABSURD
@pytest.mark.parametrize(
    ("values", "reason", "facts"),
    [
        ({"Rows": 65535, "Columns": 65535}, "UNSUITABLE_PIXELS", {"rows": "65535"}),
        ({"Rows": 0}, "UNSUITABLE_PIXELS", {"rows": "0"}),
        ({"NumberOfFrames": "2147483647"}, "MULTI_FRAME", {"frames": "2147483647"}),
        ({"PixelSpacing": [0, 0]}, "UNSUITABLE_PIXELS", {"row_mm": "0"}),
        ({"PixelSpacing": [-1, 1]}, "UNSUITABLE_PIXELS", {"row_mm": "-1"}),
        ({"PixelSpacing": [1e30, 1]}, "UNSUITABLE_PIXELS", {"column_mm": "1"}),
        ({"ImagePositionPatient": [1e30, 0, 0]}, "MISSING_GEOMETRY", {}),
        ({"RescaleSlope": "1e30"}, "MISSING_RESCALE", {"slope": "1e+30"}),
        ({"RescaleSlope": "-1"}, "MISSING_RESCALE", {"slope": "-1"}),
        ({"RescaleSlope": 0}, "MISSING_RESCALE", {}),
        ({"RescaleIntercept": "1e9"}, "MISSING_RESCALE", {"intercept": "1e+09"}),
        ({"BitsAllocated": 64}, "UNSUITABLE_PIXELS", {"allocated": "64"}),
        ({"HighBit": 3}, "UNSUITABLE_PIXELS", {"high": "3"}),
        ({"SamplesPerPixel": 3}, "UNSUITABLE_PIXELS", {}),
        ({"RescaleType": "Z_EFF"}, "DERIVED_IMAGES", {"quantity": "Z_EFF"}),
        ({"PatientSpeciesDescription": "FELINE"}, "NOT_A_PATIENT", {}),
        ({"Modality": "US"}, "OTHER_MODALITY", {"modality": "US"}),
        ({"Modality": ""}, None, {}),
    ],
)
def test_absurd_headers_are_refused_with_numbers(
    phantom: ModuleType, values: dict[str, Any], reason: str | None, facts: dict[str, str]
) -> None:
    datasets = phantom.blank(slices=5)
    for one in datasets:
        for name, value in values.items():
            setattr(one, name, value)
    if reason is None:  # a CT by its class is one, even without a modality
        understand(archive.held(phantom.archive(datasets)), Facts())
        return
    error = refusal(phantom, datasets)
    assert error.reason == reason
    assert facts.items() <= error.facts.items()


@ABSURD
@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept"])
def test_rescale_that_is_no_number_is_refused(phantom: ModuleType, name: str) -> None:
    files = []
    for one in phantom.blank(slices=5):
        setattr(one, name, "-1.25")
        files.append(phantom.written(one).replace(b"-1.25", b"nan  "))
    assert refusal(phantom, files).reason == "MISSING_RESCALE"


@ABSURD
def test_zip_that_states_more_than_it_holds_is_refused(phantom: ModuleType) -> None:
    content = bytearray(phantom.archive(phantom.blank(slices=3)))
    central = content.rindex(b"PK\1\2")
    content[central + 20 : central + 28] = (1 << 30).to_bytes(4, "little") * 2
    with pytest.raises(refusals.DamagedSeries):
        archive.held(bytes(content))


@LIES
def test_mr_called_ct_is_refused_by_its_numbers(phantom: ModuleType) -> None:
    """A T2-like head: 0 in air, tissue from 100 to 900, fluid to 1600."""
    rows = np.mgrid[0:64, 0:64] - 32.0
    inside = (rows**2).sum(axis=0) < 26**2
    chance = np.random.default_rng(1)
    for intercept in (0, -1024):
        datasets = phantom.blank(slices=12, side=64)
        for one in datasets:
            tissue = chance.gamma(3.0, 140.0, (64, 64))
            plane = np.where(inside, tissue, chance.rayleigh(8.0, (64, 64)))
            one.PixelData = plane.astype(np.int16).tobytes()
            one.RescaleIntercept = intercept
        error = refusal(phantom, datasets)
        assert error.reason == "IMPLAUSIBLE_CT"
        assert set(error.facts) == {"tissue_share", "body_share", "below_water_share", "levels"}


@LIES
@pytest.mark.parametrize("intercept", [0, -1024])
def test_pydicoms_mr_called_ct_is_refused(phantom: ModuleType, intercept: int) -> None:
    mr = pydicom.dcmread(TESTS / "MR_small.dcm")
    datasets = phantom.blank(slices=4, side=64)
    for one in datasets:
        one.PixelData, one.RescaleIntercept = mr.PixelData, intercept
    assert refusal(phantom, datasets).reason == "IMPLAUSIBLE_CT"


@LIES
def test_picture_of_8_bits_called_ct_is_refused(phantom: ModuleType) -> None:
    datasets = phantom.blank(slices=12, side=64)
    for one in datasets:
        plane = np.random.default_rng(1).integers(0, 255, (64, 64))
        one.PixelData, one.RescaleIntercept = plane.astype(np.int16).tobytes(), 0
    error = refusal(phantom, datasets)
    assert (error.reason, error.facts["below_water_share"]) == ("IMPLAUSIBLE_CT", "0")


@LIES
def test_phantoms_chest_and_real_ct_are_plausible(
    phantom: ModuleType, head_files: list[bytes], lidc_files: list[bytes]
) -> None:
    for files in (phantom.datasets(phantom.Chest(slices=12)), head_files, lidc_files[:12]):
        try:
            (read,) = understand(archive.held(phantom.archive(files)), Facts())
        except refusals.MissingSlices:
            assert files is not head_files  # LIDC's files are not in the order of its slices
            continue
        assert isinstance(read, Volume)


@LIES
def test_padding_range_and_signs_of_it(phantom: ModuleType) -> None:
    for low, high in ((63536, None), (-2000, -1900), (-1900, -2000)):
        datasets = phantom.blank(slices=5)
        for one in datasets:
            values = np.frombuffer(one.PixelData, np.int16).copy()
            values[:4] = -2000
            one.PixelData = values.tobytes()
            one.add_new("PixelPaddingValue", "US" if low > 0 else "SS", low)
            if high is not None:
                one.add_new("PixelPaddingRangeLimit", "SS", high)
            one.RescaleIntercept = 1100
        with pytest.raises(refusals.ImplausibleCt):
            understand(archive.held(phantom.archive(copy.deepcopy(datasets[:3]))), Facts())
        for one in datasets:
            one.RescaleIntercept = -1024
        (read,) = understand(archive.held(phantom.archive(datasets)), Facts())
        assert isinstance(read, Volume)
        assert read.hu[0, 0, :5].tolist() == [-1024, -1024, -1024, -1024, 0]
