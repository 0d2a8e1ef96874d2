"""A slide as levels of tiles, whatever file it came from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from services.imaging.pathology.slides.refusals import (
    DamagedSlide,
    MissingScale,
    NotASlide,
    SlideTooLarge,
)

Pixels = npt.NDArray[np.uint8]

SIDE_PX_MAX = 1 << 20
"""Pixels along one side of a level."""

TILE_PX_MAX = 4096 * 4096
TILES_MAX = 4_000_000
LEVELS_MAX = 32
CACHE_BYTES = 64 << 20
MPP_RANGE = (0.05, 100.0)
WHITE = 255


class Tiles(Protocol):
    """The tiles of one level, in whatever file they lie."""

    width_px: int
    height_px: int
    tile_width_px: int
    tile_height_px: int

    def tile(self, column: int, row: int) -> Pixels | None:
        """Return a tile, uint8 (tile height, tile width, 3), RGB; None: nothing is there.

        Raises
        ------
        DamagedSlide, UnsupportedSlideCompression
        """


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the pyramid."""

    width_px: int
    height_px: int
    downsample: float
    """Pixels of level 0 for one of this level."""

    sop_uid: str = ""
    """SOP instance UID where the level is a DICOM instance."""


class Slide:
    """A slide that is open; level 0 is the finest. Close it when done."""

    def __init__(
        self,
        tiles: Sequence[Tiles],
        mpp: float | None,
        *,
        close: Callable[[], None] = lambda: None,
        sop_uids: Sequence[str] = (),
        organ: str = "",
    ) -> None:
        order = sorted(range(len(tiles)), key=lambda at: -tiles[at].width_px)
        self._tiles = [tiles[at] for at in order]
        uids = [sop_uids[at] if at < len(sop_uids) else "" for at in order]
        self.levels = _levels(self._tiles, uids)
        self.mpp = _checked_scale(mpp)
        """Micrometres per pixel of level 0."""
        self.organ = organ
        """SNOMED CT code of the organ where the file states one, else ""."""
        self._close = close
        self._kept: OrderedDict[tuple[int, int, int], Pixels | None] = OrderedDict()
        self._kept_bytes = 0

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Return pixels of a level, uint8 (height, width, 3), RGB; white beyond the slide.

        `x` and `y` count pixels of that level. Memory: the region and the kept tiles.
        """
        tiles = self._tiles[level]
        found = np.full((height, width, 3), WHITE, np.uint8)
        wide, high = tiles.tile_width_px, tiles.tile_height_px
        left, right = max(x, 0), min(x + width, tiles.width_px)
        top, bottom = max(y, 0), min(y + height, tiles.height_px)
        if left >= right or top >= bottom:
            return found
        for row in range(top // high, (bottom - 1) // high + 1):
            for column in range(left // wide, (right - 1) // wide + 1):
                pixels = self._tile(level, column, row)
                if pixels is None:
                    continue
                a, b = max(left, column * wide), min(right, (column + 1) * wide)
                c, d = max(top, row * high), min(bottom, (row + 1) * high)
                found[c - y : d - y, a - x : b - x] = pixels[
                    c - row * high : d - row * high, a - column * wide : b - column * wide
                ]
        return found

    def finest_for(self, mpp: float) -> int:
        """Return the coarsest level whose pixels are no larger than `mpp` (by 5%)."""
        fit = [
            number
            for number, level in enumerate(self.levels)
            if self.mpp * level.downsample <= mpp * 1.05
        ]
        return fit[-1] if fit else 0

    def close(self) -> None:
        """Close the files."""
        self._kept.clear()
        self._close()

    def _tile(self, level: int, column: int, row: int) -> Pixels | None:
        key = (level, column, row)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        pixels = self._tiles[level].tile(column, row)
        self._kept[key] = pixels
        self._kept_bytes += pixels.nbytes if pixels is not None else 0
        while self._kept_bytes > CACHE_BYTES and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._kept_bytes -= old.nbytes if old is not None else 0
        return pixels


def _levels(tiles: Sequence[Tiles], sop_uids: Sequence[str]) -> tuple[Level, ...]:
    if not tiles:
        raise NotASlide("the files hold no tiled picture of a slide")
    if len(tiles) > LEVELS_MAX:
        raise SlideTooLarge("a slide has too many levels", levels=len(tiles), limit=LEVELS_MAX)
    for one in tiles:
        _check_size(one)
    first = tiles[0]
    found = []
    for one, uid in zip(tiles, sop_uids, strict=True):
        across, down = first.width_px / one.width_px, first.height_px / one.height_px
        if abs(across - down) > 0.05 * max(across, down) + max(across, down) ** 2 / min(
            first.width_px, first.height_px
        ):
            raise DamagedSlide("levels of different shape", across=across, down=down)
        found.append(Level(one.width_px, one.height_px, across, uid))
    return tuple(found)


def _check_size(tiles: Tiles) -> None:
    """Refuse absurd sizes before anything of that size is held."""
    sides = (tiles.width_px, tiles.height_px, tiles.tile_width_px, tiles.tile_height_px)
    if min(sides) < 1:
        raise DamagedSlide("a level without a size", smallest=min(sides))
    if max(sides) > SIDE_PX_MAX:
        raise SlideTooLarge("a level is too large", pixels=max(sides), limit=SIDE_PX_MAX)
    if tiles.tile_width_px * tiles.tile_height_px > TILE_PX_MAX:
        raise SlideTooLarge(
            "a tile is too large",
            pixels=tiles.tile_width_px * tiles.tile_height_px,
            limit=TILE_PX_MAX,
        )
    count = -(-tiles.width_px // tiles.tile_width_px) * -(-tiles.height_px // tiles.tile_height_px)
    if count > TILES_MAX:
        raise SlideTooLarge("a level has too many tiles", tiles=count, limit=TILES_MAX)


def _checked_scale(mpp: float | None) -> float:
    if mpp is None or not MPP_RANGE[0] <= mpp <= MPP_RANGE[1]:
        stated = {} if mpp is None or not np.isfinite(mpp) else {"mpp": mpp}
        raise MissingScale("the slide does not say how large a pixel is", **stated)
    return float(mpp)
