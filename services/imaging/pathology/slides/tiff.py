"""Tiled TIFF and Aperio SVS as a slide.

Levels are the tiled pictures of one shape; thumbnails, labels and macro pictures are left
out. Scale: Aperio's `MPP`, OME's `PhysicalSizeX`, else the resolution tags.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from services.imaging.pathology.slides import decoding, tags
from services.imaging.pathology.slides.pieces import piece
from services.imaging.pathology.slides.refusals import (
    DamagedSlide,
    FocalPlanes,
    NotASlide,
    UnsuitableSlidePixels,
    UnsupportedSlideCompression,
)
from services.imaging.pathology.slides.slide import Slide, Tiles
from services.imaging.pathology.slides.tags import Directory

Pixels = npt.NDArray[np.uint8]

NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE = 1, 5, 7, 8, 32946
APERIO_YCC, APERIO_RGB, JPEG_2000 = 33003, 33005, 34712
READ = (NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE, APERIO_YCC, APERIO_RGB, JPEG_2000)

RGB, YCBCR = 2, 6
TILE_BYTES_MAX = 64 << 20
DESCRIPTION_MAX = 1 << 20
MICROMETRES = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4}
PER_UNIT_UM = {2: 25_400.0, 3: 10_000.0}
"""Resolution Unit: inch, centimetre."""


class TiffTiles:
    """One tiled picture of a TIFF file."""

    def __init__(self, directory: Directory) -> None:
        self._file: BinaryIO = directory.file
        self.width_px = directory.number(tags.WIDTH, 0)
        self.height_px = directory.number(tags.HEIGHT, 0)
        self.tile_width_px = directory.number(tags.TILE_WIDTH, 0)
        self.tile_height_px = directory.number(tags.TILE_HEIGHT, 0)
        self._compression = directory.number(tags.COMPRESSION, NONE)
        self._predictor = directory.number(tags.PREDICTOR, 1)
        self._photometric = directory.number(tags.PHOTOMETRIC, RGB)
        self._tables = directory.content(tags.JPEG_TABLES)
        _check(directory, self._compression, self._photometric)
        self._offsets = directory.array(tags.TILE_OFFSETS)
        self._lengths = directory.array(tags.TILE_BYTES)
        self._across = -(-self.width_px // max(self.tile_width_px, 1))

    def tile(self, column: int, row: int) -> Pixels | None:
        """Return a tile; see `slide.Tiles`."""
        number = row * self._across + column
        if number >= len(self._offsets) or number >= len(self._lengths):
            raise DamagedSlide("the file lists too few tiles", tiles=len(self._offsets))
        length = int(self._lengths[number])
        if not length:
            return None
        if length > TILE_BYTES_MAX:
            raise DamagedSlide("a tile is too long", bytes=length, limit=TILE_BYTES_MAX)
        return self._decoded(piece(self._file, int(self._offsets[number]), length))

    def _decoded(self, content: bytes) -> Pixels:
        size = self.tile_width_px, self.tile_height_px
        if self._compression == JPEG:
            whole = self._tables[:-2] + content[2:] if len(self._tables) > 4 else content
            return decoding.picture(whole, *size, stored_rgb=self._photometric == RGB)
        if self._compression == APERIO_YCC:
            return decoding.from_luminance(decoding.picture(content, *size))
        if self._compression in (APERIO_RGB, JPEG_2000):
            return decoding.picture(content, *size)
        if self._compression == NONE:
            return decoding.raw(content, *size)
        return decoding.through_tiff(content, *size, self._compression, self._predictor)


def open_tiff(path: Path) -> Slide:
    """Return the slide of a TIFF or SVS file; it stays open until the slide is closed.

    Raises
    ------
    NotASlide, FocalPlanes, MissingScale, DamagedSlide, SlideTooLarge,
    UnsuitableSlidePixels, UnsupportedSlideCompression
    """
    file = path.open("rb")
    try:
        found = tags.directories(file)
        levels = _levels(list(tags.tiled(found)))
        scale = _mpp(found, levels[0])
        tiles: list[Tiles] = [TiffTiles(directory) for directory in levels]
        return Slide(tiles, scale, close=file.close)
    except decoding.UNREADABLE as error:
        file.close()
        raise DamagedSlide("the file of the slide contradicts itself") from error
    except BaseException:
        file.close()
        raise


def _levels(tiled: list[Directory]) -> list[Directory]:
    """Return one picture per level, finest first.

    Raises
    ------
    NotASlide
        Nothing in the file lies in tiles.
    FocalPlanes
        Several pictures of the finest size, or a description that tells of planes.
    """
    if not tiled:
        raise NotASlide("the file holds no tiled picture")
    order = sorted(tiled, key=lambda one: -one.number(tags.WIDTH, 0))
    first = order[0]
    width, height = first.number(tags.WIDTH, 0), first.number(tags.HEIGHT, 0)
    twins = [one for one in order if one.numbers(tags.WIDTH)[:1] == [width]]
    planes = max(
        len(twins), first.number(tags.DEPTH, 1), _stated(_text(first), r'SizeZ="(\d+)"', 1)
    )
    if planes > 1:
        raise FocalPlanes("the slide has several focal planes", planes=planes)
    kept = []
    for one in order:
        across = width / max(one.number(tags.WIDTH, 1), 1)
        down = height / max(one.number(tags.HEIGHT, 1), 1)
        if abs(across - down) <= 0.02 * across + across**2 / max(min(width, height), 1):
            kept.append(one)
    if not kept:
        raise DamagedSlide("a level without a size", smallest=min(width, height))
    return kept


def _check(directory: Directory, compression: int, photometric: int) -> None:
    if compression not in READ:
        raise UnsupportedSlideCompression(
            "the slide's compression is not read", compression=compression
        )
    samples, bits = directory.number(tags.SAMPLES, 1), directory.numbers(tags.BITS)[:3]
    planar = directory.number(tags.PLANAR, 1)
    if samples != 3 or set(bits) != {8} or planar != 1 or photometric not in (RGB, YCBCR):
        raise UnsuitableSlidePixels(
            "the slide is not 8-bit colour", samples=samples, photometric=photometric
        )


def _mpp(found: list[Directory], level: Directory) -> float | None:
    texts = [_text(level), _text(found[0])]
    for text in texts:
        aperio = re.search(r"\bMPP\s*=\s*([0-9.]+)", text)
        if aperio:
            return _float(aperio.group(1))
        ome = re.search(r'PhysicalSizeX="([0-9.eE+-]+)"', text)
        if ome:
            unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', text)
            size = _float(ome.group(1))
            return size and size * MICROMETRES.get(unit.group(1) if unit else "µm", np.nan)
    per_unit = level.ratio(tags.X_RESOLUTION)
    unit_um = PER_UNIT_UM.get(level.number(tags.RESOLUTION_UNIT, 2))
    # 72 and 96 per inch are what programs write that know no scale.
    if not per_unit or not unit_um or unit_um / per_unit > 100:
        return None
    return unit_um / per_unit


def _text(directory: Directory) -> str:
    return directory.content(tags.DESCRIPTION)[:DESCRIPTION_MAX].decode("utf-8", "replace")


def _stated(text: str, pattern: str, otherwise: int) -> int:
    found = re.search(pattern, text)
    return int(found.group(1)[:9]) if found else otherwise


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
