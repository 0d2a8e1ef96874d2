"""Stored pixels to HU: any stored width, sign and compression the decoders know."""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from services.imaging.series.headers import UNREADABLE, Header
from services.imaging.series.refusals import (
    DamagedSeries,
    MissingRescale,
    UnsuitablePixels,
    UnsupportedCompression,
)

AIR_HU, METAL_HU = -1024, 32767
"""What CT numbers are clipped to; padding becomes air."""

SIDE_MAX = 2048

GREY = ("MONOCHROME1", "MONOCHROME2")
"""MONOCHROME1 asks for an inverted display; the stored values mean the same (PS3.3 C.7.6.3)."""

Slice = npt.NDArray[np.int16]


class Decode(Protocol):
    """Decodes the pixels of one file."""

    def __call__(self, content: bytes, frame: int) -> npt.NDArray[Any]:
        """Return the stored values of one frame (from 0) of a file, as they were encoded.

        Raises
        ------
        DamagedSeries
            They do not decode, take too long or too much memory, or the decoder crashed.
        """


def decode_here(content: bytes, frame: int) -> npt.NDArray[Any]:
    """Decode in this process: for pixels that no native decoder touches, and for tests."""
    raise NotImplementedError


def check(header: Header, dataset: Dataset) -> None:
    """Make sure that the pixels can become HU, before any is decoded.

    Raises
    ------
    UnsuitablePixels, MissingRescale, UnsupportedCompression
    """
    if header.photometric not in GREY or int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise UnsuitablePixels("the pixels are not grey values", photometric=header.photometric)
    if not (0 < header.rows <= SIDE_MAX and 0 < header.columns <= SIDE_MAX):
        raise UnsuitablePixels(
            "the image is empty or larger than CT", rows=header.rows, columns=header.columns
        )
    stored, allocated = int(dataset.get("BitsStored") or 0), int(dataset.get("BitsAllocated") or 0)
    high = int(dataset.get("HighBit") if dataset.get("HighBit") is not None else stored - 1)
    if allocated not in (8, 16) or not 1 <= stored <= allocated or high != stored - 1:
        raise UnsuitablePixels(
            "the layout of a pixel is not one CT uses",
            stored=stored,
            allocated=allocated,
            high=high,
        )
    if header.rescale is None or header.rescale[0] == 0:
        raise MissingRescale("a slice does not say how its values become HU")
    _check_decoder(dataset)


def to_hounsfield(dataset: Dataset, header: Header) -> Slice:
    """Return one slice in HU, int16, (rows, columns), clipped to -1024 and more.

    Raises
    ------
    DamagedSeries
        The pixels are fewer than stated or do not decode.

    Source: DICOM PS3.3 C.11.1 (rescale) and C.7.5.1.1.2 (padding).
    """
    slope, intercept = header.rescale or (1.0, 0.0)
    stored = _stored(dataset)
    if stored.shape != (header.rows, header.columns):
        raise DamagedSeries("a slice has other pixels than its header says")
    padding = _padding(dataset, stored)
    if slope == 1.0 and intercept == int(intercept):
        hu = stored + np.int32(intercept)
    else:
        hu = np.rint(stored * np.float32(slope) + np.float32(intercept))
    result = np.clip(hu, AIR_HU, METAL_HU).astype(np.int16)
    if padding is not None:
        result[padding] = AIR_HU
    return np.asarray(result, np.int16)


def _check_decoder(dataset: Dataset) -> None:
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or ""))
    if syntax and not syntax.is_compressed:
        return
    try:
        if get_decoder(syntax).is_available:
            return
    except NotImplementedError:
        pass
    name = syntax.name if syntax else "not stated"
    raise UnsupportedCompression("there is no decoder for these pixels", transfer_syntax=name)


def _stored(dataset: Dataset) -> npt.NDArray[np.int32]:
    """Return stored values, int32, with unused high bits (old overlays) removed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            values = pixel_array(dataset, raw=True)
    except (*UNREADABLE, RuntimeError) as error:
        raise DamagedSeries("the pixels of a slice do not decode") from error
    bits = int(dataset.BitsStored)
    wide = values.astype(np.int32) & ((1 << bits) - 1)
    if int(dataset.get("PixelRepresentation") or 0):
        wide = np.where(wide >= 1 << (bits - 1), wide - (1 << bits), wide)
    return np.asarray(wide, np.int32)


def _padding(dataset: Dataset, stored: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_] | None:
    """Return where pixels are padding, or None."""
    value = dataset.get("PixelPaddingValue")
    if value is None or value == "":
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = sorted(
        _signed(int(end), dataset) for end in (value, value if limit in (None, "") else limit)
    )
    return np.asarray((stored >= ends[0]) & (stored <= ends[1]))


def _signed(value: int, dataset: Dataset) -> int:
    """Return a padding value as the pixels are stored: some writers forget its sign."""
    signed = bool(int(dataset.get("PixelRepresentation") or 0))
    if signed and value >= 1 << 15:
        return value - (1 << 16)
    return value if signed or value >= 0 else value + (1 << 16)
