"""Slides made for tests: drawn tissue, written as DICOM VL WSI and as BigTIFF/SVS.

Glass can be left out, so a slide of 100,000 x 100,000 pixels is a small file.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

Pixels = npt.NDArray[np.uint8]
TileOf = Callable[[int, int], bytes]
Place = tuple[int, int]
"""Column and row of a tile."""

WSI = "1.2.840.10008.5.1.4.1.1.77.1.6"


def tissue(
    rows: int, columns: int, seed: int = 1, spacing_px: int = 48, radius_px: int = 13
) -> Pixels:
    """Return pink tissue with a purple disc on a jittered grid (0.25 um pixels)."""
    generator = np.random.default_rng(seed)
    side = 8 * spacing_px
    noise = generator.normal(0, 3, (side, side, 3))
    picture = np.array([226.0, 168.0, 200.0]) + noise
    y, x = np.mgrid[:side, :side]
    jitter = generator.integers(-5, 6, (2, 8, 8))
    row, column = y // spacing_px, x // spacing_px
    middle_y = row * spacing_px + spacing_px // 2 + jitter[0][row, column]
    middle_x = column * spacing_px + spacing_px // 2 + jitter[1][row, column]
    inside = (y - middle_y) ** 2 + (x - middle_x) ** 2 <= radius_px**2
    picture[inside] = np.array([92.0, 60.0, 140.0]) + noise[inside] * 2
    block = np.clip(picture, 0, 255).astype(np.uint8)
    return np.tile(block, (-(-rows // side), -(-columns // side), 1))[:rows, :columns].copy()


def jpeg(pixels: Pixels, quality: int = 92) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def pyramid(pixels: Pixels, levels: int = 3) -> list[Pixels]:
    """Return the picture at full, half, quarter … size."""
    made = [pixels]
    for _ in range(levels - 1):
        made.append(np.asarray(Image.fromarray(made[-1]).reduce(2)))
    return made


def tile_at(pixels: Pixels, side: int, column: int, row: int) -> Pixels:
    """Return a whole tile, white beyond the picture."""
    tile = np.full((side, side, 3), 255, np.uint8)
    part = pixels[row * side : (row + 1) * side, column * side : (column + 1) * side]
    tile[: part.shape[0], : part.shape[1]] = part
    return tile


@dataclass(frozen=True)
class Coding:
    """How tiles of a DICOM slide are compressed."""

    coded: Callable[[Pixels], bytes]
    syntax: str = JPEGBaseline8Bit
    photometric: str = "YBR_FULL_422"


class TiffLevel:
    """One level: size, tile side, and the bytes of every tile."""

    def __init__(
        self, width: int, height: int, side: int, tile: TileOf, compression: int = 7,
        photometric: int = 6, tables: bytes = b"", description: bytes = b"",
    ) -> None:  # fmt: skip
        self.width, self.height, self.side, self.tile = width, height, side, tile
        self.compression, self.photometric = compression, photometric
        self.tables, self.description = tables, description


def picture_level(pixels: Pixels, side: int = 256, **more: object) -> TiffLevel:
    """Return a level of a picture, JPEG."""
    return TiffLevel(
        pixels.shape[1], pixels.shape[0], side,
        lambda column, row: jpeg(tile_at(pixels, side, column, row)), **more,
    )  # fmt: skip


def write_tiff(path: Path, levels: Sequence[TiffLevel]) -> Path:
    """Write a BigTIFF."""
    with path.open("wb") as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
        known: dict[bytes, int] = {}
        link = 8
        for level in levels:
            across, down = -(-level.width // level.side), -(-level.height // level.side)
            offsets, lengths = [], []
            for number in range(across * down):
                content = level.tile(number % across, number // across)
                if content and content not in known:
                    known[content] = file.tell()
                    file.write(content)
                offsets.append(known.get(content, 0))
                lengths.append(len(content))
            link = _directory(file, level, offsets, lengths, link)
    return path


def _directory(
    file: io.BufferedWriter, level: TiffLevel, offsets: list[int], lengths: list[int], link: int
) -> int:
    count = len(offsets)
    texts = {}
    for tag, content in ((270, level.description), (347, level.tables)):
        if content:
            texts[tag] = (file.tell(), len(content))
            file.write(content.ljust(9, b"\0"))
            texts[tag] = (texts[tag][0], max(len(content), 9))
    tables = {}
    for tag, values in ((324, offsets), (325, lengths)):
        tables[tag] = file.tell() if count > 1 else values[0]
        file.write(struct.pack(f"<{count}Q", *values))
    bits = struct.unpack("<Q", struct.pack("<4H", 8, 8, 8, 0))[0]
    entries = [
        (256, 4, 1, level.width), (257, 4, 1, level.height), (258, 3, 3, bits),
        (259, 3, 1, level.compression), (262, 3, 1, level.photometric),
        (277, 3, 1, 3), (284, 3, 1, 1), (322, 4, 1, level.side), (323, 4, 1, level.side),
        (324, 16, count, tables[324]), (325, 16, count, tables[325]),
        *((tag, 2 if tag == 270 else 7, length, at) for tag, (at, length) in texts.items()),
    ]  # fmt: skip
    at = file.tell()
    file.write(struct.pack("<Q", len(entries)))
    for tag, kind, values, value in sorted(entries):
        file.write(struct.pack("<HHQQ", tag, kind, values, value))
    end = file.tell()
    file.write(struct.pack("<Q", 0))
    file.seek(link)
    file.write(struct.pack("<Q", at))
    file.seek(0, 2)
    return end


def write_dicom(
    folder: Path, levels: Sequence[Pixels], *, side: int = 256, mpp: float = 0.25,
    kind: str = "full", organ: str = "", planes: int = 1, table: str = "basic",
    concatenated: int = 1, coding: Coding | None = None,
) -> list[Path]:  # fmt: skip
    """Write one instance per level (or several, concatenated); return the paths.

    Parameters
    ----------
    kind : "full", or "sparse" where white tiles are left out
    table : "basic", "extended" or "none": how frames are found; "native": uncompressed
    """
    series, frame_of_reference = generate_uid(), generate_uid()
    paths = []
    for number, pixels in enumerate(levels):
        across, down = -(-pixels.shape[1] // side), -(-pixels.shape[0] // side)
        places = [(c, r) for r in range(down) for c in range(across)]
        tiles = {place: tile_at(pixels, side, *place) for place in places}
        if kind == "sparse":
            places = [place for place in places if tiles[place].min() < 250]
        share = -(-len(places) // concatenated)
        for part in range(concatenated):
            some = places[part * share : (part + 1) * share]
            scale = mpp * levels[0].shape[1] / pixels.shape[1]
            dataset = _wsi(pixels.shape[:2], side, scale, some, kind)
            dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = series, frame_of_reference
            dataset.TotalPixelMatrixFocalPlanes = planes
            if concatenated > 1:
                dataset.ConcatenationFrameOffsetNumber = part * share
                dataset.ConcatenationUID = generate_uid(entropy_srcs=[str(number)])
            if organ:
                code = Dataset()
                code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = organ, "SCT", "x"
                dataset.AnatomicRegionSequence = [code]
            _add_pixels(dataset, [tiles[place] for place in some], table, coding)
            path = folder / f"{number}-{part}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            paths.append(path)
    return paths


def write_islands(
    folder: Path, sides: Sequence[int], tiles: Sequence[Mapping[Place, Pixels]], side: int = 512
) -> list[Path]:
    """Write square levels of which only some tiles are there, however large they are."""
    series, frame_of_reference = generate_uid(), generate_uid()
    paths = []
    for number, (size, some) in enumerate(zip(sides, tiles, strict=True)):
        dataset = _wsi((size, size), side, 0.25 * sides[0] / size, list(some), "sparse")
        dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = series, frame_of_reference
        _add_pixels(dataset, list(some.values()), "basic", None)
        paths.append(folder / f"{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _wsi(shape: tuple[int, ...], side: int, mpp: float, places: list[Place], kind: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = WSI, generate_uid()
    dataset.StudyInstanceUID = "1.2.3"
    dataset.Modality = "SM"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.ContainerIdentifier = "slide"
    dataset.Rows = dataset.Columns = side
    dataset.TotalPixelMatrixRows, dataset.TotalPixelMatrixColumns = shape
    dataset.NumberOfFrames = len(places)
    dataset.NumberOfOpticalPaths = 1
    dataset.SamplesPerPixel, dataset.BitsAllocated, dataset.BitsStored = 3, 8, 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.PlanarConfiguration = 7, 0, 0
    measures = Dataset()
    measures.PixelSpacing = [mpp / 1000, mpp / 1000]
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.DimensionOrganizationType = "TILED_FULL" if kind == "full" else "TILED_SPARSE"
    if kind == "sparse":
        dataset.PerFrameFunctionalGroupsSequence = [_place(side, *place) for place in places]
    return dataset


def _place(side: int, column: int, row: int) -> Dataset:
    place = Dataset()
    place.ColumnPositionInTotalImagePixelMatrix = column * side + 1
    place.RowPositionInTotalImagePixelMatrix = row * side + 1
    place.XOffsetInSlideCoordinateSystem = place.YOffsetInSlideCoordinateSystem = 0
    place.ZOffsetInSlideCoordinateSystem = 0
    group = Dataset()
    group.PlanePositionSlideSequence = [place]
    return group


def _add_pixels(dataset: Dataset, tiles: list[Pixels], table: str, coding: Coding | None) -> None:
    dataset.file_meta = FileMetaDataset()
    if table == "native":
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.PhotometricInterpretation = "RGB"
        content = b"".join(tile.tobytes() for tile in tiles)
        dataset.PixelData = content + b"\0" * (len(content) % 2)
        return
    coding = coding or Coding(jpeg)
    dataset.file_meta.TransferSyntaxUID = coding.syntax
    dataset.PhotometricInterpretation = coding.photometric
    frames = [coding.coded(tile) for tile in tiles]
    if table == "extended":
        found = encapsulate_extended(frames)
        dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = found
    else:
        dataset.PixelData = encapsulate(frames, has_bot=table == "basic")
    dataset["PixelData"].is_undefined_length = True
