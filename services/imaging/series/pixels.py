"""Stored pixels of any width, sign and coding to numbers; of CT to HU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.uid import UID

from services.imaging.series import codestream, extract, plain_file
from services.imaging.series.archive import File
from services.imaging.series.decoding import Decode, Encoded, check_decoder, decode_here
from services.imaging.series.headers import Header
from services.imaging.series.refusals import (
    DamagedSeries,
    DerivedImages,
    MissingRescale,
    UnsuitablePixels,
    UnsupportedCompression,
)
from services.imaging.series.stored import NATIVE, Stored

__all__ = ["AIR_HU", "Decode", "Slice", "check", "decode_here", "to_hounsfield", "values"]

AIR_HU, METAL_HU = -1024, 32767
"""What CT numbers are clipped to; padding becomes air."""

SIDE_MAX = 2048
SLOPE = (1e-4, 1e3)
INTERCEPT_MAX = 1e6

GREY = ("MONOCHROME1", "MONOCHROME2")
"""MONOCHROME1 asks for an inverted display; the stored values mean the same (PS3.3 C.7.6.3)."""

HU_TYPES = frozenset(("", "HU", "US", "HU_MOD", "UNSPECIFIED"))
"""Rescale types whose values are CT numbers: enhanced CT of other quantities says which."""

Slice = npt.NDArray[np.int16]
Values = npt.NDArray[np.int32]


def check(header: Header) -> None:
    """Make sure that the pixels can become HU, before any is decoded.

    Raises
    ------
    UnsuitablePixels, MissingRescale, UnsupportedCompression, DerivedImages
    """
    stored = header.stored
    if stored.photometric not in GREY or stored.samples != 1:
        raise UnsuitablePixels("the pixels are not grey values", photometric=stored.photometric)
    if not (0 < stored.rows <= SIDE_MAX and 0 < stored.columns <= SIDE_MAX):
        raise UnsuitablePixels(
            "the image is empty or larger than CT", rows=stored.rows, columns=stored.columns
        )
    check_layout(stored)
    if header.rescale_type not in HU_TYPES:
        raise DerivedImages("the values are not CT numbers", quantity=header.rescale_type)
    _check_rescale(header)


def _check_rescale(header: Header) -> None:
    if header.rescale is None or header.rescale[0] == 0:
        raise MissingRescale("a slice does not say how its values become HU")
    slope, intercept = header.rescale
    if not SLOPE[0] <= slope <= SLOPE[1] or abs(intercept) > INTERCEPT_MAX:
        raise MissingRescale(
            "a slice's values cannot become HU", slope=f"{slope:g}", intercept=f"{intercept:g}"
        )


def check_layout(stored: Stored) -> None:
    """Make sure that values can be read out of the bytes.

    Raises
    ------
    UnsuitablePixels, UnsupportedCompression
    """
    bits, high = stored.bits, stored.high
    if (
        stored.allocated not in (8, 16, 32)
        or not 1 <= bits <= min(stored.allocated, 24)
        or (not bits - 1 <= high < stored.allocated)
    ):
        raise UnsuitablePixels(
            "the layout of a pixel is not one that is read",
            stored=bits,
            allocated=stored.allocated,
            high=high,
        )
    if not stored.little and stored.allocated == 8:
        raise UnsuitablePixels("bytes in big-endian words are not read", allocated=8)
    if not stored.compressed:
        return
    if not UID(stored.syntax).is_transfer_syntax or stored.syntax in NATIVE:
        raise UnsupportedCompression("the transfer syntax is not known", transfer_syntax="unknown")
    check_decoder(stored.syntax)


def values(
    file: File, stored: Stored, frames: int, wanted: frozenset[int], decode: Decode
) -> Iterator[tuple[int, Values]]:
    """Yield (frame from 0, stored values) of the wanted frames of a file, in order.

    int32, (rows, columns) or (rows, columns, samples); high bits that are no value (old
    overlays) are removed.

    Raises
    ------
    DamagedSeries, LyingTransferSyntax, UnsupportedCompression
    """
    with plain_file.opened(file) as stream:
        for number, content in enumerate(extract.frames_of(stream, stored, frames)):
            if number in wanted:
                yield number, _significant(_frame(content, stored, decode), stored)
            if number >= max(wanted):
                return


def _frame(content: bytes, stored: Stored, decode: Decode) -> npt.NDArray[Any]:
    shape = (stored.rows, stored.columns)
    if not stored.compressed:
        return _native(content, stored, shape)
    codestream.check(content, stored.syntax, *shape, samples=stored.samples, bits=stored.allocated)
    return decode(
        Encoded(
            content,
            stored.syntax,
            *shape,
            stored.samples,
            stored.allocated,
            stored.bits,
            stored.signed,
            stored.planar,
            stored.photometric,
        )
    )


def _native(content: bytes, stored: Stored, shape: tuple[int, int]) -> npt.NDArray[Any]:
    order = "<" if stored.little else ">"
    flat = np.frombuffer(content, f"{order}u{stored.allocated // 8}")
    if stored.samples == 1:
        return flat.reshape(shape)
    if stored.planar:
        return np.moveaxis(flat.reshape((stored.samples, *shape)), 0, -1)
    return flat.reshape((*shape, stored.samples))


def _significant(values: npt.NDArray[Any], stored: Stored) -> Values:
    """Return the value bits of each word, with their sign."""
    wide: Values = values.astype(np.int64 if stored.allocated == 32 else np.int32)
    wide = (wide >> (stored.high + 1 - stored.bits)) & ((1 << stored.bits) - 1)
    if stored.signed:
        half = 1 << (stored.bits - 1)
        wide = (wide ^ half) - half
    return np.asarray(wide, np.int32)


def to_hounsfield(stored: Values, header: Header) -> Slice:
    """Return one slice in HU, int16, (rows, columns), clipped to -1024 and more.

    Source: DICOM PS3.3 C.11.1 (rescale) and C.7.5.1.1.2 (padding).
    """
    if stored.shape != (header.rows, header.columns):
        raise DamagedSeries("a slice has other pixels than its header says")
    slope, intercept = header.rescale or (1.0, 0.0)
    if slope == 1.0 and intercept == int(intercept):
        hu = np.clip(stored + np.int32(intercept), AIR_HU, METAL_HU)
    else:
        scaled = stored * np.float32(slope) + np.float32(intercept)
        hu = np.clip(np.rint(scaled), AIR_HU, METAL_HU)
    result = hu.astype(np.int16)
    if header.stored.padding is not None:
        low, high = header.stored.padding
        result[(stored >= low) & (stored <= high)] = AIR_HU
    return np.asarray(result, np.int16)
