"""Lesions as a Segmentation: BINARY, one segment per lesion, frames without a lesion left out.

Frames lie where the slices lie, whatever their distances or tilt; of a stack that was
straightened, where its resampled slices lie. Pure.

Source: PS3.3 A.51, C.8.20.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from highdicom import PlanePositionSequence
from highdicom.enum import CoordinateSystemNames
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.dataset import Dataset

from services.imaging.dicom_out import codes, stamp
from services.imaging.dicom_out.material import Series
from services.imaging.reading import Lesion
from services.imaging.series.volume import Volume

APART_MM = 0.01
"""A slice that lies further than this from its image was resampled."""


@dataclass(slots=True)
class Planes:
    """The images that lesions of one grid touch, and where each lesion's frames come."""

    images: list[Dataset]
    """One per plane; a multi-frame image alone, whatever the planes."""

    indices: list[int]
    """Slice of the source for each plane."""

    positions: list[PlanePositionSequence] | None
    """Where each plane lies; None: where its image lies."""

    rows: int
    columns: int


@dataclass(slots=True)
class Segmented:
    """A segmentation with what else refers to it."""

    dataset: Segmentation
    lesions: list[Lesion]
    images: dict[int, list[Dataset]]
    """Segment number → the images its frames lie on."""


def segment(series: Series) -> list[Segmented]:
    """Return a segmentation for each grid of a series that has lesions with a mask."""
    made = []
    for number, (grid, lesions) in enumerate(_grids(series)):
        planes = _planes(series, grid, lesions)
        if planes is None:
            continue
        _number(lesions)
        made.append(_segmented(series, planes, lesions, str(number)))
    return made


def _grids(series: Series) -> list[tuple[Volume | None, list[Lesion]]]:
    """Return lesions with a mask by the grid that they are drawn on."""
    found: dict[object, tuple[Volume | None, list[Lesion]]] = {}
    for one in series.read:
        volume = one.source if isinstance(one.source, Volume) else None
        for lesion in one.reading.lesions:
            if lesion.mask is None or not lesion.mask.any():
                continue
            image = str(lesion.finding.place.sop_instance_uid)
            # Readers may hold copies of a volume: what counts is where its slices lie.
            key = (volume.sop_uids, volume.affine.tobytes()) if volume else image
            found.setdefault(key, (volume, []))[1].append(lesion)
    return list(found.values())


def _number(lesions: Sequence[Lesion]) -> None:
    """Make sure that segments count from 1 without a gap, as PS3.3 C.8.20.2.4 demands."""
    numbers = [lesion.finding.segment_number for lesion in lesions]
    if sorted(numbers) != list(range(1, len(lesions) + 1)):
        for number, lesion in enumerate(lesions, start=1):
            lesion.finding.segment_number = number


def _planes(series: Series, volume: Volume | None, lesions: Sequence[Lesion]) -> Planes | None:
    if volume is None:
        image = series.headers.get(lesions[0].finding.place.sop_instance_uid)
        return Planes([image], [0], None, int(image.Rows), int(image.Columns)) if image else None
    touched = sorted({index for lesion in lesions for index in _slices(lesion)})
    if any(volume.sop_uids[index] not in series.headers for index in touched):
        return None
    rows, columns = volume.hu.shape[1:]
    if volume.frames and any(volume.frames):
        return _of_multi_frame(series, volume, touched)
    images = [series.headers[volume.sop_uids[index]] for index in touched]
    positions = None
    if len(volume.positions_mm):
        corners = [volume.positions_mm[index] for index in touched]
        if any(
            np.abs(corner - np.array(image.ImagePositionPatient, float)).max() > APART_MM
            for corner, image in zip(corners, images, strict=True)
        ):
            positions = [_position(corner) for corner in corners]
    return Planes(images, touched, positions, rows, columns)


def _of_multi_frame(series: Series, volume: Volume, touched: Sequence[int]) -> Planes:
    """Return planes of a multi-frame image: each says where it lies, as the volume knows it."""
    image = series.headers[volume.sop_uids[touched[0]]]
    rows, columns = volume.hu.shape[1:]
    corners = volume.to_patient(np.array([(index, 0, 0) for index in touched], float))
    return Planes([image], list(touched), [_position(c) for c in corners], rows, columns)


def _position(corner: npt.NDArray[np.float64]) -> PlanePositionSequence:
    return PlanePositionSequence(
        CoordinateSystemNames.PATIENT, [round(float(part), 6) for part in corner]
    )


def _slices(lesion: Lesion) -> list[int]:
    """Return the slices of the source that a lesion's mask touches."""
    mask = np.asarray(lesion.mask)
    if mask.ndim == 2:
        return [lesion.start[0]]
    return [lesion.start[0] + int(index) for index in np.flatnonzero(mask.any(axis=(1, 2)))]


def _segmented(series: Series, planes: Planes, lesions: Sequence[Lesion], role: str) -> Segmented:
    ordered = sorted(lesions, key=lambda lesion: lesion.finding.segment_number)
    order = {index: plane for plane, index in enumerate(planes.indices)}
    dataset = Segmentation(
        source_images=planes.images,
        pixel_array=_drawn(planes, ordered, order),
        segmentation_type="BINARY",
        segment_descriptions=[_described(series, lesion) for lesion in ordered],
        plane_positions=planes.positions,
        omit_empty_frames=True,
        content_label="FINDINGS",
        content_description="Findings of dxmesh, not reviewed",
        series_description="AI findings: segmentation",
        **stamp.identity(series, "SEG", role),
        **stamp.maker(),
    )
    single = len(planes.images) == 1
    images = {
        lesion.finding.segment_number: planes.images
        if single
        else [planes.images[order[index]] for index in _slices(lesion)]
        for lesion in ordered
    }
    return Segmented(dataset, ordered, images)


def _drawn(
    planes: Planes, lesions: Sequence[Lesion], order: dict[int, int]
) -> npt.NDArray[np.uint8]:
    """Return the lesions on the planes: a label map, or one channel each where they overlap."""
    shape = (len(planes.indices), planes.rows, planes.columns)
    labels = np.zeros(shape, np.uint8 if len(lesions) < 256 else np.uint16)
    for lesion in lesions:
        if _lay(labels, lesion, order):
            channels = np.zeros((*shape, len(lesions)), np.uint8)
            for number, each in enumerate(lesions):
                _lay(channels[..., number], each, order, value=1)
            return channels
    return np.asarray(labels)


def _lay(
    onto: npt.NDArray[np.uint8], lesion: Lesion, order: dict[int, int], value: int | None = None
) -> bool:
    """Draw a lesion's mask; tell whether something was there before."""
    mask = np.asarray(lesion.mask)
    mask = mask[None] if mask.ndim == 2 else mask
    first, row, column = lesion.start
    met = False
    for offset, plane in enumerate(mask):
        if not plane.any():
            continue
        height, width = plane.shape
        under = onto[order[first + offset], row : row + height, column : column + width]
        met = met or bool(under[plane].any())
        under[plane] = lesion.finding.segment_number if value is None else value
    return met


def _described(series: Series, lesion: Lesion) -> SegmentDescription:
    finding = lesion.finding
    place = codes.place(finding)
    described = SegmentDescription(
        segment_number=finding.segment_number,
        segment_label=finding.finding_id.replace("-", " ").capitalize()[:64],
        segmented_property_category=codes.category(finding),
        segmented_property_type=codes.kind(finding),
        algorithm_type="AUTOMATIC",
        algorithm_identification=stamp.algorithms(series.models_of(finding)),
        tracking_uid=finding.tracking_uid,
        tracking_id=finding.finding_id,
        anatomic_regions=[place] if place else None,
    )
    side = codes.side(finding)
    if place and side:
        described.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [side]
    return described
