"""The FracAtlas X-rays with their boxes, and what `dataset.csv` says of each.

`images.tar` holds 8-bit radiographs, longest side 448; `annotations.json` the boxes
[x, y, width, height] in those pixels; `dataset.csv` the flags. Rows without an image are
left out. There is no patient id, no age and no side.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

FOLDER = "fracatlas_448"
PARTS = ("hand", "leg", "hip", "shoulder")
VIEWS = ("frontal", "lateral", "oblique")
FLAGS = ("fractured", "hardware", *PARTS, *VIEWS, "multiscan")
"""Columns of `Radiographs.flags`, in this order."""

Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Radiographs:
    """Images in name order and what is known of them; row k is image k everywhere."""

    names: list[str]
    images: list[Grey]
    boxes: list[Floats]
    """(k, 4) x0, y0, x1, y1 in image pixels."""
    flags: Floats
    """(n, 10), columns as `FLAGS`."""
    original: Ints
    """(n, 2) width and height before the set was scaled down: an acquisition feature."""
    official_valid: npt.NDArray[np.bool_]

    def column(self, flag: str) -> Ints:
        """Return one flag, (n,), 0 or 1."""
        return self.flags[:, FLAGS.index(flag)].astype(np.int64)


def read(data: Path) -> Radiographs:
    """Return every radiograph that has an image."""
    folder = data / FOLDER
    marks = json.loads((folder / "annotations.json").read_text())
    with (folder / "dataset.csv").open() as lines:
        rows = {row["image_id"]: row for row in csv.DictReader(lines)}
    pictures: dict[str, Grey] = {}
    with tarfile.open(folder / "images.tar") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                picture = Image.open(io.BytesIO(content.read())).convert("L")
                pictures[member.name] = np.asarray(picture)
    names = sorted(name for name in pictures if name in rows and name in marks)
    valid = set((folder / "official_valid.csv").read_text().split()[1:])
    return Radiographs(
        names=names,
        images=[pictures[name] for name in names],
        boxes=[_corners(marks[name]["boxes"]) for name in names],
        flags=np.array([[float(rows[n][f]) for f in FLAGS] for n in names], np.float32),
        original=np.array([marks[name]["orig"] for name in names], np.int64),
        official_valid=np.array([name in valid for name in names]),
    )


def _corners(boxes: list[list[float]]) -> Floats:
    """Return x, y, width, height as corners, (k, 4)."""
    values = np.array(boxes, np.float32).reshape(-1, 4)
    values[:, 2:] += values[:, :2]
    return values
