"""How the pixels of a file are stored, as its header states it."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from services.imaging.series.attributes import integer, text, upper

NATIVE = (ExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian)
"""Transfer syntaxes without compression; a deflated file is inflated before."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The Image Pixel module (PS3.3 C.7.6.3) and where the pixels begin."""

    syntax: str
    """Transfer syntax UID, that of the pixels."""

    implicit: bool
    pixels_at: int
    """Where the Pixel Data element begins in the (inflated) file."""

    rows: int
    columns: int
    samples: int
    allocated: int
    bits: int
    high: int
    signed: bool
    planar: int
    photometric: str
    padding: tuple[int, int] | None
    """Lowest and highest stored value that is padding."""

    @property
    def little(self) -> bool:
        """Whether words are little-endian."""
        return self.syntax != ExplicitVRBigEndian

    @property
    def compressed(self) -> bool:
        """Whether frames are encapsulated."""
        return bool(self.syntax) and self.syntax not in NATIVE

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * self.samples * (self.allocated // 8)


def stored(dataset: Dataset, pixels_at: int) -> Stored:
    """Return how a data set's pixels are stored; checks nothing."""
    bits = integer(dataset, "BitsStored")
    signed = bool(integer(dataset, "PixelRepresentation"))
    meta = getattr(dataset, "file_meta", None)
    syntax = text(meta, "TransferSyntaxUID") if meta else ""
    implicit, little = dataset.original_encoding
    if not syntax:
        syntax = str(ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)
        syntax = syntax if little is not False else str(ExplicitVRBigEndian)
    return Stored(
        syntax=syntax,
        implicit=bool(implicit),
        pixels_at=pixels_at,
        rows=integer(dataset, "Rows"),
        columns=integer(dataset, "Columns"),
        samples=integer(dataset, "SamplesPerPixel", 1),
        allocated=integer(dataset, "BitsAllocated"),
        bits=bits,
        high=integer(dataset, "HighBit", bits - 1),
        signed=signed,
        planar=integer(dataset, "PlanarConfiguration"),
        photometric=upper(dataset, "PhotometricInterpretation"),
        padding=_padding(dataset, signed),
    )


def _padding(dataset: Dataset, signed: bool) -> tuple[int, int] | None:
    """Return the range of padding values (PS3.3 C.7.5.1.1.2), or None."""
    value = dataset.get("PixelPaddingValue")
    if value is None or value == "":
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = (value, value if limit is None or limit == "" else limit)
    low, high = sorted(_as_stored(int(end), signed) for end in ends)
    return low, high


def _as_stored(value: int, signed: bool) -> int:
    """Return a padding value as the pixels are stored: some writers forget its sign."""
    if signed and value >= 1 << 15:
        return value - (1 << 16)
    return value if signed or value >= 0 else value + (1 << 16)
