"""Where a finding's axes were measured, as lines on its image: for viewers that draw graphics.

A viewer such as OHIF draws a measurement only where it says from which coordinates it was
inferred (PS3.16 TID 320). Direction and middle come from the mask on the slice that shows the
finding best, lengths are those that were measured. A straightened slice is its image moved
within its plane, so a line on it lies on the image by that way less. Pure.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from highdicom import sr
from scipy.spatial import ConvexHull, QhullError

from services.imaging.dicom_out.material import Series
from services.imaging.reading import Lesion
from services.imaging.series.volume import Volume

LONG, SHORT = "long-axis", "short-axis"
CENTRE = 0.5
"""SCOORD counts from the corner of the first pixel, indices from its middle."""

Floats = npt.NDArray[np.float64]


def of_lesion(
    series: Series, source: object, lesion: Lesion
) -> dict[str, sr.CoordinatesForMeasurement]:
    """Return the line of each axis that was measured; none where no mask shows it."""
    if not isinstance(source, Volume):
        return {}
    ends = lines(lesion, (source.spacing_mm[1], source.spacing_mm[2]))
    moved = np.array(source.on_image(lesion.finding.place.slice_index))
    drawn = {name: _drawn(series, lesion.finding, line - moved) for name, line in ends.items()}
    return {name: line for name, line in drawn.items() if line is not None}


def middle(series: Series, finding: pb.Finding) -> sr.CoordinatesForMeasurement | None:
    """Return the middle of a finding's box as a point; None on a slide, or without its image.

    The box is in pixels of the stored image, on a straightened stack too.
    """
    box = finding.place.box
    point = np.array([[(box.top + box.bottom) / 2, (box.left + box.right) / 2]]) - CENTRE
    if series.is_slide:
        return None
    return _drawn(series, finding, point)


def lines(lesion: Lesion, pixel_mm: tuple[float, float]) -> dict[str, Floats]:
    """Return the ends of long and short axis, (2, 2) row and column, middles of pixels.

    pixel_mm : height and width of a pixel
    """
    measured = {m.name: m.value for m in lesion.finding.measures if m.unit == "mm"}
    held = _on_slice(lesion)
    if not {LONG, SHORT} <= measured.keys() or not len(held):
        return {}
    places = held * np.array(pixel_mm)
    first, last = _farthest(places)
    span = float(np.linalg.norm(last - first))
    along = (last - first) / span if span else np.array([0.0, 1.0])
    across = np.array([-along[1], along[0]])
    centre = (first + last) / 2
    aside = (places - centre) @ across
    forth = (places - centre) @ along
    widest = _widest(forth, aside, min(pixel_mm))
    crossing = centre + along * widest + across * (aside.min() + aside.max()) / 2
    ends = {LONG: (centre, along), SHORT: (crossing, across)}
    return {
        name: np.stack([at - way * measured[name] / 2, at + way * measured[name] / 2])
        / np.array(pixel_mm)
        for name, (at, way) in ends.items()
    }


def _on_slice(lesion: Lesion) -> Floats:
    """Return rows and columns of the mask on the slice that shows the lesion best, (n, 2)."""
    if lesion.mask is None:
        return np.zeros((0, 2))
    mask = np.asarray(lesion.mask)
    depth = lesion.finding.place.slice_index - lesion.start[0]
    if mask.ndim == 3 and not 0 <= depth < len(mask):
        return np.zeros((0, 2))
    plane = mask[depth] if mask.ndim == 3 else mask
    return np.asarray(np.argwhere(plane) + np.array(lesion.start[1:]), np.float64)


def _farthest(places: Floats) -> tuple[Floats, Floats]:
    try:
        outline = places[ConvexHull(places).vertices]
    except (QhullError, ValueError):  # fewer than three, or all in a row
        outline = places[np.lexsort(places.T)][[0, -1]]
    apart = np.linalg.norm(outline[:, None] - outline[None], axis=2)
    one, other = np.unravel_index(int(np.argmax(apart)), apart.shape)
    return outline[one], outline[other]


def _widest(forth: Floats, aside: Floats, step: float) -> float:
    """Return how far along the long axis a lesion is widest, from its middle."""
    bins = np.round(forth / step).astype(int)
    widths = {int(n): float(np.ptp(aside[bins == n])) for n in np.unique(bins)}
    return max(widths, key=lambda n: (widths[n], -abs(n))) * step


def _drawn(
    series: Series, finding: pb.Finding, line: Floats
) -> sr.CoordinatesForMeasurement | None:
    """Return a point or line, in middles of the image's pixels, on the finding's image."""
    image = series.headers.get(finding.place.sop_instance_uid)
    if image is None:
        return None
    frames = [finding.place.frame] if finding.place.frame else None
    return sr.CoordinatesForMeasurement(
        graphic_type="POINT" if len(line) == 1 else "POLYLINE",
        graphic_data=line[:, ::-1] + CENTRE,
        source_image=sr.SourceImageForRegion(
            str(image.SOPClassUID), str(image.SOPInstanceUID), referenced_frame_numbers=frames
        ),
    )
