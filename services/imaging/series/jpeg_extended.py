"""JPEG of 12 bits (process 4): pydicom asks no decoder for it, but GDCM has one.

GDCM's own compression of a 12-bit picture comes back within one grey value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from services.imaging.series.refusals import UnsupportedCompression

if TYPE_CHECKING:
    from services.imaging.series.decoding import Encoded


def decode(frame: Encoded) -> npt.NDArray[Any]:
    """Return the stored values of a grey frame; raises what GDCM raises.

    Raises
    ------
    UnsupportedCompression, ValueError
    """
    try:
        import gdcm
    except ImportError as error:
        raise UnsupportedCompression(
            "there is no decoder for these pixels", transfer_syntax="JPEG Extended, 12 bit"
        ) from error
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame.content)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((frame.columns, frame.rows, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    extended = gdcm.TransferSyntax.JPEGExtendedProcess2_4
    image.SetTransferSyntax(gdcm.TransferSyntax(extended))
    image.SetPixelFormat(
        gdcm.PixelFormat(1, frame.allocated, frame.bits, frame.bits - 1, int(frame.signed))
    )
    content = image.GetBuffer().encode("utf-8", "surrogateescape")
    if len(content) != frame.rows * frame.columns * frame.dtype.itemsize:
        raise ValueError("an image has other pixels than its header says")
    return np.frombuffer(content, frame.dtype).reshape(frame.shape)
