"""Burned-in text: masked where it is known to be, else the instance is set aside."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage

from services.anonymization.disposition import InstanceSetAside, Masks, masks
from services.anonymization.files import UnreadableInstance
from services.anonymization.instance import Deidentifier
from services.anonymization.pixels import blank
from services.anonymization.pseudonyms import Pseudonyms

Maker = Callable[..., FileDataset]


def region(x0: int, y0: int, x1: int, y1: int) -> Dataset:
    item = Dataset()
    item.RegionSpatialFormat = 1
    item.RegionLocationMinX0, item.RegionLocationMinY0 = x0, y0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = x1, y1
    return item


@pytest.mark.requirement("DX-ID-07")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"BurnedInAnnotation": "YES"}, "BURNED_IN_TEXT"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "SCREEN_CAPTURE"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "SECONDARY_CAPTURE"),
        ({"Modality": "US"}, "ULTRASOUND_WITHOUT_REGIONS"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, "DOCUMENT"),
    ],
)
def test_image_with_text_nobody_knows_the_place_of_is_set_aside(
    changes: dict[str, object], reason: str, ct_file: Maker
) -> None:
    with pytest.raises(InstanceSetAside) as error:
        masks(ct_file(**changes))
    assert error.value.reason == reason


def test_what_holds_no_image_is_set_aside(ct_file: Maker) -> None:
    dataset = ct_file()
    del dataset.PixelData
    with pytest.raises(InstanceSetAside) as error:
        masks(dataset)
    assert error.value.reason == "NOT_AN_IMAGE"


def test_clean_images_are_kept(ct_file: Maker) -> None:
    assert masks(ct_file()) is None
    stated = ct_file(SOPClassUID=SecondaryCaptureImageStorage, BurnedInAnnotation="NO")
    assert masks(stated) is None


@pytest.mark.requirement("DX-ID-07")
def test_ultrasound_is_kept_inside_its_regions_alone(
    ct_file: Maker, as_bytes: Callable[[FileDataset], bytes], pseudonyms: Pseudonyms
) -> None:
    dataset = ct_file(Modality="US", SequenceOfUltrasoundRegions=Sequence([region(2, 3, 5, 6)]))
    made = pydicom.dcmread(io.BytesIO(Deidentifier(pseudonyms).instance(as_bytes(dataset))))
    expected = np.zeros((8, 8), np.uint16)
    expected[3:7, 2:6] = 7
    assert (made.pixel_array == expected).all()
    assert made.BurnedInAnnotation == "NO"
    codes = [item.CodeValue for item in made.DeidentificationMethodCodeSequence]
    assert "113101" in codes


def test_regions_of_an_image_of_another_size_say_nothing(ct_file: Maker) -> None:
    dataset = ct_file(Modality="US", SequenceOfUltrasoundRegions=Sequence([region(0, 0, 9, 6)]))
    with pytest.raises(InstanceSetAside):
        masks(dataset)


@pytest.mark.requirement("DX-ID-07")
def test_known_device_is_masked_by_its_rule(ct_file: Maker) -> None:
    dataset = ct_file(
        Modality="US", Manufacturer="Philips Medical", ManufacturerModelName="iU22", Rows=600
    )
    assert masks(dataset) == Masks(((0, 0, 800, 59),))
    assert masks(ct_file(SeriesDescription="Dose Report")) == Masks(((0, 0, 512, 121),))


@pytest.mark.parametrize("planar", [0, 1])
def test_every_frame_and_sample_is_blanked(planar: int, ct_file: Maker) -> None:
    shape = (2, 3, 4, 6) if planar else (2, 4, 6, 3)
    dataset = ct_file(
        NumberOfFrames=2,
        Rows=4,
        Columns=6,
        SamplesPerPixel=3,
        PlanarConfiguration=planar,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PhotometricInterpretation="RGB",
        PixelData=np.full(shape, 9, np.uint8).tobytes(),
    )
    blank(dataset, Masks(((1, 1, 2, 2),)))
    expected = np.full((2, 4, 6, 3), 9)
    expected[:, 1:3, 1:3] = 0
    stored = np.frombuffer(dataset.PixelData, np.uint8).reshape(shape)
    assert ((np.moveaxis(stored, 1, 3) if planar else stored) == expected).all()


def test_black_of_inverted_images_is_white_in_numbers(ct_file: Maker) -> None:
    dataset = ct_file(PhotometricInterpretation="MONOCHROME1", BitsStored=12)
    blank(dataset, Masks(((0, 0, 1, 1),)))
    assert np.frombuffer(dataset.PixelData, np.uint16)[0] == 4095


def test_compressed_image_is_decoded_and_masked() -> None:
    dataset = pydicom.dcmread(str(get_testdata_file("MR_small_RLE.dcm")))
    assert dataset.file_meta.TransferSyntaxUID == RLELossless
    before = pydicom.dcmread(str(get_testdata_file("MR_small.dcm"))).pixel_array
    blank(dataset, Masks(((0, 0, 64, 10),)))
    assert (dataset.pixel_array[:10] == 0).all()
    assert (dataset.pixel_array[10:] == before[10:]).all()


def test_image_that_claims_to_be_huge_is_set_aside(ct_file: Maker) -> None:
    dataset = ct_file(NumberOfFrames=99_999, Rows=65_535, Columns=65_535)
    with pytest.raises(InstanceSetAside) as error:
        blank(dataset, Masks(((0, 0, 1, 1),)))
    assert error.value.reason == "CANNOT_MASK"


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 200, b"\0" * 128 + b"DICM\x02\0"])
def test_what_is_no_dicom_is_refused(content: bytes, pseudonyms: Pseudonyms) -> None:
    with pytest.raises((UnreadableInstance, InstanceSetAside)):
        Deidentifier(pseudonyms).instance(content)
