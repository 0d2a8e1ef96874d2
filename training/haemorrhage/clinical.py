"""What the exported model and the service say of a clinical series in HU, with no labels.

The series is one head CT of 28 slices with gantry tilt and uneven distances (`head_ct_ge_dicom`).
Two questions: does the service's way from HU give the network what the training slices give it
(window, 8 bits, JPEG, 320 pixels); and is blood that is planted in it found and measured.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image
from scipy import ndimage

from services.imaging.haemorrhage import brain, frame, prepare, score, segment
from services.imaging.haemorrhage.names import ANY, INPUT, MAP, PROBABILITY
from services.imaging.haemorrhage.segment import to_source
from services.imaging.series.volume import Volume
from training.haemorrhage import exported

QUALITY = 90
SIDE = 320
BLOOD_HU = 64.0
RADII_MM = (8.0, 12.0, 18.0)
THICK_MM = (6.0, 10.0, 16.0)
HALF_MM = 32.0
GRAIN = 0.6
"""Share of the slice's own noise that planted blood keeps."""

Grey = npt.NDArray[np.float32]


def read(path: Path) -> Volume:
    """Return the series in the archive as it was acquired."""
    with tarfile.open(path) as members:
        contents = [members.extractfile(one) for one in members.getmembers() if one.isfile()]
        files = [pydicom.dcmread(io.BytesIO(one.read())) for one in contents if one]
    files.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    first = files[0]
    row, column = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    positions = np.array([one.ImagePositionPatient for one in files], float)
    affine = np.eye(4)
    affine[:3, 0] = (positions[-1] - positions[0]) / (len(files) - 1)
    affine[:3, 1] = column * float(first.PixelSpacing[0])
    affine[:3, 2] = row * float(first.PixelSpacing[1])
    affine[:3, 3] = positions[0]
    hu = [one.pixel_array * one.RescaleSlope + one.RescaleIntercept for one in files]
    return Volume(
        np.rint(np.stack(hu)).astype(np.int16),
        affine,
        tuple(str(one.SOPInstanceUID) for one in files),
        positions_mm=positions,
        even=False,
        gaps_mm=tuple(float(gap) for gap in np.diff(positions @ np.cross(row, column))),
    )


def ask(folder: Path) -> Any:
    """Return an Ask that runs the exported model in this process."""
    own = exported.session(folder)

    def answer(model: str, inputs: Any) -> dict[str, Any]:
        names = [PROBABILITY, MAP]
        return dict(zip(names, own.run(names, {INPUT: inputs[INPUT]}), strict=True))

    return answer


def as_published(volume: Volume) -> Grey:
    """Return the series as the training slices came: window, 8 bits, 320 pixels, JPEG."""
    made = []
    for plane in prepare.windowed(volume.hu):
        picture = Image.fromarray(np.rint(plane * 255).astype(np.uint8))
        buffer = io.BytesIO()
        picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(
            buffer, "JPEG", quality=QUALITY
        )
        made.append(np.asarray(Image.open(buffer), np.float32) / 255.0)
    return np.stack(made)


def same_input(volume: Volume, folder: Path) -> dict[str, Any]:
    """Return how far the two ways to the network differ, in grey levels and probability."""
    clinical = prepare.head(volume)
    planes = as_published(volume)
    found = frame.find(planes)
    if found is None:
        raise SystemExit("no skull was found in the published form of the series")
    seen = frame.into(planes, found)
    inside = brain.inside(seen)
    published = replace(clinical, frame=found, planes=seen, inside=inside)
    both = clinical.inside & inside
    smooth = [ndimage.uniform_filter(each, (0, 5, 5)) for each in (clinical.planes, seen)]
    difference = (smooth[0] - smooth[1])[both] * 255.0
    chances = [
        exported.scores(folder, prepare.inputs(each))[0][:, ANY] for each in (clinical, published)
    ]
    return {
        "turn_degrees": [clinical.frame.turn_degrees, found.turn_degrees],
        "mean_grey_difference_in_brain": round(float(difference.mean()), 2),
        "median_absolute_grey_difference_in_brain": round(float(np.median(abs(difference))), 2),
        "largest_probability_difference": round(float(abs(chances[0] - chances[1]).max()), 3),
        "mean_probability_difference": round(float(abs(chances[0] - chances[1]).mean()), 3),
    }


def planted(volume: Volume, folder: Path, card: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the service says of the series as it is, and with blood of known volume."""
    asked = ask(folder)
    head = prepare.head(volume)
    made = [{"planted": "none", "ml": 0.0, **_said(volume, asked, card)}]
    place = _deep_place(volume, head)
    for kind, sizes in (("ball", RADII_MM), ("lens", THICK_MM)):
        for size in sizes:
            mask = _ball(volume, place, size) if kind == "ball" else _lens(volume, head, size)
            area = mask.sum(axis=(1, 2)) * volume.spacing_mm[1] * volume.spacing_mm[2]
            ml = float((area * volume.slice_mm()).sum()) / 1000.0
            changed = replace(volume, hu=_with_blood(volume.hu, mask))
            made.append({"planted": kind, "ml": round(ml, 2), **_said(changed, asked, card)})
    return made


def _said(volume: Volume, asked: Any, card: dict[str, Any]) -> dict[str, Any]:
    head = prepare.head(volume)
    scores = score.score(head, asked, card)
    found = segment.regions(volume, head, scores.maps, float(card["aggregation"]["map_seed"]))
    areas = [
        float(
            (one.mask.sum(axis=(1, 2)) * volume.slice_mm()[one.start[0] :][: len(one.mask)]).sum()
        )
        for one in found
        if not one.by_map
    ]
    pixel = volume.spacing_mm[1] * volume.spacing_mm[2] / 1000.0
    return {
        "study_probability": round(scores.study, 3),
        "highest_slice": int(np.argmax(scores.slices[:, ANY])),
        "measured_ml": round(sum(areas) * pixel, 2),
    }


def _deep_place(volume: Volume, head: prepare.Head) -> npt.NDArray[np.float64]:
    """Return LPS mm of a place in the white matter, beside and above the ventricles."""
    number = int(np.argmax(head.inside.sum(axis=(1, 2)))) + 2
    row, column = head.frame.to_image(np.array([96.0, 150.0]), number)
    return volume.to_patient(np.array([float(number), row, column]))


def _ball(volume: Volume, place: npt.NDArray[np.float64], radius_mm: float) -> Any:
    rows, columns = np.indices(volume.hu.shape[1:])
    return np.stack(
        [
            np.linalg.norm(
                volume.to_patient(np.stack([np.full(rows.shape, at), rows, columns], -1)) - place,
                axis=-1,
            )
            <= radius_mm
            for at in range(len(volume.hu))
        ]
    )


def _lens(volume: Volume, head: prepare.Head, thick_mm: float) -> Any:
    """Return a lens under the left side of the skull, (slices, rows, columns)."""
    number = int(np.argmax(head.inside.sum(axis=(1, 2)))) + 1
    columns = np.flatnonzero(head.inside[number, 110])
    edge = head.frame.to_image(np.array([110.0, float(columns[-1])]), number)
    place = volume.to_patient(np.array([float(number), *edge]))
    shape = (volume.hu.shape[1], volume.hu.shape[2])
    rows, across = np.indices(shape)
    made = np.zeros(volume.hu.shape, bool)
    for at in range(len(volume.hu)):
        inside = to_source(head.inside[at].astype(np.float32), head.frame, at, shape, 1) > 0.5
        depth = ndimage.distance_transform_edt(inside, sampling=volume.spacing_mm[1:])
        points = volume.to_patient(np.stack([np.full(shape, float(at)), rows, across], -1))
        away = np.linalg.norm(points - place, axis=-1)
        made[at] = inside & (depth <= thick_mm * (1 - (away / HALF_MM) ** 2))
    return made


def _with_blood(hu: npt.NDArray[np.int16], mask: Any) -> npt.NDArray[np.int16]:
    grey = hu.astype(np.float32)
    share = ndimage.gaussian_filter(mask.astype(np.float32), (0, 1.2, 1.2)) * (grey < 95)
    grain = grey - ndimage.gaussian_filter(grey, (0, 3, 3))
    grain = np.clip(grain, -25, 25) * GRAIN
    return np.rint(grey * (1 - share) + (BLOOD_HU + grain) * share).astype(np.int16)
