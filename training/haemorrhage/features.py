"""What the frozen early stages of the backbone see, for plain and varied slices, kept on disk.

Each slice is seen as it is and mirrored; both are stored, so the trained part can compare the
two sides of the head and can be trained on either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from scipy import ndimage

from services.imaging.haemorrhage import brain
from services.imaging.haemorrhage.frame import COLUMNS, ROWS, Frame
from training.haemorrhage import plant
from training.haemorrhage.data import Slices

VARIED_REAL, VARIED_NONE = 3, 3
"""How often a slice with haemorrhage and one without is stored varied, beside once plain."""

PLANTED_SHARE = 0.45
CELL = 8
GRID = (ROWS // CELL, COLUMNS // CELL)
TYPES = 5

Grey = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass
class Store:
    """Features of every entry and what it shows, memory-mapped.

    The first entries are the slices as they are, in order; they are scored. The others are varied.
    """

    row: npt.NDArray[np.int64]
    """(e,): the slice of each entry."""

    fine: npt.NDArray[np.float16]
    """(e, 2, 40, 32, 28): plain and mirrored."""

    coarse: npt.NDArray[np.float16]
    """(e, 2, 112, 16, 14)."""

    measured: npt.NDArray[np.float16]
    """(e, M, 32, 28), of the plain one."""

    target: npt.NDArray[np.float16]
    """(e, 6, 32, 28): share of each cell in a box or a planted mask; any, types."""

    known: npt.NDArray[np.uint8]
    """(e,): 1 where the target's places are known, 0 where only the labels are."""

    labels: npt.NDArray[np.uint8]
    """(e, 7)."""


def entries(slices: Slices) -> npt.NDArray[np.int64]:
    """Return the slice of each entry, (e,)."""
    count = len(slices.images)
    real = slices.labels[:, 0] == 1
    times = np.where(real, VARIED_REAL, VARIED_NONE)
    return np.concatenate([np.arange(count), np.repeat(np.arange(count), times)])


def open_store(folder: Path, slices: Slices, measured: int, mode: str) -> Store:
    """Return the arrays in the folder; mode "w+" makes them, "r" reads them."""
    row = entries(slices)
    shapes: dict[str, tuple[tuple[int, ...], type]] = {
        "fine": ((2, 40, *GRID), np.float16),
        "coarse": ((2, 112, GRID[0] // 2, GRID[1] // 2), np.float16),
        "measured": ((measured, *GRID), np.float16),
        "target": ((6, *GRID), np.float16),
        "known": ((), np.uint8),
        "labels": ((7,), np.uint8),
    }
    made = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode, dtype, (len(row), *shape))
        if mode == "w+"
        else np.load(folder / f"{name}.npy", mmap_mode="r")
        for name, (shape, dtype) in shapes.items()
    }
    return Store(row=row, **made)


def varied(frame: Frame, number: int, random: np.random.Generator | None) -> tuple[Floats, Floats]:
    """Return the matrix and offset that take the frame's pixels to the image's, varied."""
    matrix = frame.matrix()
    middle = np.array([(ROWS - 1) / 2, (COLUMNS - 1) / 2])
    center = frame.centers[number].copy()
    if random is not None:
        angle, zoom = np.deg2rad(random.normal(0, 5)), np.exp(random.normal(0, 0.05))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        shear = np.eye(2) + np.array([[0, random.normal(0, 0.03)], [0, 0]])
        matrix = matrix @ turn @ shear / zoom
        center += random.normal(0, 3, 2)
    return matrix, center - matrix @ middle


def sampled(plane: Grey, matrix: Floats, offset: Floats) -> Grey:
    """Return the plane in the frame, (ROWS, COLUMNS)."""
    return np.asarray(
        ndimage.affine_transform(plane, matrix, offset, output_shape=(ROWS, COLUMNS), order=1)
    )


def as_scanned(planes: Grey, random: np.random.Generator) -> Grey:
    """Return planes (3, rows, columns) with another window, sharpness and noise."""
    gain, shift = random.normal(1, 0.05), random.normal(0, 0.015)
    made = (planes - 0.45) * gain + 0.45 + shift
    blur = random.uniform(0, 0.9)
    if blur > 0.3:
        made = ndimage.gaussian_filter(made, (0, blur, blur))
    if random.random() < 0.5:
        noise = random.normal(0, 1, planes.shape)
        noise = ndimage.gaussian_filter(noise, (0, 0.6, 0.6))
        made = made + noise * random.uniform(0, 0.05) / 0.45
    black, white = planes <= 0.01, planes >= 0.99
    return np.asarray(np.where(black, 0, np.where(white, 1, np.clip(made, 0, 1))), np.float32)


def stack(slices: Slices, frame_list: list[Frame], row: int) -> tuple[Grey, Frame, int]:
    """Return a slice with its neighbours (3, 320, 320), its frame, and its number there."""
    patients = np.unique(slices.patient)
    rows = np.flatnonzero(slices.patient == slices.patient[row])
    number = int(row - rows[0])
    at = np.clip([row - 1, row, row + 1], rows[0], rows[-1])
    planes = slices.images[at].astype(np.float32) / 255.0
    frame = frame_list[int(np.searchsorted(patients, slices.patient[row]))]
    return planes, frame, number


def box_target(
    boxes: list[tuple[int, npt.NDArray[np.float64]]], matrix: Floats, offset: Floats
) -> Grey:
    """Return the share of each cell inside boxes: any and types, (6, *GRID)."""
    made = np.zeros((6, *GRID), np.float32)
    for kind, (left, top, right, bottom) in boxes:
        rows, columns = np.indices((ROWS, COLUMNS)).reshape(2, -1)
        y, x = matrix @ np.stack([rows, columns]) + offset[:, None]
        held = ((y >= top) & (y < bottom) & (x >= left) & (x < right)).reshape(ROWS, COLUMNS)
        share = cells(held.astype(np.float32))
        made[0] = np.maximum(made[0], share)
        made[1 + kind] = np.maximum(made[1 + kind], share)
    return made


def cells(plane: Grey) -> Grey:
    """Return means over cells, (..., *GRID)."""
    shape = plane.shape[:-2]
    return np.asarray(plane.reshape(*shape, GRID[0], CELL, GRID[1], CELL).mean(axis=(-3, -1)))


def fill(
    store: Store,
    slices: Slices,
    frame_list: list[Frame],
    backbone: Path,
    measure: Callable[[Grey], Grey],
    seed: int,
) -> None:
    """Write every entry."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(backbone), options, ["CPUExecutionProvider"])
    for entry, row in enumerate(store.row):
        random = np.random.default_rng(seed + entry) if entry >= len(slices.images) else None
        seen, target, known, labels = _made(slices, frame_list, int(row), random)
        inputs = np.stack([seen, seen[:, :, ::-1]])
        fine, coarse = session.run(None, {"slices": np.ascontiguousarray(inputs)})
        store.fine[entry], store.coarse[entry] = fine, coarse
        store.measured[entry] = measure(seen[1])
        store.target[entry], store.known[entry] = target, known
        store.labels[entry] = labels
        if (entry + 1) % 1000 == 0:
            print(f"{entry + 1} of {len(store.row)} entries", flush=True)


def _made(
    slices: Slices, frame_list: list[Frame], row: int, random: np.random.Generator | None
) -> tuple[Grey, Grey, int, npt.NDArray[np.int64]]:
    """Return a slice with its neighbours in the frame, its target, whether known, its labels."""
    planes, frame, number = stack(slices, frame_list, row)
    matrix, offset = varied(frame, number, random)
    seen = np.stack([sampled(plane, matrix, offset) for plane in planes])
    labels = slices.labels[row].copy()
    target = box_target(slices.boxes[row], matrix, offset)
    known = int(labels[0] == 0 or bool(slices.boxes[row]))
    if random is None:
        return seen, target, known, labels
    if labels[0] == 0 and random.random() < PLANTED_SHARE:
        planted = plant.plant(seen[1], brain.inside(seen[1:2])[0], random)
        if planted:
            seen[1], kind, share = planted
            labels[0] = labels[1 + kind] = 1
            target[0] = target[1 + kind] = np.minimum(cells(share) * 2, 1)
    return as_scanned(seen, random), target, known, labels
