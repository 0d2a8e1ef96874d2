"""X-rays become grey pictures that mean the same from every device; paper and screens do not."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit, SecondaryCaptureImageStorage

from services.imaging.series import archive, refusals
from services.imaging.series.facts import Facts
from services.imaging.series.radiograph import Radiograph
from services.imaging.series.understand import understand

GREY = pytest.mark.requirement("DX-IMG-19")
SAID = pytest.mark.requirement("DX-IMG-20")
PAPER = pytest.mark.requirement("DX-IMG-21")


def read_all(
    phantom: ModuleType, datasets: list[Any], facts: Facts | None = None
) -> list[Radiograph]:
    found = understand(archive.held(phantom.archive(datasets)), facts or Facts())
    assert all(isinstance(one, Radiograph) for one in found)
    return [one for one in found if isinstance(one, Radiograph)]


def read(phantom: ModuleType, dataset: Dataset) -> Radiograph:
    (one,) = read_all(phantom, [dataset])
    return one


def refusal(phantom: ModuleType, dataset: Dataset) -> refusals.SeriesRefused:
    with pytest.raises(refusals.SeriesRefused) as caught:
        read_all(phantom, [dataset])
    return caught.value


def bone_is_bright(one: Radiograph) -> bool:
    rows, columns = one.shape
    bone, air = one.grey[rows // 2, columns // 2], one.grey[rows // 2, 2]
    return bool(bone > 0.7 > 0.3 > air)


@GREY
def test_window_is_applied_and_bone_is_bright(
    phantom: ModuleType, series_phantom: ModuleType
) -> None:
    made = series_phantom.radiograph(WindowCenter=2000, WindowWidth=4000)
    one = read(phantom, made)
    assert one.grey.dtype == np.float32
    assert (one.shape, one.window_from) == ((160, 120), "window")
    stored = series_phantom.bone()[80, 60]
    assert one.grey[80, 60] == pytest.approx((stored - 1999.5) / 3999 + 0.5, abs=1e-5)
    assert bone_is_bright(one)


@GREY
@pytest.mark.parametrize(
    "values",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME2", "PresentationLUTShape": "INVERSE"},
    ],
)
def test_inverted_pictures_are_inverted_once(
    phantom: ModuleType, series_phantom: ModuleType, values: dict[str, str]
) -> None:
    negative = (4095 - series_phantom.bone()).astype(np.uint16)
    plain = read(phantom, series_phantom.radiograph(WindowCenter=2048, WindowWidth=4096))
    made = series_phantom.radiograph(negative, WindowCenter=2048, WindowWidth=4096, **values)
    assert read(phantom, made).grey == pytest.approx(plain.grey, abs=1e-3)


@GREY
def test_voi_lut_goes_before_the_window(phantom: ModuleType, series_phantom: ModuleType) -> None:
    table = np.linspace(0, 65535, 4096) ** 0.9
    table = (table / table.max() * 65535).astype("<u2")
    lut = series_phantom.item(LUTDescriptor=[4096, 0, 16], LUTData=table.tobytes())
    lut["LUTData"].VR = "OW"
    made = series_phantom.radiograph(WindowCenter=100, WindowWidth=10, VOILUTSequence=[lut])
    one = read(phantom, made)
    assert one.window_from == "voi-lut"
    stored = int(series_phantom.bone()[80, 60])
    assert one.grey[80, 60] == pytest.approx(float(table[stored]) / 65535, abs=1e-5)


@GREY
def test_modality_lut_then_window(phantom: ModuleType, series_phantom: ModuleType) -> None:
    table = np.arange(4096)[::-1].astype("<u2")
    lut = series_phantom.item(LUTDescriptor=[4096, 0, 16], LUTData=table.tobytes())
    lut["LUTData"].VR = "OW"
    negative = (4095 - series_phantom.bone()).astype(np.uint16)
    made = series_phantom.radiograph(
        negative, ModalityLUTSequence=[lut], WindowCenter=2000, WindowWidth=4000
    )
    assert bone_is_bright(read(phantom, made))


@GREY
def test_sigmoid_window(phantom: ModuleType, series_phantom: ModuleType) -> None:
    made = series_phantom.radiograph(WindowCenter=2000, WindowWidth=3000, VOILUTFunction="SIGMOID")
    one = read(phantom, made)
    assert one.window_from == "sigmoid"
    stored = float(series_phantom.bone()[80, 60])
    assert one.grey[80, 60] == pytest.approx(
        1 / (1 + np.exp(-4 * (stored - 2000) / 3000)), abs=1e-5
    )


@GREY
@pytest.mark.parametrize(
    "values",
    [{}, {"WindowCenter": 60_000, "WindowWidth": 10}, {"WindowCenter": 9, "WindowWidth": 0}],
)
def test_window_that_is_none_or_cannot_be_meant_is_taken_from_the_values(
    phantom: ModuleType, series_phantom: ModuleType, values: dict[str, int]
) -> None:
    one = read(phantom, series_phantom.radiograph(**values))
    assert one.window_from == "percentiles"
    assert bone_is_bright(one)
    assert 0.005 < one.clipped_share < 0.1


@GREY
def test_padding_is_black_and_outside_the_scale(
    phantom: ModuleType, series_phantom: ModuleType
) -> None:
    picture = series_phantom.bone()
    picture[:, :20] = 4095  # collimated, filled with white
    made = series_phantom.radiograph(picture)
    made.add_new("PixelPaddingValue", "US", 4090)
    made.add_new("PixelPaddingRangeLimit", "US", 4095)
    one = read(phantom, made)
    assert one.grey[:, :20].max() == 0
    assert one.stored_max < 4090
    assert one.grey[80, 60] > 0.7


@GREY
def test_word_with_an_overlay_in_its_high_bits(
    phantom: ModuleType, series_phantom: ModuleType
) -> None:
    picture = series_phantom.bone()
    plain = read(phantom, series_phantom.radiograph(picture))
    marked = picture.copy()
    marked[40:60, 40:60] |= 0x8000
    assert np.array_equal(read(phantom, series_phantom.radiograph(marked)).grey, plain.grey)
    high = series_phantom.radiograph((picture << 4).astype(np.uint16), HighBit=15)
    assert np.array_equal(read(phantom, high).grey, plain.grey)


@SAID
@pytest.mark.parametrize(
    ("values", "pixel_mm", "source"),
    [
        ({}, 0.15, "detector-unmagnified"),
        ({"EstimatedRadiographicMagnificationFactor": 1.5}, 0.1, "detector"),
        ({"DistanceSourceToDetector": 1500, "DistanceSourceToPatient": 1000}, 0.1, "detector"),
        ({"PixelSpacing": [0.14, 0.14]}, 0.14, "patient"),
        ({"PixelSpacing": [0.15, 0.15]}, 0.15, "detector-unmagnified"),
        (
            {"PixelSpacing": [0.15, 0.15], "PixelSpacingCalibrationType": "FIDUCIAL"},
            0.15,
            "calibrated",
        ),
        ({"ImagerPixelSpacing": [0, 0]}, None, ""),
        ({"ImagerPixelSpacing": None}, None, ""),
    ],
)
def test_pixel_size_says_where_it_comes_from(
    phantom: ModuleType,
    series_phantom: ModuleType,
    values: dict[str, Any],
    pixel_mm: float | None,
    source: str,
) -> None:
    one = read(phantom, series_phantom.radiograph(**values))
    assert one.pixel_mm_from == source
    assert one.pixel_mm == (None if pixel_mm is None else pytest.approx((pixel_mm, pixel_mm)))


@SAID
def test_view_side_and_part_are_told_for_each_image(
    phantom: ModuleType, series_phantom: ModuleType
) -> None:
    coded = series_phantom.radiograph(
        number=1,
        ViewPosition="",
        BodyPartExamined="",
        ImageLaterality="",
        ViewCodeSequence=[series_phantom.item(CodeMeaning="postero-anterior oblique")],
        AnatomicRegionSequence=[
            series_phantom.item(
                CodeMeaning="Ankle joint",
                AnatomicRegionModifierSequence=[series_phantom.item(CodeMeaning="Right")],
            )
        ],
    )
    described = series_phantom.radiograph(
        number=2,
        ViewPosition=None,
        BodyPartExamined=None,
        ImageLaterality=None,
        SeriesDescription="LEFT KNEE LAT [cleaned]",
    )
    one, two, three = read_all(phantom, [series_phantom.radiograph(), coded, described])
    assert (one.body_part, one.view, one.laterality) == ("HAND", "PA", "L")
    assert (two.body_part, two.view, two.laterality) == ("ANKLE", "PA", "R")
    assert (three.body_part, three.view, three.laterality) == ("KNEE", "LAT", "L")


@SAID
def test_one_bad_image_does_not_stop_the_others(
    phantom: ModuleType, series_phantom: ModuleType
) -> None:
    short = series_phantom.radiograph(number=1)
    short.PixelData = short.PixelData[:-500]
    facts = Facts()
    files = [
        phantom.written(series_phantom.radiograph()),
        phantom.written(short),
        b"nothing",
        phantom.written(series_phantom.computed_radiograph(number=2)),
    ]
    found = read_all(phantom, files, facts)
    assert [one.sop_uid for one in found] == ["2.25.8000", "2.25.8002"]
    assert [(one.reason, one.images) for one in facts.set_aside] == [("DAMAGED_SERIES", 2)]
    assert (facts.modality, facts.slices, facts.body_part) == ("DX", 2, "HAND")
    assert (facts.age_years, facts.sex) == (34.0, "M")


@SAID
def test_xray_stored_as_secondary_capture_is_read(
    phantom: ModuleType, series_phantom: ModuleType
) -> None:
    picture = (series_phantom.bone() >> 4).astype(np.uint8)
    made = series_phantom.radiograph(
        picture, BitsAllocated=8, BitsStored=8, HighBit=7, ConversionType="DF"
    )
    made.SOPClassUID = SecondaryCaptureImageStorage
    assert bone_is_bright(read(phantom, made))
    colour = np.repeat(picture[..., None], 3, axis=2)
    made = series_phantom.radiograph(
        colour, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0,
        BitsAllocated=8, BitsStored=8, HighBit=7, ConversionType="DI",
    )  # fmt: skip
    made.SOPClassUID = SecondaryCaptureImageStorage
    assert bone_is_bright(read(phantom, made))


@SAID
def test_jpeg_baseline_is_read(phantom: ModuleType, series_phantom: ModuleType) -> None:
    import io

    from PIL import Image
    from pydicom.encaps import encapsulate

    picture = (series_phantom.bone() >> 4).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=95)
    made = series_phantom.radiograph(picture, BitsAllocated=8, BitsStored=8, HighBit=7)
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.PixelData = encapsulate([buffer.getvalue()])
    made["PixelData"].is_undefined_length = True
    made.LossyImageCompression = "01"
    one = read(phantom, made)
    assert bone_is_bright(one)
    assert one.lossy is True


@PAPER
def test_scanned_page_called_an_xray_is_refused(
    phantom: ModuleType, series_phantom: ModuleType
) -> None:
    for page in (series_phantom.paper(), (4095 - series_phantom.paper()).astype(np.uint16)):
        error = refusal(phantom, series_phantom.radiograph(page))
        assert error.reason == "SECONDARY_CAPTURE"
        assert float(error.facts["plateau_share"]) > 0.6


@PAPER
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"Modality": "OT", "ConversionType": "SD"}, "SECONDARY_CAPTURE"),
        ({"ConversionType": "SD"}, "SECONDARY_CAPTURE"),
        ({"ConversionType": "WSD"}, "SECONDARY_CAPTURE"),
        ({"ConversionType": "DI", "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
         "SECONDARY_CAPTURE"),
        ({"Modality": "CT", "ConversionType": "WSD"}, "SECONDARY_CAPTURE"),
    ],
)  # fmt: skip
def test_captures_of_screens_and_paper_are_refused_by_their_header(
    phantom: ModuleType, series_phantom: ModuleType, values: dict[str, Any], reason: str
) -> None:
    made = series_phantom.radiograph(**values)
    made.SOPClassUID = SecondaryCaptureImageStorage
    assert refusal(phantom, made).reason == reason


@PAPER
def test_picture_in_colour_is_refused_with_its_share(
    phantom: ModuleType, series_phantom: ModuleType
) -> None:
    colour = np.repeat((series_phantom.bone() >> 4).astype(np.uint8)[..., None], 3, axis=2)
    colour[:40, :40] = (200, 30, 30)
    made = series_phantom.radiograph(
        colour, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0,
        BitsAllocated=8, BitsStored=8, HighBit=7,
    )  # fmt: skip
    error = refusal(phantom, made)
    assert error.reason == "SECONDARY_CAPTURE"
    assert 0.05 < float(error.facts["coloured_share"]) < 0.15


@PAPER
@pytest.mark.parametrize(
    ("values", "reason", "facts"),
    [
        ({"Rows": 65_000, "Columns": 65_000}, "UNSUITABLE_PIXELS", {"rows": "65000"}),
        ({"Rows": 16_000, "Columns": 16_000}, "SERIES_TOO_LARGE", {"pixels": "256000000"}),
        ({"Rows": 4, "Columns": 4}, "UNSUITABLE_PIXELS", {"rows": "4"}),
        ({"NumberOfFrames": 200}, "MULTI_FRAME", {"frames": "200"}),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "UNSUITABLE_PIXELS", {}),
        ({"PatientSpeciesDescription": "CANINE"}, "NOT_A_PATIENT", {}),
        ({"PatientBreedDescription": "BEAGLE"}, "NOT_A_PATIENT", {}),
        ({"QualityControlImage": "YES"}, "NOT_A_PATIENT", {}),
        ({"RescaleSlope": "1e38", "RescaleIntercept": "1e38"}, "UNSUITABLE_PIXELS", {}),
        ({"BitsAllocated": 64}, "UNSUITABLE_PIXELS", {"allocated": "64"}),
    ],
)
def test_what_is_no_usable_xray_is_refused_with_numbers(
    phantom: ModuleType,
    series_phantom: ModuleType,
    values: dict[str, Any],
    reason: str,
    facts: dict[str, str],
) -> None:
    error = refusal(phantom, series_phantom.radiograph(**values))
    assert error.reason == reason
    assert facts.items() <= error.facts.items()


@PAPER
def test_empty_picture_is_refused(phantom: ModuleType, series_phantom: ModuleType) -> None:
    error = refusal(phantom, series_phantom.radiograph(np.full((99, 99), 7, np.uint16)))
    assert (error.reason, error.facts) == ("UNSUITABLE_PIXELS", {"pixels": "9801"})
