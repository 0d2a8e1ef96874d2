"""The levels of a tiled TIFF or SVS file, and their tiles as DICOM wants them. Pure.

Source: TIFF 6.0, sections 15 (tiled images) and 22 (JPEG, as TIFF Technical Note 2 has it);
Aperio's compression codes; OME-TIFF 6.0 (SubIFDs hold the levels).
"""

from __future__ import annotations

import io
import logging
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import tifffile
from PIL import Image

from services.ingest.elements import UnusableInstance

MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
"""How TIFF and BigTIFF begin."""
PAGES_MAX = 64
TILES_MAX = 400_000
TILE_PX_MAX = 4096
TILE_BYTES_MAX = 64 << 20

OF_GLASS = re.compile(r"^\W*(label|macro|overview|barcode)\b|\r?\n(label|macro)\b", re.IGNORECASE)
"""How Aperio and others name such a picture: at the beginning of a line of its description."""

NONE, JPEG, DEFLATE, OLD_DEFLATE, APERIO_RGB, JPEG_2000 = 1, 7, 8, 32946, 33005, 34712
RGB, YCBCR = 2, 6
NATIVE, BASELINE, J2K = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.91"
MICROMETRES = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4}
PER_UNIT_UM = {2: 25_400.0, 3: 10_000.0}
"""Resolution Unit: inch, centimetre."""
MPP = (0.05, 100.0)
"""Micrometres a pixel of the finest level may be; 72 per inch is what knows no scale."""
ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
"""JPEG marker APP14 that says: no colour transform (ITU-T T.872, 6.5.3)."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a slide."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    syntax: str
    """Transfer syntax that its tiles are in."""
    photometric: str
    mpp: float
    """Micrometres a pixel."""
    page: Any
    source: BinaryIO

    @property
    def tiles(self) -> int:
        """How many tiles cover it."""
        return -(-self.width // self.tile_width) * -(-self.height // self.tile_height)

    def frames(self) -> Iterator[bytes]:
        """Yield its tiles, row by row, as DICOM frames; one that the file lacks is white.

        Raises
        ------
        UnusableInstance
            TRUNCATED
        """
        blank = b""
        places = zip(self.page.dataoffsets, self.page.databytecounts, strict=True)
        for offset, length in places:
            if length:
                yield _frame(self, _piece(self.source, int(offset), int(length)))
            else:
                blank = blank or _blank(self)
                yield blank


def silence() -> None:
    """Keep tifffile from logging what it finds in a file."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)


def levels(source: BinaryIO) -> list[Level]:
    """Return the levels of a slide, the finest first.

    Raises
    ------
    UnusableInstance
        NOT_A_SLIDE, FOCAL_PLANES, SLIDE_COMPRESSION, SLIDE_PIXELS, SLIDE_WITHOUT_SCALE,
        SLIDE_TOO_LARGE or MALFORMED.
    """
    silence()
    try:
        with tifffile.TiffFile(source) as file:
            pages = sorted(_tiled(file), key=lambda page: -page.imagewidth)
            if not pages:
                raise UnusableInstance("the file holds no tiled picture", reason="NOT_A_SLIDE")
            return _levels(file, pages, source)
    except UnusableInstance:
        raise
    except Exception as error:  # a malformed file raises whatever its values lead to
        raise UnusableInstance("the file contradicts itself", reason="MALFORMED") from error


def _tiled(file: Any) -> Iterator[Any]:
    """Yield the tiled pages of the slide, those of SubIFDs too.

    Pictures of the label or of the whole glass show who the patient is. They are left out by
    their name, and where levels are SubIFDs by being no SubIFD of the largest page: scanners
    tile them too, and they may be of the slide's shape.
    """
    pages = []
    for number, page in enumerate(file.pages):
        if number >= PAGES_MAX:
            raise UnusableInstance(f"more than {PAGES_MAX} pictures", reason="SLIDE_TOO_LARGE")
        if page.is_tiled and not OF_GLASS.search(page.description or ""):
            pages.append(page)
    largest = max(pages, key=lambda page: page.imagewidth, default=None)
    if largest is not None and largest.pages:
        below = [page for page in list(largest.pages)[:PAGES_MAX] if page.is_tiled]
        twins = [page for page in pages if page.imagewidth == largest.imagewidth]
        pages = [*twins, *below]
    yield from pages


def _levels(file: Any, pages: list[Any], source: BinaryIO) -> list[Level]:
    first = pages[0]
    twins = [page for page in pages if page.imagewidth == first.imagewidth]
    stated = re.search(r'SizeZ="(\d{1,9})"', first.description or "")
    planes = max(len(twins), first.imagedepth, int(stated[1]) if stated else 1)
    if planes > 1:
        raise UnusableInstance(
            f"the slide has {planes} focal planes; one is read", reason="FOCAL_PLANES"
        )
    scale = _mpp(file, first)
    made = []
    for page in pages:
        across, down = first.imagewidth / page.imagewidth, first.imagelength / page.imagelength
        rounding = across**2 / min(first.imagewidth, first.imagelength)
        if abs(across - down) > 0.02 * across + rounding:
            continue  # of another shape: a macro picture that happens to be tiled
        made.append(_level(page, scale * across, source))
    return made


def _level(page: Any, mpp: float, source: BinaryIO) -> Level:
    bits = page.bitspersample if isinstance(page.bitspersample, int) else 0
    if (page.samplesperpixel, bits, int(page.planarconfig or 1)) != (3, 8, 1):
        raise UnusableInstance("the slide is not 8-bit colour", reason="SLIDE_PIXELS")
    sides = page.tilewidth, page.tilelength
    if max(sides) > TILE_PX_MAX or min(sides) < 1:
        raise UnusableInstance("the tiles of the slide are too large", reason="SLIDE_TOO_LARGE")
    syntax, photometric = _coding(page)
    made = Level(
        int(page.imagewidth), int(page.imagelength), int(page.tilewidth), int(page.tilelength),
        syntax, photometric, mpp, page, source,
    )  # fmt: skip
    if made.tiles > TILES_MAX:
        raise UnusableInstance(f"more than {TILES_MAX} tiles", reason="SLIDE_TOO_LARGE")
    if not len(page.dataoffsets) == len(page.databytecounts) == made.tiles:
        raise UnusableInstance("the slide lists too few tiles", reason="MALFORMED")
    return made


def _coding(page: Any) -> tuple[str, str]:
    """Return transfer syntax and photometric interpretation of a page's tiles."""
    compression, photometric = int(page.compression), int(page.photometric)
    if photometric not in (RGB, YCBCR):
        raise UnusableInstance("the slide is not in RGB or YCbCr", reason="SLIDE_PIXELS")
    if compression == JPEG:
        return BASELINE, "RGB" if photometric == RGB else "YBR_FULL_422"
    if compression in (APERIO_RGB, JPEG_2000):
        return J2K, "RGB"
    predicted = page.predictor is not None and int(page.predictor) != 1
    if compression in (NONE, DEFLATE, OLD_DEFLATE) and photometric == RGB and not predicted:
        return NATIVE, "RGB"
    raise UnusableInstance(
        f"compression {compression} of slides is not taken; JPEG, JPEG 2000, deflate and none are",
        reason="SLIDE_COMPRESSION",
    )


def _mpp(file: Any, page: Any) -> float:
    """Return micrometres a pixel of the finest level: Aperio's, OME's, else the resolution's."""
    found = None
    for text in (page.description or "", file.pages[0].description or ""):
        if aperio := re.search(r"\bMPP\s*=\s*([0-9]+(?:\.[0-9]+)?)", text):
            found = float(aperio[1])
        elif ome := re.search(r'PhysicalSizeX="([0-9.eE+-]{1,20})"', text):
            unit = re.search(r'PhysicalSizeXUnit="([^"]{1,8})"', text)
            found = float(ome[1]) * MICROMETRES.get(unit[1] if unit else "µm", 0.0)
        if found:
            break
    if not found:
        tags = page.tags
        unit_um = PER_UNIT_UM.get(int(tags.valueof("ResolutionUnit", 2)), 0.0)
        count, per = tags.valueof("XResolution", (0, 1))
        found = unit_um * per / count if count else 0.0
    if not MPP[0] <= found <= MPP[1]:
        raise UnusableInstance("the slide does not state its scale", reason="SLIDE_WITHOUT_SCALE")
    return float(found)


def _piece(source: BinaryIO, offset: int, length: int) -> bytes:
    if not 0 < length <= TILE_BYTES_MAX:
        raise UnusableInstance("a tile of the slide is too long", reason="SLIDE_TOO_LARGE")
    source.seek(offset)
    content = source.read(length)
    if len(content) < length:
        raise UnusableInstance("the slide ends within a tile", reason="TRUNCATED")
    return content


def _frame(level: Level, content: bytes) -> bytes:
    """Return a tile as a frame: JPEG with its tables, pixels as they are."""
    if level.syntax == BASELINE:
        tables = level.page.jpegtables or b""
        head = tables[2:-2] if len(tables) > 4 else b""
        colour = ADOBE_RGB if level.photometric == "RGB" and b"Adobe" not in content[:64] else b""
        return b"\xff\xd8" + colour + head + content[2:]
    if level.syntax == NATIVE:
        size = level.tile_width * level.tile_height * 3
        if int(level.page.compression) != NONE:
            content = zlib.decompressobj().decompress(content, size + 1)
        if len(content) != size:
            raise UnusableInstance("a tile of the slide has the wrong length", reason="MALFORMED")
    return content


def _blank(level: Level) -> bytes:
    """Return a white tile."""
    size = level.tile_width, level.tile_height
    if level.syntax == NATIVE:
        return b"\xff" * (size[0] * size[1] * 3)
    buffer = io.BytesIO()
    picture = Image.new("RGB", size, (255, 255, 255))
    if level.syntax == J2K:
        picture.save(buffer, "JPEG2000", no_jp2=True, mct=0)
    elif level.photometric == "RGB":
        picture.save(buffer, "JPEG", keep_rgb=True)
    else:
        picture.save(buffer, "JPEG", subsampling="4:2:2")
    return buffer.getvalue()
