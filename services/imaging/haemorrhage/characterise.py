"""What a report says of a haemorrhage: size, thickness, density, side, region, type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from services.imaging.haemorrhage.frame import LENGTH, ROWS
from services.imaging.haemorrhage.names import TYPES
from services.imaging.haemorrhage.prepare import Head
from services.imaging.haemorrhage.score import Scores
from services.imaging.haemorrhage.segment import Region, cells, to_source
from services.imaging.series.volume import Volume

EXTRA_AXIAL = ("epidural", "subdural")
IRREGULAR_SOLIDITY = 0.7
"""A region that fills less than this of its hull is irregular: ABC/3 in place of ABC/2."""

MIDDLE_MM = 4.0
THIRDS = ("front-third", "middle-third", "back-third")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measures:
    """One haemorrhage, measured. Indices are the volume's."""

    slice_index: int
    """The slice with its largest area."""

    box: tuple[int, int, int, int]
    center: tuple[float, float, float]
    first_slice: int
    last_slice: int
    volume_ml: float
    abc_ml: float
    abc_divisor: int
    long_axis_mm: float
    short_axis_mm: float
    thickness_mm: float
    """Greatest depth under the skull, mm; what it means depends on the type."""

    mean_hu: float
    side: int
    """-1 the patient's right, 1 the left, 0 in the middle or both."""

    third: str
    type_name: str
    type_probability: float
    probability: float


def measure(volume: Volume, head: Head, scores: Scores, region: Region) -> Measures:
    """Return a haemorrhage's measures from its voxels."""
    slice_mm = volume.slice_mm()
    pixel = (volume.spacing_mm[1], volume.spacing_mm[2])
    areas = region.mask.sum(axis=(1, 2)) * pixel[0] * pixel[1]
    held = np.flatnonzero(areas) + region.start[0]
    largest = int(np.argmax(areas))
    number = largest + region.start[0]
    on_slice = np.argwhere(region.mask[largest]) + np.array(region.start[1:])
    voxels = np.argwhere(region.mask) + np.array(region.start)
    weight = slice_mm[voxels[:, 0]]
    center = (voxels * weight[:, None]).sum(axis=0) / weight.sum()
    long_axis, short_axis, solidity = axes(on_slice, pixel)
    divisor = 3 if solidity < IRREGULAR_SOLIDITY else 2
    height = _height_mm(areas, slice_mm[region.start[0] : region.start[0] + len(areas)])
    name, probability = _type(scores, region, held)
    return Measures(
        slice_index=number,
        box=(
            int(on_slice[:, 1].min()),
            int(on_slice[:, 0].min()),
            int(on_slice[:, 1].max()) + 1,
            int(on_slice[:, 0].max()) + 1,
        ),
        center=(float(center[0]), float(center[1]), float(center[2])),
        first_slice=int(held[0]),
        last_slice=int(held[-1]),
        volume_ml=float((areas * slice_mm[region.start[0] :][: len(areas)]).sum()) / 1000.0,
        abc_ml=long_axis * short_axis * height / divisor / 1000.0,
        abc_divisor=divisor,
        long_axis_mm=long_axis,
        short_axis_mm=short_axis,
        thickness_mm=_thickness_mm(volume, head, region),
        mean_hu=float(volume.hu[tuple(voxels.T)].mean()),
        side=_side(volume, head, voxels, center),
        third=_third(volume, head, on_slice, number),
        type_name=name,
        type_probability=probability,
        probability=float(scores.slices[held, 0].max()),
    )


def axes(
    pixels: npt.NDArray[np.int64], pixel_mm: tuple[float, float]
) -> tuple[float, float, float]:
    """Return longest diameter, the longest across it, mm, and the share of the hull that is filled.

    pixels : (n, 2) rows and columns. A diameter runs from pixel edge to pixel edge.
    """
    places = pixels * np.array(pixel_mm)
    one = float(np.mean(pixel_mm))
    try:
        hull = ConvexHull(places)
    except (QhullError, ValueError):
        return float(np.ptp(places, axis=0).max()) + one, one, 1.0
    outline = places[hull.vertices]
    across = outline[:, None, :] - outline[None, :, :]
    lengths = np.linalg.norm(across, axis=2)
    at = np.unravel_index(int(np.argmax(lengths)), lengths.shape)
    direction = across[at] / lengths[at]
    aside = places @ np.array([-direction[1], direction[0]])
    filled = len(places) * pixel_mm[0] * pixel_mm[1]
    around = float(hull.volume) + float(hull.area) * one / 2 + one * one
    return float(lengths[at]) + one, float(np.ptp(aside)) + one, filled / around


def _height_mm(areas: Floats, slice_mm: Floats) -> float:
    """Return C of ABC/2: a slice counts whole from 75% of the largest area, half from 25%.

    Source: Kothari et al., Stroke 1996.
    """
    share = areas / areas.max()
    counted = np.where(share >= 0.75, 1.0, np.where(share >= 0.25, 0.5, 0.0))
    return float((counted * slice_mm).sum())


def _type(scores: Scores, region: Region, held: npt.NDArray[np.int64]) -> tuple[str, float]:
    """Return the type that map and slices agree on most, and the slices' probability of it."""
    slices = scores.slices[held, 1:6].max(axis=0)
    both = np.sqrt(np.clip(region.types, 1e-6, 1) * np.clip(slices, 1e-6, 1))
    best = int(np.argmax(both))
    return TYPES[best], float(slices[best])


def _thickness_mm(volume: Volume, head: Head, region: Region) -> float:
    """Return the greatest depth of a region's voxels under the skull, mm."""
    shape = (volume.hu.shape[1], volume.hu.shape[2])
    deepest = 0.0
    for depth in np.flatnonzero(region.mask.any(axis=(1, 2))):
        number = int(depth) + region.start[0]
        inside = to_source(head.inside[number].astype(np.float32), head.frame, number, shape, 1)
        away = ndimage.distance_transform_edt(inside > 0.5, sampling=volume.spacing_mm[1:])
        rows, columns = np.nonzero(region.mask[depth])
        deepest = max(deepest, float(away[rows + region.start[1], columns + region.start[2]].max()))
    return deepest


def _side(volume: Volume, head: Head, voxels: npt.NDArray[np.int64], center: Floats) -> int:
    """Return the side in the patient: of LPS x across the head's middle."""
    number = round(float(center[0]))
    middle = np.array([center[0], *head.frame.centers[number]])
    angle = np.deg2rad(head.frame.turn_degrees)
    across = np.array([0.0, np.sin(angle), np.cos(angle)])
    aside_px = float((center - middle) @ across)
    towards_left = volume.to_patient(middle + across)[0] > volume.to_patient(middle)[0]
    own = (voxels[:, 1:] - head.frame.centers[number]) @ across[1:]
    crossing = min(float((own > 0).mean()), float((own < 0).mean())) > 0.25
    if abs(aside_px) * volume.spacing_mm[2] < MIDDLE_MM or crossing:
        return 0
    return 1 if (aside_px > 0) == bool(towards_left) else -1


def _third(volume: Volume, head: Head, on_slice: npt.NDArray[np.int64], number: int) -> str:
    """Return the third of the skull's length, front to back, in which a region's middle lies.

    Front and back are the patient's (LPS y): of a prone one the stored rows may run forwards.
    """
    row, _ = cells(on_slice, head.frame, number, (ROWS, ROWS))
    share = (float(row.mean()) - (ROWS - LENGTH) / 2) / LENGTH
    down = head.frame.matrix() @ np.array([1.0, 0.0])
    start = np.array([number, *head.frame.centers[number]], np.float64)
    step = start + np.array([0.0, *down])
    if volume.to_patient(step)[1] < volume.to_patient(start)[1]:
        share = 1.0 - share
    return THIRDS[min(2, max(0, int(share * 3)))]
