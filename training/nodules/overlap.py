"""Finds the crops that were cut from one CT, so that the CT can stay unseen.

    python -m training.nodules.overlap --data FOLDER

Writes `lidc_idri_0001_crops.tsv`: the crop, its label, where its centre lies in the CT (slice
ascending from the feet, row, column) and the difference left, in grey levels. A crop counts
when its 50x50 pixels differ from the CT's by less than 4 grey levels, root mean square.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from pathlib import Path

import numpy as np
import pydicom
from scipy.ndimage import uniform_filter
from scipy.spatial import cKDTree

from training.nodules.crops import SIDE, Grey, read, to_grey

BOX = 8
OFFSETS = tuple(-16 + BOX // 2 + BOX * number for number in range(4))
DIFFERENCE_MAX = 4.0
HALF = SIDE // 2
OUTPUT = Path(__file__).with_name("lidc_idri_0001_crops.tsv")

Match = tuple[float, int, int, int]


def volume(archive: Path) -> Grey:
    """Return the CT as grey values, (slices, rows, columns), ascending from the feet."""
    slices: list[tuple[float, Grey]] = []
    with tarfile.open(archive) as members:
        for member in members:
            if not member.name.endswith(".dcm"):
                continue
            content = members.extractfile(member)
            assert content is not None
            dataset = pydicom.dcmread(io.BytesIO(content.read()))
            hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
            slices.append((float(dataset.ImagePositionPatient[2]), to_grey(hu)))
    return np.stack([grey for _, grey in sorted(slices, key=lambda pair: pair[0])])


def matches(crops: Grey, ct: Grey) -> dict[int, Match]:
    """Return, for each crop that was cut from the CT, the difference and where."""
    inner = crops[:, 9:41, 9:41].astype(np.float32).reshape(len(crops), 4, BOX, 4, BOX)
    tree = cKDTree(inner.mean(axis=(2, 4)).reshape(len(crops), -1))
    rows, columns = (
        grid.ravel() for grid in np.mgrid[40 : ct.shape[1] - 40, 40 : ct.shape[2] - 40]
    )
    found: dict[int, Match] = {}
    for number, plane in enumerate(ct):
        means = uniform_filter(plane.astype(np.float32), BOX)
        described = np.stack([means[rows + r, columns + c] for r in OFFSETS for c in OFFSETS], 1)
        distance, crop = tree.query(described, distance_upper_bound=DIFFERENCE_MAX)
        for at in np.flatnonzero(np.isfinite(distance)):
            here = _best(crops[crop[at]], plane, int(rows[at]), int(columns[at]), number)
            known = found.get(int(crop[at]))
            if here[0] < DIFFERENCE_MAX and (known is None or here < known):
                found[int(crop[at])] = here
    return found


def _best(crop: Grey, plane: Grey, row: int, column: int, number: int) -> Match:
    """Return the least difference within one pixel of a place."""
    candidates = []
    for r in range(row - 1, row + 2):
        for c in range(column - 1, column + 2):
            piece = plane[r - HALF : r + HALF, c - HALF : c + HALF].astype(np.float32)
            difference = float(np.sqrt(((piece - crop) ** 2).mean()))
            candidates.append((difference, number, r, c))
    return min(candidates)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    data: Path = parser.parse_args().data
    crops, labels = read(data / "luna16_candidates50")
    ct = volume(data / "lidc_idri_0001_dicom" / "series.tar.xz")
    lines = ["crop\tnodule\tslice\trow\tcolumn\trms_grey"]
    for crop, (difference, number, row, column) in sorted(matches(crops, ct).items()):
        lines.append(f"{crop}\t{labels[crop]}\t{number}\t{row}\t{column}\t{difference:.2f}")
    OUTPUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
