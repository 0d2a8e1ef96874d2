"""The two sets: slices with labels, boxes on them, and every slice in the head's own frame.

`ich_boxes` is no second set: most of its pictures are slices of the patients of `ct_ich_slices`
(the same pixels at another size). So each picture is matched by its pixels; its boxes then belong
to that slice and to that patient's part of any split. Pictures that match no slice are left out:
most of them show patients of the same study who are kept apart for measurement, the rest carry
no label.
"""

from __future__ import annotations

import csv
import io
import json
import pickle
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.imaging.haemorrhage import frame as frames

TYPES = ("intraparenchymal", "intraventricular", "subarachnoid", "epidural", "subdural")
COLUMNS = ("Intraparenchymal", "Intraventricular", "Subarachnoid", "Epidural", "Subdural")
BOX_TYPES = {"EDH": 3, "IPH": 0, "IVH": 1, "SAH": 2, "SDH": 4}
SAME = 0.999
"""Correlation at 80 x 80 from which two pictures are one; the next best lie below 0.96."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Slices:
    """All slices that have a picture and labels, patient by patient, from the base upwards."""

    images: Bytes
    """(n, 320, 320)."""

    patient: Ints
    number: Ints
    labels: Ints
    """(n, 7): any, the five `TYPES`, fracture."""

    boxes: list[list[tuple[int, Floats]]]
    """Per slice: type and (left, top, right, bottom) in pixels of the image."""

    boxed: npt.NDArray[np.bool_]
    """Whether a picture of `ich_boxes` shows the slice."""

    left_out: int
    """Pictures of `ich_boxes` that match no slice."""


def read(folder: Path) -> Slices:
    """Return the slices under the folder that holds `ct_ich_slices` and `ich_boxes`."""
    images = _images(folder / "ct_ich_slices" / "images.tar")
    with (folder / "ct_ich_slices" / "labels.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    rows.sort(key=lambda row: (int(row["PatientNumber"]), int(row["SliceNumber"])))
    names = [f"{int(row['PatientNumber']):03}_{int(row['SliceNumber']):02}" for row in rows]
    kept = [number for number, name in enumerate(names) if name in images]
    labels = [
        [
            1 - int(rows[number]["No_Hemorrhage"]),
            *(int(rows[number][column]) for column in COLUMNS),
            int(rows[number]["Fracture_Yes_No"]),
        ]
        for number in kept
    ]
    stack = np.stack([images[names[number]] for number in kept])
    boxes, boxed, left_out = _boxes(folder / "ich_boxes", stack)
    return Slices(
        stack,
        np.array([int(rows[number]["PatientNumber"]) for number in kept]),
        np.array([int(rows[number]["SliceNumber"]) for number in kept]),
        np.array(labels),
        boxes,
        boxed,
        left_out,
    )


def part(slices: Slices, held: npt.NDArray[np.bool_]) -> Slices:
    """Return some of the slices."""
    return replace(
        slices,
        images=slices.images[held],
        patient=slices.patient[held],
        number=slices.number[held],
        labels=slices.labels[held],
        boxes=[slices.boxes[row] for row in np.flatnonzero(held)],
        boxed=slices.boxed[held],
    )


def kept(folder: Path, work: Path, keep: bool) -> tuple[Slices, list[frames.Frame]]:
    """Return slices and frames; with `keep` as the work folder has them."""
    path = work / "slices.pickle"
    if keep and path.is_file():
        with path.open("rb") as content:
            slices, frame_list = pickle.load(content)
        return slices, frame_list
    slices = read(folder)
    frame_list = frames_of(slices)
    with path.open("wb") as content:
        pickle.dump((slices, frame_list), content)
    return slices, frame_list


def frames_of(slices: Slices) -> list[frames.Frame]:
    """Return each patient's frame in the order of the patients' first slices."""
    found = []
    for patient in np.unique(slices.patient):
        planes = slices.images[slices.patient == patient].astype(np.float32) / 255.0
        frame = frames.find(planes)
        if frame is None:
            raise SystemExit(f"no skull on the slices of patient {patient}")
        found.append(frame)
    return found


def folds(slices: Slices, count: int, seed: int) -> Ints:
    """Return each slice's fold; patients are dealt out by how much haemorrhage they have."""
    patients = np.unique(slices.patient)
    positive = np.array([slices.labels[slices.patient == p, 0].sum() for p in patients])
    generator = np.random.default_rng(seed)
    order = np.lexsort((generator.random(len(patients)), -positive))
    fold_of = np.empty(len(patients), np.int64)
    for start in range(0, len(patients), count):
        rows = order[start : start + count]
        fold_of[rows] = generator.permutation(count)[: len(rows)]
    return np.asarray(fold_of[np.searchsorted(patients, slices.patient)])


def _images(path: Path) -> dict[str, Bytes]:
    with tarfile.open(path) as members:
        found = {}
        for member in members:
            content = members.extractfile(member) if member.isfile() else None
            if content:
                picture = Image.open(io.BytesIO(content.read())).convert("L")
                found[Path(member.name).stem] = np.asarray(picture)
        return found


def _boxes(
    folder: Path, stack: Bytes
) -> tuple[list[list[tuple[int, Floats]]], npt.NDArray[np.bool_], int]:
    """Return boxes per slice, which slices a picture shows, and how many match none."""
    labels = json.loads((folder / "labels.json").read_text())
    pictures = _images(folder / "images.tar")
    small = np.stack([_small(plane) for plane in stack])
    boxes: list[list[tuple[int, Floats]]] = [[] for _ in stack]
    boxed = np.zeros(len(stack), bool)
    left_out = 0
    for name, entries in sorted(labels["boxes_yolo"].items()):
        likeness = small @ _small(pictures[name])
        row = int(np.argmax(likeness))
        if likeness[row] < SAME:
            left_out += 1
            continue
        boxed[row] = True
        side = stack.shape[1]
        for kind, *numbers in entries:
            x, y, wide, high = (float(number) * side for number in numbers)
            edges = np.array([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2])
            boxes[row].append((BOX_TYPES[labels["names"][int(kind)]], edges))
    return boxes, boxed, left_out


def _small(plane: Bytes) -> npt.NDArray[np.float32]:
    made = np.asarray(Image.fromarray(plane).resize((80, 80), Image.Resampling.BOX), np.float32)
    made = made.ravel() - made.mean()
    return np.asarray(made / max(float(np.linalg.norm(made)), 1e-6))
