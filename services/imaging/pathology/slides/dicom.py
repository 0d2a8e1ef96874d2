"""DICOM VL Whole Slide Microscopy as a slide: one instance or concatenation per level.

Source: DICOM PS3.3 A.32.8 and C.8.12.4 (Whole Slide Microscopy Image).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder

from services.imaging.pathology.slides import decoding, frames
from services.imaging.pathology.slides.frames import Frames
from services.imaging.pathology.slides.refusals import (
    DamagedSlide,
    FocalPlanes,
    MixedSlides,
    NotASlide,
    UnsuitableSlidePixels,
    UnsupportedSlideCompression,
)
from services.imaging.pathology.slides.slide import Slide, Tiles
from services.imaging.series.attributes import UNREADABLE

Pixels = npt.NDArray[np.uint8]

VL_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
VOLUME = "VOLUME"
JPEG_LIKE = {
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
}
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
FILES_MAX = 2_000


@dataclass(slots=True)
class _File:
    """One open instance: where its frames lie and which of the level's frames they are."""

    file: BinaryIO
    dataset: Dataset
    frames: Frames
    first: int
    """Frames of the concatenation before this file."""


@dataclass(slots=True)
class DicomTiles:
    """The frames of one level, by column and row."""

    width_px: int
    height_px: int
    tile_width_px: int
    tile_height_px: int
    sop_uid: str
    photometric: str
    syntax: str
    files: list[_File] = field(default_factory=list)
    sparse: dict[tuple[int, int], int] | None = None
    """Frame of each place, where the slide says so (TILED_SPARSE); None: row by row."""

    def tile(self, column: int, row: int) -> Pixels | None:
        """Return a tile; see `slide.Tiles`."""
        if self.sparse is None:
            number = row * -(-self.width_px // self.tile_width_px) + column
        elif (column, row) in self.sparse:
            number = self.sparse[column, row]
        else:
            return None
        for one in self.files:
            if one.first <= number < one.first + len(one.frames.starts):
                content = one.frames.read(one.file, number - one.first)
                return self._decoded(content, one.dataset)
        raise DamagedSlide("a frame of the slide is in none of its files", frame=number)

    def _decoded(self, content: bytes, dataset: Dataset) -> Pixels:
        size = self.tile_width_px, self.tile_height_px
        if self.syntax in JPEG_LIKE:
            return decoding.picture(content, *size, stored_rgb=self.photometric == "RGB")
        if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            pixels = decoding.raw(content, *size)
            if int(dataset.get("PlanarConfiguration") or 0) == 1:
                pixels = pixels.reshape(3, *size[::-1]).transpose(1, 2, 0)
            return pixels if self.photometric == "RGB" else decoding.from_luminance(pixels)
        return _by_pydicom(content, dataset, size)


def open_dicom(paths: Sequence[Path]) -> Slide:
    """Return the slide of a series' files; they stay open until the slide is closed.

    Raises
    ------
    NotASlide, FocalPlanes, MixedSlides, MissingScale, DamagedSlide, SlideTooLarge,
    UnsuitableSlidePixels, UnsupportedSlideCompression
    """
    with ExitStack() as stack:
        levels: dict[tuple[int, int], DicomTiles] = {}
        first: Dataset | None = None
        for path in paths[:FILES_MAX]:
            file = stack.enter_context(path.open("rb"))
            try:
                dataset = pydicom.dcmread(file, stop_before_pixels=True)
                if not _is_volume(dataset):
                    continue
                _check(dataset, first)
                first = first or dataset
                _add(levels, file, dataset)
            except UNREADABLE as error:
                raise DamagedSlide("a file of the slide cannot be read") from error
        if first is None:
            raise NotASlide("the series holds no picture of a slide", files=len(paths))
        tiles = list(levels.values())
        finest = max(tiles, key=lambda one: one.width_px)
        close = stack.pop_all().close
        return _slide(tiles, _mpp(finest), _organ(first), close)


def _slide(
    tiles: list[DicomTiles], mpp: float | None, organ: str, close: Callable[[], None]
) -> Slide:
    try:
        uids = [one.sop_uid for one in tiles]
        return Slide(cast(list[Tiles], tiles), mpp, close=close, sop_uids=uids, organ=organ)
    except BaseException:
        close()
        raise


def _is_volume(dataset: Dataset) -> bool:
    """Tell whether an instance is a level; labels, overviews and thumbnails are not."""
    kinds = [str(kind) for kind in dataset.get("ImageType") or ()]
    return str(dataset.get("SOPClassUID")) == VL_WHOLE_SLIDE and VOLUME in kinds[2:3]


def _check(dataset: Dataset, first: Dataset | None) -> None:
    planes = int(dataset.get("TotalPixelMatrixFocalPlanes") or 1)
    if planes > 1:
        raise FocalPlanes("the slide has several focal planes", planes=planes)
    paths = int(dataset.get("NumberOfOpticalPaths") or 1)
    if paths > 1:
        raise MixedSlides("the slide has several optical paths", optical_paths=paths)
    same = ("SeriesInstanceUID", "ContainerIdentifier", "FrameOfReferenceUID")
    if first is not None and any(dataset.get(name) != first.get(name) for name in same):
        raise MixedSlides("the series holds several slides")
    photometric = str(dataset.get("PhotometricInterpretation"))
    bits = int(dataset.get("BitsAllocated") or 0), int(dataset.get("SamplesPerPixel") or 0)
    if bits != (8, 3) or photometric not in COLOURS:
        raise UnsuitableSlidePixels(
            "the slide is not 8-bit colour", samples=bits[1], photometric=photometric
        )
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated and str(syntax) not in JPEG_LIKE:
        try:
            available = bool(get_decoder(syntax).is_available)
        except NotImplementedError:
            available = False
        if not available:
            raise UnsupportedSlideCompression(
                "the slide's compression is not read", transfer_syntax=syntax
            )


def _add(levels: dict[tuple[int, int], DicomTiles], file: BinaryIO, dataset: Dataset) -> None:
    """Add an instance to its level."""
    count = int(dataset.get("NumberOfFrames") or 1)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    size = int(dataset.TotalPixelMatrixColumns), int(dataset.TotalPixelMatrixRows)
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_deflated:
        raise UnsupportedSlideCompression(
            "the slide's compression is not read", transfer_syntax=syntax
        )
    where = frames.locate(file, dataset, rows * columns * 3, count)
    first = int(dataset.get("ConcatenationFrameOffsetNumber") or 0)
    level = levels.get(size)
    if level is None:
        level = levels[size] = DicomTiles(
            *size, columns, rows, str(dataset.SOPInstanceUID),
            str(dataset.PhotometricInterpretation), str(syntax),
        )  # fmt: skip
    elif any(one.first == first for one in level.files):
        raise MixedSlides("two instances of one level in the series", columns=size[0])
    if str(dataset.get("DimensionOrganizationType") or "") != "TILED_FULL":
        level.sparse = (level.sparse or {}) | _places(dataset, columns, rows, first)
    # What was needed of them is known, and per-frame items are large.
    dataset.pop("PerFrameFunctionalGroupsSequence", None)
    level.files.append(_File(file, dataset, where, first))


def _places(dataset: Dataset, columns: int, rows: int, first: int) -> dict[tuple[int, int], int]:
    """Return the frame of each tile's place."""
    found: dict[tuple[int, int], int] = {}
    depths = set()
    for number, group in enumerate(dataset.get("PerFrameFunctionalGroupsSequence") or ()):
        place = group.PlanePositionSlideSequence[0]
        left = int(place.ColumnPositionInTotalImagePixelMatrix) - 1
        top = int(place.RowPositionInTotalImagePixelMatrix) - 1
        depths.add(float(place.get("ZOffsetInSlideCoordinateSystem") or 0.0))
        if left % columns or top % rows:
            raise DamagedSlide("tiles that lie across each other", column=left, row=top)
        found[left // columns, top // rows] = first + number
    if len(depths) > 1:
        raise FocalPlanes("the slide has several focal planes", planes=len(depths))
    if not found:
        raise DamagedSlide("the slide does not say where its tiles lie")
    return found


def _mpp(level: DicomTiles) -> float | None:
    """Return micrometres per pixel: Pixel Spacing, else the imaged width."""
    dataset = level.files[0].dataset
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    measures: Any = shared[0].get("PixelMeasuresSequence") or [Dataset()]
    spacing = measures[0].get("PixelSpacing")
    if spacing:
        return float(spacing[1]) * 1000.0
    width_mm = dataset.get("ImagedVolumeWidth")
    return float(width_mm) * 1000.0 / level.width_px if width_mm else None


def _organ(dataset: Dataset) -> str:
    """Return the SNOMED CT code of the specimen's structure, or ""."""
    for specimen in dataset.get("SpecimenDescriptionSequence") or ():
        for code in specimen.get("PrimaryAnatomicStructureSequence") or ():
            return str(code.get("CodeValue") or "")
    for code in dataset.get("AnatomicRegionSequence") or ():
        return str(code.get("CodeValue") or "")
    return ""


def _by_pydicom(content: bytes, dataset: Dataset, size: tuple[int, int]) -> Pixels:
    """Return a frame of another compression (JPEG-LS, RLE, lossless JPEG)."""
    from pydicom.encaps import encapsulate

    one = Dataset()
    for name in (
        "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns",
        "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    ):  # fmt: skip
        if name in dataset:
            setattr(one, name, dataset[name].value)
    one.NumberOfFrames = 1
    one.file_meta = dataset.file_meta
    one.PixelData = encapsulate([content])
    try:
        pixels, _ = get_decoder(dataset.file_meta.TransferSyntaxUID).as_array(one, index=0)
    except (*UNREADABLE, RuntimeError) as error:
        raise DamagedSlide("a tile cannot be decoded") from error
    if pixels.shape != (size[1], size[0], 3):
        raise DamagedSlide("a tile has another size than the slide says", rows=pixels.shape[0])
    return np.asarray(pixels, np.uint8)
