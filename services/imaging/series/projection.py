"""Files of projection X-rays to radiographs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from services.imaging.series import grey, paper, pixels, telling
from services.imaging.series.archive import File
from services.imaging.series.attributes import number, numbers, upper
from services.imaging.series.decoding import Decode
from services.imaging.series.grey import Scale, Values
from services.imaging.series.headers import Header
from services.imaging.series.radiograph import Radiograph
from services.imaging.series.refusals import (
    MultiFrame,
    SecondaryCapture,
    SeriesTooLarge,
    UnsuitablePixels,
)

SIDE = (32, 16_384)
FRAMES_MAX = 4
PIXEL_MM = (0.01, 2.0)
COLOUR_SHARE_MAX = 0.002
COLOUR_STEPS = 12
"""Channels further apart than this, of 255, are colour."""

COLOURED = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
SAME_MM = 1e-3


@dataclass(frozen=True, slots=True)
class Grading:
    """What the header of a radiograph says beside `Header`."""

    scale: Scale
    pixel_mm: tuple[float, float] | None
    pixel_mm_from: str
    body_part: str
    view: str
    laterality: str
    burned_in_text: bool | None
    lossy: bool | None
    for_processing: bool


def grading(dataset: Dataset) -> Grading:
    """Return what a radiograph's header says."""
    pixel_mm, source = pixel_spacing(dataset)
    return Grading(
        scale=grey.scale(dataset),
        pixel_mm=pixel_mm,
        pixel_mm_from=source,
        body_part=telling.part_of(dataset),
        view=telling.view_of(dataset),
        laterality=telling.laterality_of(dataset),
        burned_in_text=telling.burned_in(dataset),
        lossy=telling.lossy(dataset),
        for_processing=upper(dataset, "PresentationIntentType") == "FOR PROCESSING",
    )


def pixel_spacing(dataset: Dataset) -> tuple[tuple[float, float] | None, str]:
    """Return the size of a pixel at the patient, mm, and what it was taken from.

    Pixel Spacing that equals Imager Pixel Spacing was not corrected for the magnification
    (PS3.3 10.7.1.3); the factor is then the stated one, or source-detector over source-patient
    distance.
    """
    patient, detector = numbers(dataset, "PixelSpacing"), numbers(dataset, "ImagerPixelSpacing")
    detector = detector or numbers(dataset, "NominalScannedPixelSpacing")
    calibration = upper(dataset, "PixelSpacingCalibrationType")
    if _fit(patient) and calibration:
        return (patient[0], patient[1]), "calibrated"
    if _fit(patient) and not (_fit(detector) and _same(patient, detector)):
        return (patient[0], patient[1]), "patient"
    if not _fit(detector):
        return None, ""
    factor = magnification(dataset)
    if factor is None:
        return (detector[0], detector[1]), "detector-unmagnified"
    return (detector[0] / factor, detector[1] / factor), "detector"


def magnification(dataset: Dataset) -> float | None:
    """Return how many times larger the detector shows the patient, 1 to 3, or None."""
    stated = number(dataset, "EstimatedRadiographicMagnificationFactor")
    far, near = (
        number(dataset, name) for name in ("DistanceSourceToDetector", "DistanceSourceToPatient")
    )
    factor = stated or (far / near if far and near else None)
    return factor if factor is not None and 1.0 <= factor <= 3.0 else None


def _fit(spacing: tuple[float, ...]) -> bool:
    return len(spacing) == 2 and all(PIXEL_MM[0] <= mm <= PIXEL_MM[1] for mm in spacing)


def _same(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
    return all(abs(a - b) < SAME_MM for a, b in zip(one, two, strict=True))


def check(header: Header, room: int) -> None:
    """Make sure that a radiograph can be read, before its pixels are decoded.

    Raises
    ------
    UnsuitablePixels, MultiFrame, SeriesTooLarge, SecondaryCapture, UnsupportedCompression
    """
    stored = header.stored
    sides = (stored.rows, stored.columns)
    if not SIDE[0] <= min(sides) <= max(sides) <= SIDE[1]:
        raise UnsuitablePixels(
            "the image is empty, tiny or larger than an X-ray",
            rows=stored.rows,
            columns=stored.columns,
        )
    if header.frames > FRAMES_MAX:
        raise MultiFrame("a moving picture is not read", frames=header.frames)
    if stored.rows * stored.columns * header.frames > room:
        raise SeriesTooLarge(
            "the radiographs of a series have too many pixels",
            pixels=stored.rows * stored.columns * header.frames,
            limit=room,
        )
    mono = stored.photometric in pixels.GREY and stored.samples == 1
    colour = stored.photometric in COLOURED and stored.samples == 3 and stored.bits == 8
    if not mono and not colour:
        raise UnsuitablePixels("the pixels are not grey values", photometric=stored.photometric)
    pixels.check_layout(stored)


def radiographs(file: File, header: Header, how: Grading, decode: Decode) -> Iterator[Radiograph]:
    """Yield the radiographs of a file, checked to be no paper.

    Raises
    ------
    SeriesRefused
        One of its types.
    """
    wanted = frozenset(range(header.frames))
    for frame, stored in pixels.values(file, header.stored, header.frames, wanted, decode):
        yield _radiograph(_one_channel(stored, header), header, how, frame)


def _one_channel(stored: Values, header: Header) -> Values:
    """Return grey values of a picture stored in colour; refuse one that has colours."""
    if stored.ndim == 2:
        return stored
    if header.stored.photometric == "RGB":
        apart = np.ptp(stored[::2, ::2], axis=-1)
        one = stored[..., 1]
    else:
        apart = np.abs(stored[::2, ::2, 1:] - 128).max(axis=-1)
        one = stored[..., 0]
    coloured = float((apart > COLOUR_STEPS).mean())
    if coloured > COLOUR_SHARE_MAX:
        raise SecondaryCapture("the picture has colours", coloured_share=coloured)
    return one


def _radiograph(stored: Values, header: Header, how: Grading, frame: int) -> Radiograph:
    inside = np.ones(stored.shape, np.bool_)
    if header.stored.padding is not None:
        low, high = header.stored.padding
        inside = (stored < low) | (stored > high)
    if not inside.any():
        raise UnsuitablePixels("the image is padding alone", pixels=int(stored.size))
    picture, source = grey.to_grey(stored, inside, how.scale)
    paper.check(picture)
    shown = picture[inside]
    values = stored[inside]
    return Radiograph(
        grey=picture,
        sop_uid=header.sop_uid,
        frame=frame + 1 if header.frames > 1 else 0,
        modality=header.modality,
        pixel_mm=how.pixel_mm,
        pixel_mm_from=how.pixel_mm_from,
        body_part=how.body_part,
        view=how.view,
        laterality=how.laterality,
        image_type=header.image_type,
        burned_in_text=how.burned_in_text,
        bits_stored=header.stored.bits,
        stored_min=int(values.min()),
        stored_max=int(values.max()),
        window_from=source,
        lossy=how.lossy,
        for_processing=how.for_processing,
        clipped_share=float(((shown <= 0) | (shown >= 1)).mean()),
    )
