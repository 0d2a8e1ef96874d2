"""The three open sets, as arrays. Reading takes seconds; nothing is kept on disk."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Nuclei:
    """H&E tiles with nuclei."""

    pixels: Pixels
    """(n, rows, columns, 3), RGB."""

    instances: Labels
    """(n, rows, columns): 0 background, otherwise the nucleus; or 1 where only a mask is known."""

    number: npt.NDArray[np.int64]
    """The number in the file's name, in whose order organs follow each other."""


@dataclass(frozen=True)
class Lung:
    """Lung tiles 224x224, one for each cluster of near-copies."""

    pixels: Pixels
    kind: list[str]
    """`lung_aca`, `lung_scc` or `lung_n`."""

    cluster: list[str]


def nuinsseg(data: Path) -> Nuclei:
    """Return NuInsSeg: 551 tiles 512x512 with binary masks."""
    found = {int(Path(name).stem): pixels for name, pixels in _images(data / "nuinsseg")}
    numbers = sorted(found)
    mask = np.unpackbits(np.load(data / "nuinsseg" / "masks.npz")["mask"], axis=-1)
    pixels = np.stack([found[number] for number in numbers])
    return Nuclei(pixels, mask.astype(np.int32), np.array(numbers))


def dsb2018(data: Path) -> Nuclei:
    """Return dsb2018_coloured: 105 tiles 256x320 with instances."""
    found = {Path(name).stem: pixels for name, pixels in _images(data / "dsb2018_coloured")}
    file = np.load(data / "dsb2018_coloured" / "inst.npz")
    pixels = np.stack([found[str(name)] for name in file["id"]])
    return Nuclei(pixels, file["inst"].astype(np.int32), np.arange(len(pixels)))


def lc25000(data: Path) -> Lung:
    """Return lc25000_lung_dedup: 588 tiles."""
    folder = data / "lc25000_lung_dedup"
    found = dict(_images(folder))
    with (folder / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    pixels = np.stack([found[row["file"]] for row in rows])
    return Lung(pixels, [row["class"] for row in rows], [row["cluster"] for row in rows])


def files(folder: Path) -> Iterator[tuple[int, bytes]]:
    """Return the numbers of a set's pictures and their files."""
    with tarfile.open(folder / "images.tar") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                yield int(Path(member.name).stem), content.read()


def _images(folder: Path) -> Iterator[tuple[str, Pixels]]:
    with tarfile.open(folder / "images.tar") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                picture = Image.open(io.BytesIO(content.read())).convert("RGB")
                yield member.name, np.asarray(picture)
