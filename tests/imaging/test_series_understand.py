"""One archive becomes several sources: volumes split, uneven, tilted, multi-frame, or aside."""

from __future__ import annotations

import copy
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pydicom.uid import JPEGLSLossless, RLELossless, VLWholeSlideMicroscopyImageStorage

from services.imaging.series import archive, measurable, refusals
from services.imaging.series.facts import Facts
from services.imaging.series.sources import SlideFiles, Source
from services.imaging.series.understand import understand
from services.imaging.series.upright import upright
from services.imaging.series.volume import Volume

PARTS = pytest.mark.requirement("DX-IMG-15")
FRAMES = pytest.mark.requirement("DX-IMG-16")
TILT = pytest.mark.requirement("DX-IMG-17")
UNEVEN = pytest.mark.requirement("DX-IMG-18")


def sources(phantom: ModuleType, files: list[Any], facts: Facts | None = None) -> list[Source]:
    return understand(archive.held(phantom.archive(files)), facts or Facts())


def volume(phantom: ModuleType, files: list[Any], facts: Facts | None = None) -> Volume:
    (one,) = sources(phantom, files, facts)
    assert isinstance(one, Volume)
    return one


def twin(datasets: list[Any], **changes: Any) -> list[Any]:
    """Return the same slices as another acquisition: other UIDs, brighter pixels."""
    others = copy.deepcopy(datasets)
    for number, one in enumerate(others):
        one.SOPInstanceUID = f"2.25.{5000 + number}"
        one.PixelData = (np.frombuffer(one.PixelData, np.int16) + 7).astype(np.int16).tobytes()
        for name, value in changes.items():
            setattr(one, name, value)
    return others


@PARTS
@pytest.mark.parametrize(
    "changes",
    [
        {"AcquisitionNumber": 2},
        {"ConvolutionKernel": "B60f"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "SECOND"]},
        {"SliceThickness": 1.0},
        {"KVP": 80},
        {"TemporalPositionIndex": 2},
    ],
)
def test_two_acquisitions_in_one_series_are_two_volumes(
    phantom: ModuleType, changes: dict[str, Any]
) -> None:
    datasets = phantom.blank()
    found = sources(phantom, [*datasets, *twin(datasets, **changes)])
    assert [len(one.hu) for one in found if isinstance(one, Volume)] == [14, 14]
    assert {int(one.hu[0, 0, 0]) for one in found if isinstance(one, Volume)} == {0, 7}


@PARTS
def test_two_acquisitions_that_nothing_tells_apart_are_refused(phantom: ModuleType) -> None:
    datasets = phantom.blank()
    with pytest.raises(refusals.DuplicateSlices) as caught:
        sources(phantom, [*datasets, *twin(datasets)])
    assert caught.value.facts == {"doubles": "14", "slices": "28"}


@PARTS
def test_split_that_would_leave_a_hole_is_refused(phantom: ModuleType) -> None:
    datasets = phantom.blank()
    others = twin(datasets, AcquisitionNumber=2)
    with pytest.raises(refusals.DuplicateSlices):
        sources(phantom, [*datasets, *others[:5], *others[6:]])


@PARTS
def test_sizes_that_each_fill_the_stack_are_two_volumes(phantom: ModuleType) -> None:
    wide = twin(phantom.blank(), PixelSpacing=[0.9, 0.9])
    found = sources(phantom, [*phantom.blank(), *wide])
    assert sorted(one.spacing_mm[1] for one in found if isinstance(one, Volume)) == [0.8, 0.9]


@PARTS
def test_images_that_watch_for_contrast_at_one_place_are_set_aside(phantom: ModuleType) -> None:
    watch = [copy.deepcopy(phantom.blank()[6]) for _ in range(5)]
    for number, one in enumerate(watch):
        one.SOPInstanceUID, one.AcquisitionNumber = f"2.25.{6000 + number}", 1
        one.PixelData = bytes(one.PixelData[:-2]) + bytes([number, 0])
    scan = twin(phantom.blank(), AcquisitionNumber=2)
    facts = Facts()
    assert len(volume(phantom, [*watch, *scan], facts).hu) == 14
    assert [(one.reason, one.images) for one in facts.set_aside] == [("TOO_FEW_SLICES", 5)]


@PARTS
def test_what_is_no_slice_is_set_aside_and_counted(phantom: ModuleType) -> None:
    extra = twin(phantom.blank(slices=4))
    extra[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    extra[1].ImageType = ["DERIVED", "SECONDARY", "MIP"]
    extra[2].ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    extra[3].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]  # an overview that does not say so
    facts = Facts()
    assert len(volume(phantom, [*extra, *phantom.blank()], facts).hu) == 14
    assert {one.reason: one.images for one in facts.set_aside} == {
        "LOCALISER": 2,
        "DERIVED_IMAGES": 1,
        "SECONDARY_CAPTURE": 1,
    }
    assert (facts.files, facts.slices) == (18, 14)


@FRAMES
@pytest.mark.parametrize("shared", [True, False])
def test_enhanced_ct_is_a_volume_with_its_frames(
    phantom: ModuleType, series_phantom: ModuleType, shared: bool
) -> None:
    datasets = phantom.blank()
    order = [5, 0, 13, *(n for n in range(14) if n not in (5, 0, 13))]
    one = series_phantom.enhanced([datasets[n] for n in order], shared=shared)
    read = volume(phantom, [one])
    assert read.hu[:, 0, 0].tolist() == [index * 10 for index in range(14)]
    assert read.spacing_mm == pytest.approx((2.5, 0.8, 0.8))
    assert read.frames[:6] == (2, 4, 5, 6, 7, 1)
    assert set(read.sop_uids) == {"2.25.7777"}
    assert (read.kernel, read.thickness_mm) == ("B30f", 2.5)


@FRAMES
def test_each_frame_has_its_own_rescale(phantom: ModuleType, series_phantom: ModuleType) -> None:
    slopes = [1.0, 0.5, 2.0] * 4
    one = series_phantom.enhanced(phantom.blank(slices=12), slopes=slopes)
    assert volume(phantom, [one]).hu[:, 0, 0].tolist() == [index * 10 for index in range(12)]


@FRAMES
def test_frames_that_are_not_described_are_refused(
    phantom: ModuleType, series_phantom: ModuleType
) -> None:
    one = series_phantom.enhanced(phantom.blank())
    one.PerFrameFunctionalGroupsSequence = one.PerFrameFunctionalGroupsSequence[:9]
    with pytest.raises(refusals.DamagedSeries) as caught:
        sources(phantom, [one])
    assert caught.value.facts == {"frames": "14", "described": "9"}


@FRAMES
def test_each_slice_has_its_own_rescale(phantom: ModuleType) -> None:
    datasets = phantom.blank(slices=11)
    for number, one in enumerate(datasets):
        slope = (1, 2, 4)[number % 3]
        values = np.frombuffer(one.PixelData, np.int16) / slope
        one.PixelData, one.RescaleSlope = np.rint(values).astype(np.int16).tobytes(), slope
    hu = volume(phantom, datasets).hu[:, 0, 0]
    assert np.abs(hu - np.arange(11) * 10).max() <= 2


@TILT
def test_tilt_is_kept_and_said(phantom: ModuleType, series_phantom: ModuleType) -> None:
    read = volume(phantom, series_phantom.tilt(phantom.blank(), 12.0))
    assert read.tilt_degrees == pytest.approx(12.0, abs=0.01)
    assert read.lean_degrees == pytest.approx(12.0, abs=0.01)
    assert read.even
    with pytest.raises(refusals.GantryTilt) as caught:
        measurable.check(read)
    assert caught.value.facts == {"degrees": "12"}


@TILT
@pytest.mark.parametrize("degrees", [6.0, -18.0])
def test_tilted_stack_is_sheared_straight(
    phantom: ModuleType, series_phantom: ModuleType, degrees: float
) -> None:
    """A rod along the table's way shows at one place in every straightened slice."""
    datasets = series_phantom.tilt(phantom.blank(slices=24, side=96), degrees)
    angle = np.radians(degrees)
    for number, one in enumerate(datasets):
        y = np.arange(96) * 0.8 * np.cos(angle)  # LPS y of each row; slices begin at y 0
        plane = np.where(np.abs(y - 38.0) < 5, 200, 20)[:, None] + np.arange(96) % 40
        plane[-1] = -1000
        one.PixelData = (plane.astype(np.int16) + 1024).astype(np.int16).tobytes()
        one.ImagePositionPatient = [0, 0, number * 2.5]
    tilted = volume(phantom, datasets)
    straight = upright(tilted)
    assert straight.tilt_degrees == 0
    assert straight.resampled == "untilted"
    assert straight.spacing_mm[0] == pytest.approx(2.5 * np.cos(angle), abs=1e-3)
    measurable.check(straight)
    for number in (0, 11, 23):
        rows = np.flatnonzero(straight.hu[number, :, 50] > 120)
        middle = straight.to_patient(np.array([number, rows.mean(), 50.0]))
        assert middle[1] == pytest.approx(38.0, abs=0.8)
        down, right = straight.on_image(number)
        before = np.flatnonzero(tilted.hu[number, :, 50] > 120).mean()
        assert rows.mean() - down == pytest.approx(before, abs=0.6)
        assert right == 0


@TILT
def test_more_tilt_than_a_gantry_has_is_refused(
    phantom: ModuleType, series_phantom: ModuleType
) -> None:
    read = volume(phantom, series_phantom.tilt(phantom.blank(), 35.0))
    with pytest.raises(refusals.GantryTilt) as caught:
        upright(read)
    assert caught.value.facts == {"degrees": "35", "limit_degrees": "30"}


@UNEVEN
def test_distances_that_change_with_the_thickness_are_one_uneven_volume(
    phantom: ModuleType,
) -> None:
    datasets = phantom.blank(slices=18)
    for number, one in enumerate(datasets):
        thick = number >= 9
        one.ImagePositionPatient = [0, 0, number * 2.5 if not thick else 22.5 + (number - 9) * 5.0]
        one.SliceThickness = 5.0 if thick else 2.5
    read = volume(phantom, datasets)
    assert not read.even
    assert read.gaps_mm[0] == pytest.approx(2.5)
    assert read.gaps_mm[-1] == pytest.approx(5.0)
    assert read.slice_mm()[0] == pytest.approx(2.5)
    assert read.slice_mm()[-1] == pytest.approx(5.0)
    assert read.to_patient(np.array([12.5, 1.0, 0.0])) == pytest.approx([0, 0.8, 40.0])
    with pytest.raises(refusals.UnevenSliceSpacing):
        measurable.check(read)


@UNEVEN
def test_the_same_gap_between_thin_slices_is_a_missing_slice(phantom: ModuleType) -> None:
    datasets = phantom.blank(slices=18)
    for number, one in enumerate(datasets):
        one.ImagePositionPatient = [0, 0, number * 2.5 + (2.5 if number >= 9 else 0)]
    with pytest.raises(refusals.MissingSlices) as caught:
        sources(phantom, datasets)
    assert caught.value.facts == {"missing": "1", "gap_mm": "5", "spacing_mm": "2.5"}


@UNEVEN
@TILT
def test_real_head_ct_is_one_volume_with_its_tilt_and_distances(
    phantom: ModuleType, head_files: list[bytes]
) -> None:
    read = volume(phantom, list(head_files))
    assert read.hu.shape == (28, 512, 512)
    assert read.tilt_degrees == pytest.approx(18.5, abs=0.01)
    assert not read.even
    assert read.gaps_mm[0] == pytest.approx(4.0, abs=0.01)
    assert read.gaps_mm[13] == pytest.approx(1.08, abs=0.01)
    assert read.gaps_mm[-1] == pytest.approx(7.0, abs=0.01)
    assert read.positions_mm[0, 2] == pytest.approx(5.836, abs=1e-3)
    assert read.kernel == "STD+"
    with pytest.raises(refusals.UnevenSliceSpacing):
        upright(read)


@PARTS
def test_damaged_file_among_slices_stops_the_volume(phantom: ModuleType) -> None:
    files = [phantom.written(one) for one in phantom.blank()]
    files[13] = files[13][:140]  # the last slice: without it the stack would look whole
    with pytest.raises(refusals.DamagedSeries) as caught:
        sources(phantom, files)
    assert caught.value.facts == {"damaged": "1", "slices": "13"}


@PARTS
def test_files_on_disk_give_the_same_volume(phantom: ModuleType, tmp_path: Path) -> None:
    content = phantom.archive(phantom.blank())
    zipped = tmp_path / "series.zip"
    zipped.write_bytes(content)
    for given in (content, zipped):
        (read,) = understand(archive.spooled(given, tmp_path), Facts())
        assert isinstance(read, Volume)
        assert read.hu[:, 0, 0].tolist() == [index * 10 for index in range(14)]


@PARTS
def test_tiff_is_refused_and_a_dicom_file_that_is_also_tiff_is_read(
    phantom: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(refusals.DamagedSeries):
        understand(archive.spooled(phantom.archive([b"II*\0" + bytes(200)]), tmp_path), Facts())
    both = b"II*\0" + phantom.written(phantom.blank(slices=1)[0])[4:]
    with pytest.raises(refusals.TooFewSlices):
        understand(archive.spooled(phantom.archive([both]), tmp_path), Facts())


@PARTS
def test_colour_and_placeless_pictures_among_slices_are_set_aside(phantom: ModuleType) -> None:
    extra = twin(phantom.blank(slices=2))
    extra[0].SamplesPerPixel, extra[0].PhotometricInterpretation = 3, "RGB"
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(extra[1], name)
    facts = Facts()
    assert len(volume(phantom, [*phantom.blank(), *extra], facts).hu) == 14
    assert {one.reason for one in facts.set_aside} == {"DERIVED_IMAGES", "SECONDARY_CAPTURE"}


@FRAMES
def test_compressed_frames_are_read(phantom: ModuleType, series_phantom: ModuleType) -> None:
    one = series_phantom.enhanced(phantom.blank())
    for syntax in (JPEGLSLossless, RLELossless):
        coded = copy.deepcopy(one)
        coded.compress(syntax, generate_instance_uid=False)
        read = volume(phantom, [coded])
        assert read.hu[:, 0, 0].tolist() == [index * 10 for index in range(14)]


@PARTS
def test_whole_slide_is_handed_on_by_its_files(phantom: ModuleType, tmp_path: Path) -> None:
    levels = phantom.blank(slices=3)
    for one in levels:
        one.SOPClassUID, one.Modality = VLWholeSlideMicroscopyImageStorage, "SM"
        one.NumberOfFrames = 4000
    files = archive.spooled(phantom.archive(levels), tmp_path)
    facts = Facts()
    (slide,) = understand(files, facts)
    assert isinstance(slide, SlideFiles)
    assert [path.name for path in slide.paths] == ["0001.dcm", "0002.dcm", "0003.dcm"]
    assert slide.sop_uids == ("2.25.9000", "2.25.9001", "2.25.9002")
    assert facts.modality == "SM"
    levels[1].SeriesInstanceUID = "2.25.5"
    with pytest.raises(refusals.MixedSeries):
        understand(archive.spooled(phantom.archive(levels), tmp_path), Facts())
