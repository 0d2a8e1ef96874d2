"""The LUNA16 candidate crops and what was found out about them.

`images.tar` holds 6,484 axial crops of 50x50 pixels, 8 bit; `labels.npz` says nodule (1) or
not (0). What the numbers mean was measured, not assumed: five crops lie in the CT
LIDC-IDRI-0001 at a correlation above 0.9996, and there the grey value is
floor((HU + 1000) / 1400 * 255), clipped, with one crop pixel per CT pixel and the candidate
at row 25, column 25 (residual 1.4-1.9 grey levels without bias: the crops went through JPEG).
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 50
LOW_HU, HIGH_HU = -1000.0, 400.0

Grey = npt.NDArray[np.uint8]


def read(folder: Path) -> tuple[Grey, npt.NDArray[np.int64]]:
    """Return crops (n, 50, 50) in file order, and labels (n,), 1 for a nodule."""
    labels = np.load(folder / "labels.npz")["label"]
    crops = np.zeros((len(labels), SIDE, SIDE), np.uint8)
    with tarfile.open(folder / "images.tar") as archive:
        for member in archive:
            if not member.isfile():
                continue
            content = archive.extractfile(member)
            assert content is not None
            picture = np.asarray(Image.open(io.BytesIO(content.read())).convert("L"))
            crops[int(Path(member.name).stem)] = picture
    return crops, labels


def to_grey(hu: npt.NDArray[np.generic]) -> Grey:
    """Return HU as these crops hold it: 0 at -1000 HU or less, 255 at 400 HU or more."""
    scaled = (hu.astype(np.float32) - LOW_HU) / (HIGH_HU - LOW_HU)
    return np.floor(np.clip(scaled, 0.0, 1.0) * 255.0).astype(np.uint8)
