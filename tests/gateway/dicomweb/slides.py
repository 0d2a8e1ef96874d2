"""A small whole slide of two levels, JPEG tiles, and the heat map that lies over it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from tests.gateway.dicomweb.images import STUDY, made

SLIDE, HEAT = f"{STUDY}.21", f"{STUDY}.22"
WSI, SEG = "1.2.840.10008.5.1.4.1.1.77.1.6", "1.2.840.10008.5.1.4.1.1.66.4"
TILE, SIDE = 64, 512
DROPPED = ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "PixelSpacing",
           "ImagePositionPatient", "ImageOrientationPatient")  # fmt: skip


def colours(side: int) -> np.ndarray:
    """Return a picture of four quarters: red, green, blue, grey."""
    half = side // 2
    picture = np.zeros((side, side, 3), np.uint8)
    picture[:half, :half], picture[:half, half:] = (200, 40, 40), (40, 180, 40)
    picture[half:, :half], picture[half:, half:] = (40, 40, 200), (150, 150, 150)
    return picture


def level(number: int, side: int) -> FileDataset:
    """Return one level of the slide."""
    picture, tiles = colours(side), []
    for top in range(0, side, TILE):
        for left in range(0, side, TILE):
            stream = io.BytesIO()
            tile = picture[top : top + TILE, left : left + TILE]
            Image.fromarray(tile).save(stream, "JPEG", quality=95)
            tiles.append(stream.getvalue())
    dataset = _plain(
        number, series=SLIDE, modality="SM", sop_class=WSI, SamplesPerPixel=3,
        PhotometricInterpretation="YBR_FULL_422", PlanarConfiguration=0, Rows=TILE, Columns=TILE,
        NumberOfFrames=len(tiles), TotalPixelMatrixColumns=side, TotalPixelMatrixRows=side,
        ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], ImagedVolumeWidth=0.512,
        ImagedVolumeHeight=0.512, PixelData=encapsulate(tiles),
    )  # fmt: skip
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return dataset


def heat() -> FileDataset:
    """Return a heat map of 8 x 8 shares: 1 in the lower right quarter, 0 elsewhere."""
    shares = np.zeros((8, 8), np.uint8)
    shares[4:, 4:] = 255
    return _plain(
        1, series=HEAT, modality="SEG", sop_class=SEG, SamplesPerPixel=1, Rows=8, Columns=8,
        PhotometricInterpretation="MONOCHROME2", NumberOfFrames=1, TotalPixelMatrixColumns=8,
        TotalPixelMatrixRows=8, SegmentationType="FRACTIONAL", PixelData=shares.tobytes(),
    )  # fmt: skip


def _plain(number: int, **said: Any) -> FileDataset:
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    dataset = made(number, **bits, **said)
    for keyword in DROPPED:
        del dataset[keyword]
    return dataset
