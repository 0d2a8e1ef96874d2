"""One compressed tile to pixels, within limits."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.imaging.pathology.slides.refusals import DamagedSlide

Pixels = npt.NDArray[np.uint8]

FORMATS = ("JPEG", "JPEG2000")
"""What Pillow may take a tile for; nothing else is tried."""

UNREADABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
"""What Pillow's decoders raise over bytes that are no picture."""


def picture(content: bytes, width_px: int, height_px: int, *, stored_rgb: bool = False) -> Pixels:
    """Return a JPEG or JPEG 2000 tile, uint8 (height, width, 3), RGB.

    Parameters
    ----------
    stored_rgb : the file says that a JPEG's components are red, green and blue; libjpeg would
        take them for luminance and colour when the JPEG itself does not say so.

    Raises
    ------
    DamagedSlide
        It cannot be decoded to its end, or has another size.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            if image.size != (width_px, height_px):
                raise DamagedSlide(
                    "a tile has another size than the slide says",
                    columns=image.size[0],
                    rows=image.size[1],
                )
            plain = stored_rgb and image.format == "JPEG" and "adobe_transform" not in image.info
            if plain and image.mode == "RGB":
                image.draft("YCbCr", None)
                return _three(np.asarray(image))
            return _three(np.asarray(image.convert("RGB")))
    except UNREADABLE as error:
        raise DamagedSlide("a tile cannot be decoded") from error


def from_luminance(pixels: Pixels) -> Pixels:
    """Return RGB of pixels whose three planes are luminance and two of colour."""
    return np.asarray(Image.fromarray(pixels, "YCbCr").convert("RGB"))


def raw(content: bytes, width_px: int, height_px: int) -> Pixels:
    """Return an uncompressed tile.

    Raises
    ------
    DamagedSlide
        It has another length.
    """
    wanted = width_px * height_px * 3
    if len(content) not in (wanted, wanted + wanted % 2):
        raise DamagedSlide("a tile has the wrong length", bytes=len(content), wanted=wanted)
    return np.frombuffer(content, np.uint8, wanted).reshape(height_px, width_px, 3)


def _three(pixels: npt.NDArray[np.uint8]) -> Pixels:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise DamagedSlide("a tile does not hold three colours")
    return pixels
