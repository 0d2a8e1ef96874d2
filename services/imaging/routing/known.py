"""What a rule may ask about a series: header facts, and what the source says of itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from services.imaging.series.facts import Facts
from services.imaging.series.radiograph import Radiograph
from services.imaging.series.sources import SlideFiles, Source
from services.imaging.series.volume import Volume

Known = str | float | bool | tuple[str, ...] | None

SOURCES = {Volume: "VOLUME", Radiograph: "RADIOGRAPH", SlideFiles: "SLIDE"}

TEXTS = frozenset(
    (
        *("source", "modality", "body_part", "view", "laterality", "kernel", "phase", "sex"),
        *("manufacturer", "model", "image_type", "description", "patient_position", "photometric"),
        *("orientation", "unlike", "pixel_mm_from"),
    )
)
NUMBERS = frozenset(
    (
        *("age_years", "slices", "spacing_mm", "pixel_mm", "thickness_mm", "extent_mm"),
        *("tilt_degrees", "lean_degrees", "rows", "columns", "kvp", "exposure_mas"),
        *("clipped_share", "bits_stored", "files", "smallest_gap_mm", "largest_gap_mm"),
    )
)
FLAGS = frozenset(("contrast", "even", "lossy", "burned_in_text"))
NAMES = TEXTS | NUMBERS | FLAGS
"""Every name that a rule may use."""

ZERO_IS_UNKNOWN = frozenset(("slices", "spacing_mm", "pixel_mm", "rows", "columns", "bits_stored"))

AXIAL_MIN = 0.7
"""Share of a slice's normal along a body axis from which it counts as that orientation."""


def known(facts: Facts, source: Source) -> dict[str, Known]:
    """Return what is known, by the names of `NAMES`; words in upper case, None: not stated.

    Where a source tells its own (an archive may hold several), its word counts.
    """
    found: dict[str, Known] = {}
    for teller in (facts, source):
        for name in NAMES:
            value = _plain(name, getattr(teller, name, None))
            if value is not None:
                found[name] = value
    found["source"] = SOURCES[type(source)]
    if isinstance(source, Volume):
        found |= _of_volume(source)
    elif isinstance(source, Radiograph):
        rows, columns = source.shape
        found |= {"rows": float(rows), "columns": float(columns)}
        found["pixel_mm"] = source.pixel_mm[0] if source.pixel_mm else None
    return {name: found.get(name) for name in sorted(NAMES)}


def _of_volume(volume: Volume) -> Mapping[str, Known]:
    slices, rows, columns = volume.hu.shape
    return {
        "slices": float(slices),
        "rows": float(rows),
        "columns": float(columns),
        "spacing_mm": volume.spacing_mm[0],
        "pixel_mm": volume.spacing_mm[2],
        "extent_mm": float(volume.slice_mm().sum()),
        "orientation": _orientation(volume),
        "smallest_gap_mm": min(volume.gaps_mm, default=None),
        "largest_gap_mm": max(volume.gaps_mm, default=None),
    }


def _orientation(volume: Volume) -> str:
    """Return AXIAL, CORONAL, SAGITTAL or OBLIQUE by the slices' normal."""
    normal = np.cross(volume.affine[:3, 1], volume.affine[:3, 2])
    length = float(np.linalg.norm(normal))
    shares = np.abs(normal) / length if length else np.zeros(3)
    place = int(np.argmax(shares))
    return ("SAGITTAL", "CORONAL", "AXIAL")[place] if shares[place] > AXIAL_MIN else "OBLIQUE"


def _plain(name: str, value: object) -> Known:
    """Return a fact as a rule compares it; what is not stated is None."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return None if not value and name in ZERO_IS_UNKNOWN else float(value)
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return value or None
    return value.upper() or None if isinstance(value, str) else None
