"""One compressed frame to its stored values, by the one decoder chosen for its syntax.

No second decoder is tried when the first fails: the most lenient of them returns a picture for
streams that the others call damaged.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from services.imaging.series import jpeg_extended
from services.imaging.series.attributes import UNREADABLE
from services.imaging.series.refusals import DamagedSeries, UnsupportedCompression

DECODERS = {
    str(JPEGBaseline8Bit): "pillow",
    str(JPEGExtended12Bit): "pillow",
    str(JPEGLossless): "gdcm",
    str(JPEGLosslessSV1): "gdcm",
    str(JPEGLSLossless): "pyjpegls",
    str(JPEGLSNearLossless): "pyjpegls",
    str(JPEG2000Lossless): "pylibjpeg",
    str(JPEG2000): "pylibjpeg",
    str(HTJ2KLossless): "pylibjpeg",
    str(HTJ2KLosslessRPCL): "pylibjpeg",
    str(HTJ2K): "pylibjpeg",
    str(RLELossless): "pylibjpeg",
}
"""Transfer syntax UID to the plugin of pydicom that decodes it."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One compressed frame and what a decoder must know of it."""

    content: bytes
    syntax: str
    rows: int
    columns: int
    samples: int
    allocated: int
    bits: int
    signed: bool
    planar: int
    photometric: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the decoded frame."""
        grey = (self.rows, self.columns)
        return grey if self.samples == 1 else (*grey, self.samples)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the decoded frame."""
        return np.dtype(f"{'i' if self.signed else 'u'}{self.allocated // 8}")


class Decode(Protocol):
    """Decodes one compressed frame."""

    def __call__(self, frame: Encoded) -> npt.NDArray[Any]:
        """Return the stored values, of the frame's `shape` and `dtype`.

        Raises
        ------
        DamagedSeries
            They do not decode, take too long or too much memory, or the decoder crashed.
        UnsupportedCompression
        """


def check_decoder(syntax: str) -> None:
    """Make sure that there is a decoder.

    Raises
    ------
    UnsupportedCompression
    """
    plugin = DECODERS.get(syntax)
    if plugin is None or plugin not in get_decoder(UID(syntax)).available_plugins:
        name = UID(syntax).name if syntax else "not stated"
        raise UnsupportedCompression("there is no decoder for these pixels", transfer_syntax=name)


def decode_here(frame: Encoded) -> npt.NDArray[Any]:
    """Decode in this process: a native decoder that crashes takes it along; see `Decode`."""
    check_decoder(frame.syntax)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            values = _decoded(frame)
    except (*UNREADABLE, RuntimeError, MemoryError, SystemError) as error:
        raise DamagedSeries("the pixels of an image do not decode") from error
    if values.shape != frame.shape:
        raise DamagedSeries("an image has other pixels than its header says")
    return np.asarray(values, frame.dtype)


def _decoded(frame: Encoded) -> npt.NDArray[Any]:
    if frame.syntax == JPEGExtended12Bit and frame.bits != 8 and frame.samples == 1:
        return jpeg_extended.decode(frame)
    decoder, plugin = get_decoder(UID(frame.syntax)), DECODERS[frame.syntax]
    values, _ = decoder.as_array(_dataset(frame), raw=True, index=0, decoding_plugin=plugin)
    return np.asarray(values)


def _dataset(frame: Encoded) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(frame.syntax)
    made.Rows, made.Columns = frame.rows, frame.columns
    made.SamplesPerPixel, made.PhotometricInterpretation = frame.samples, frame.photometric
    made.BitsAllocated, made.BitsStored = frame.allocated, frame.bits
    made.HighBit, made.PixelRepresentation = frame.bits - 1, int(frame.signed)
    if frame.samples > 1:
        made.PlanarConfiguration = frame.planar
    made.PixelData = encapsulate([frame.content])
    made["PixelData"].VR = "OB"
    return made
