"""The LIDC nodules beside the candidates: patches in HU with ratings, crops with outlines.

`lidc_nodule_hu71` holds the largest axial slice of 2,157 nodules, 71x71, HU + 1024. 171 patches
lack the offset: there a fifth of the pixels lies below 0, which with the offset only air outside
the patient would (71x71 pixels around a nodule hold no such fifth; looked at one by one).

`lidc_nodule_masks128` holds 3,844 slices of 8 bit, each with its own window, which is lost. It is
found again where the slice shows a patch of the same patient: a straight line through the pixel
pairs, used where they correlate at 0.98 or more. Other slices of that patient get the median line.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

OFFSET = 1024
READERS = 4
RATINGS = (
    "Subtlety",
    "Calcification",
    "Sphericity",
    "Margin",
    "Lobulation",
    "Spiculation",
    "Texture",
    "Malignancy",
)
HALF = 20
"""Patches and crops are compared on 41x41 pixels, shifted by up to `REACH`."""

REACH = 12
ALIKE = 0.98
CLIP_HU = (-1000.0, 1500.0)
PATCH, CROP = 71, 128

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Patches:
    """`lidc_nodule_hu71`: one patch a nodule."""

    hu: npt.NDArray[np.int16]
    """(n, 71, 71), HU."""

    pixel_mm: Floats
    area_mm2: Floats
    """As one reader outlined it: a baseline, never an input."""

    patient: npt.NDArray[np.str_]
    ratings: dict[str, Floats]
    """Mean of the readers that marked the nodule, by name."""

    readers: Ints
    lacks_offset: int


@dataclass(frozen=True)
class Slices:
    """`lidc_nodule_masks128`: slices of nodules, with each reader's outline."""

    grey: npt.NDArray[np.uint8]
    bits: npt.NDArray[np.uint8]
    """(n, 128, 128): bit q set where reader q drew."""

    patient: npt.NDArray[np.str_]
    nodule: npt.NDArray[np.str_]

    def votes(self) -> npt.NDArray[np.uint8]:
        """Return how many readers drew each pixel."""
        return sum(((self.bits >> q) & 1 for q in range(READERS)), np.zeros_like(self.bits))


@dataclass(frozen=True)
class Window:
    """HU = slope * grey + base of each slice; NaN where it was not found."""

    slope: Floats
    base: Floats
    patch: Ints
    """The patch that shows the same slice, or -1."""

    shift: Ints
    """(n, 2): where that patch's centre lies from the crop's, rows and columns."""


def patches(folder: Path) -> Patches:
    """Read the patches."""
    with (folder / "labels_features.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    stored = np.load(folder / "patches.npz")["hu_plus1024"].astype(np.int32)
    bare = np.percentile(stored.reshape(len(stored), -1), 20, axis=1) < 0
    hu = np.where(bare[:, None, None], stored, stored - OFFSET).clip(-2048, 4000)
    given = {
        name: np.array([[float(row[f"{name}_{q}"]) for q in range(1, 5)] for row in rows])
        for name in RATINGS
    }
    present = given["Malignancy"] > 0
    readers = present.sum(axis=1)
    mean = {name: (value * present).sum(axis=1) / readers for name, value in given.items()}
    return Patches(
        hu.astype(np.int16),
        np.sqrt([float(row["PixelArea"]) for row in rows]),
        np.array([float(row["Area"]) * float(row["PixelArea"]) for row in rows]),
        np.array([row["patient"] for row in rows]),
        mean,
        readers,
        int(bare.sum()),
    )


def slices(folder: Path) -> Slices:
    """Read the slices, in the order of their names."""
    found: dict[str, npt.NDArray[np.uint8]] = {}
    with tarfile.open(folder / "images.tar") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                picture = Image.open(io.BytesIO(content.read())).convert("L")
                found[member.name] = np.asarray(picture)
    with (folder / "index.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    return Slices(
        np.stack([found[name] for name in sorted(found)]),
        np.load(folder / "masks.npz")["mask_bits"],
        np.array([row["patient"] for row in rows]),
        np.array([f"{row['patient']}/{row['nodule']}" for row in rows]),
    )


def windows(shown: Slices, known: Patches) -> Window:
    """Find each slice's window by the patch of the same patient that shows it."""
    of_patient: dict[str, list[int]] = defaultdict(list)
    for number, patient in enumerate(known.patient):
        of_patient[str(patient)].append(number)
    count = len(shown.grey)
    lines, patch = np.full((count, 2), np.nan), np.full(count, -1)
    best = np.full(count, ALIKE)
    shift = np.zeros((count, 2), np.int64)
    for number, patient in enumerate(shown.patient):
        for one in of_patient.get(str(patient), ()):
            alike, moved, line = _line(shown.grey[number], known.hu[one])
            if alike >= best[number]:
                best[number] = alike
                lines[number], patch[number], shift[number] = line, one, moved
    for patient in np.unique(shown.patient):
        rows = shown.patient == patient
        if np.isfinite(lines[rows, 0]).any():
            median = np.nanmedian(lines[rows], axis=0)
            lines[rows & np.isnan(lines[:, 0])] = median
    return Window(lines[:, 0], lines[:, 1], patch, shift)


def _line(
    grey: npt.NDArray[np.uint8], hu: npt.NDArray[np.int16]
) -> tuple[float, tuple[int, int], tuple[float, float]]:
    """Return the best correlation, the shift it is found at, and slope and base there."""
    side, middle = 2 * HALF + 1, PATCH // 2
    wide = HALF + REACH
    field = grey[CROP // 2 - wide : CROP // 2 + wide + 1, CROP // 2 - wide : CROP // 2 + wide + 1]
    seen = np.lib.stride_tricks.sliding_window_view(field.astype(np.float32), (side, side))
    places = seen.reshape(-1, side * side)
    wanted = hu[middle - HALF : middle + HALF + 1, middle - HALF : middle + HALF + 1]
    target = wanted.astype(np.float32).clip(*CLIP_HU).ravel()
    away = target - target.mean()
    spread = places.std(axis=1) * np.sqrt(side * side * (away**2).sum()) + 1e-3
    alike = places @ away / spread
    best = int(alike.argmax())
    used = (places[best] > 1) & (places[best] < 250)
    if used.sum() < 50:
        return -1.0, (0, 0), (np.nan, np.nan)
    slope, base = np.polyfit(places[best][used], target[used], 1)
    row, column = divmod(best, 2 * REACH + 1)
    return float(alike[best]), (row - REACH, column - REACH), (float(slope), float(base))
