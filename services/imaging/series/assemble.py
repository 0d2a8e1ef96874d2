"""One archive to one volume: headers and pixels in one pass, then order and checks."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from services.imaging.series import archive, geometry, headers, pixels, refusals
from services.imaging.series.facts import Facts
from services.imaging.series.headers import Header
from services.imaging.series.pixels import Slice
from services.imaging.series.volume import Volume

__all__ = ["Facts", "assemble"]

VOXELS_MAX = 300_000_000
PROJECTED = frozenset(
    ("MIP", "MINIP", "PROJECTION IMAGE", "RAYSUM", "VRT", "SSD", "SCREEN SAVE", "SUBTRACTION")
)
"""ImageType values of pictures that are computed from many slices."""


def assemble(content: bytes, facts: Facts) -> Volume:
    """Return the volume of an archive; fill `facts` as they become known.

    Raises
    ------
    SeriesRefused
        One of its types, with the numbers that show it.
    """
    found: list[Header] = []
    decoded: list[Slice] = []
    voxels = 0
    for file in archive.files(content):
        dataset, header = headers.read(file)
        _note(facts, header)
        _check_kind(header)
        if "LOCALIZER" in header.image_type:
            continue  # an overview image among slices is no slice
        voxels += header.rows * header.columns
        if voxels > VOXELS_MAX:
            raise refusals.SeriesTooLarge("a series has too many voxels", limit=VOXELS_MAX)
        headers.check_geometry(header)
        decoded.append(_decoded(header, dataset))
        found.append(header)
        facts.slices = len(found)
    if not found:
        raise refusals.Localiser("the series holds overview images alone")
    grid = geometry.grid(found)
    volume = Volume(
        np.stack([decoded[number] for number in grid.order]),
        grid.affine,
        tuple(found[number].sop_uid for number in grid.order),
    )
    facts.spacing_mm, facts.pixel_mm = volume.spacing_mm[0], volume.spacing_mm[2]
    return volume


def _decoded(header: Header, dataset: Dataset) -> Slice:
    """Return a slice in HU; a value that pydicom reads only now may be cut short too."""
    try:
        pixels.check(header, dataset)
        return pixels.to_hounsfield(dataset, header)
    except headers.UNREADABLE as error:
        raise refusals.DamagedSeries("a value of a slice cannot be read") from error


def _note(facts: Facts, header: Header) -> None:
    facts.series_uid = facts.series_uid or header.series_uid
    facts.study_uid = facts.study_uid or header.study_uid
    facts.modality = facts.modality or header.modality
    if header.pixel_mm and not facts.pixel_mm:
        facts.pixel_mm = header.pixel_mm[-1]


def _check_kind(header: Header) -> None:
    """Refuse what is not slices of a CT by its header alone."""
    if header.modality != "CT":
        raise refusals.NotAChestCt("the series is not CT", modality=header.modality or "not stated")
    if header.frames > 1:
        raise refusals.MultiFrame("a file holds several slices", frames=header.frames)
    if projected := PROJECTED.intersection(header.image_type):
        raise refusals.DerivedImages(
            "the series holds computed pictures, not slices", image_type=sorted(projected)[0]
        )
