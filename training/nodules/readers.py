"""The nodule of LIDC-IDRI-0001 as its four readers drew it."""

from __future__ import annotations

import io
import tarfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

SPACE = {"l": "http://www.nih.gov"}
AGREE = 2
"""Readers that must have drawn a voxel."""

SIDE = 512

Voxels = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Consensus:
    """What at least two readers drew, mm in LPS."""

    center_mm: tuple[float, float, float]
    volume_mm3: float
    slices_mm: tuple[float, float]
    """z of the first and the last slice."""


def consensus(
    archive: Path, corner_mm: tuple[float, float], pixel_mm: float, slice_mm: float
) -> Consensus:
    """Return the consensus from the contours in `069.xml`.

    `corner_mm` is the LPS x and y of the first pixel's centre. A contour's pixels belong to
    the nodule here; LIDC draws it one pixel outside, which makes the volume an upper one.
    """
    drawn: dict[float, npt.NDArray[np.int64]] = {}
    for session in _document(archive).findall("l:readingSession", SPACE):
        for z, mask in _of_reader(session).items():
            drawn[z] = drawn.get(z, np.zeros((SIDE, SIDE), np.int64)) + mask
    agreed = {z: count >= AGREE for z, count in drawn.items() if (count >= AGREE).any()}
    places = np.array(
        [(column, row, z) for z, mask in agreed.items() for row, column in np.argwhere(mask)]
    )
    x, y = (float(places[:, axis].mean()) * pixel_mm + corner_mm[axis] for axis in (0, 1))
    return Consensus(
        (x, y, float(places[:, 2].mean())),
        len(places) * pixel_mm**2 * slice_mm,
        (min(agreed), max(agreed)),
    )


def _document(archive: Path) -> ET.Element:
    with tarfile.open(archive) as members:
        name = next(each for each in members.getnames() if each.endswith(".xml"))
        content = members.extractfile(name)
        assert content is not None
        return ET.parse(io.BytesIO(content.read())).getroot()


def _of_reader(session: ET.Element) -> dict[float, Voxels]:
    """Return one reader's mask by z; marks of a single point are no nodules."""
    masks: dict[float, Voxels] = {}
    for roi in session.findall("l:unblindedReadNodule/l:roi", SPACE):
        outline = [
            (int(_text(point, "xCoord")), int(_text(point, "yCoord")))
            for point in roi.findall("l:edgeMap", SPACE)
        ]
        if len(outline) < 3:
            continue
        image = Image.new("1", (SIDE, SIDE))
        ImageDraw.Draw(image).polygon(outline, fill=1, outline=1)
        z = float(_text(roi, "imageZposition"))
        masks[z] = masks.get(z, np.zeros((SIDE, SIDE), bool)) | np.asarray(image)
    return masks


def _text(element: ET.Element, name: str) -> str:
    found = element.find(f"l:{name}", SPACE)
    assert found is not None
    assert found.text is not None
    return found.text
