"""How the haemorrhage model is trained and measured: sets, folds, planted blood, figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.imaging.haemorrhage import frame as frames
from training.haemorrhage import data, figures, plant
from training.haemorrhage.features import box_target

DATA = Path(__file__).resolve().parents[2].parent / "shared/data/imaging"


@pytest.fixture(scope="module")
def slices() -> data.Slices:
    if not (DATA / "ct_ich_slices").is_dir() or not (DATA / "ich_boxes").is_dir():
        pytest.skip("the open data sets are not here: ../shared/data/imaging/ct_ich_slices")
    return data.read(DATA)


@pytest.mark.requirement("DX-IMG-59")
def test_pictures_of_the_boxes_are_slices_of_the_same_patients(slices: data.Slices) -> None:
    assert len(slices.images) == 2156
    assert slices.boxed.sum() == 235
    assert slices.left_out == 94
    boxed = np.array([bool(boxes) for boxes in slices.boxes])
    assert (slices.labels[boxed, 0] == 1).mean() > 0.99
    agree = [
        all(slices.labels[row, 1 + kind] for kind, _ in slices.boxes[row])
        for row in np.flatnonzero(boxed)
    ]
    assert np.mean(agree) > 0.9


@pytest.mark.requirement("DX-IMG-59")
def test_folds_share_no_patient_and_each_has_haemorrhage(slices: data.Slices) -> None:
    fold = data.folds(slices, 5, 1)
    for patient in np.unique(slices.patient):
        assert len(np.unique(fold[slices.patient == patient])) == 1
    counts = [slices.labels[fold == number, 0].sum() for number in range(5)]
    assert min(counts) > 0.5 * max(counts)


@pytest.mark.requirement("DX-IMG-59")
@pytest.mark.parametrize("seed", range(12))
def test_planted_blood_lies_inside_the_skull_where_its_mask_says(seed: int) -> None:
    rows, columns = np.indices((frames.ROWS, frames.COLUMNS))
    away = np.hypot((rows - 127.5) / 105, (columns - 111.5) / 85)
    inside = away < 1
    random = np.random.default_rng(seed)
    plane = np.where(inside, 0.45, np.where(away < 1.1, 1.0, 0.0)).astype(np.float32)
    fluid = (abs(rows - 120) < 25) & (abs(abs(columns - 111.5) - 12) < 7)
    plane[fluid] = 0.2
    plane = plane + (random.normal(0, 0.02, plane.shape) * inside).astype(np.float32)
    made = plant.plant(plane.astype(np.float32), inside, random)
    if made is None:
        return
    changed, kind, share = made
    assert 0 <= kind < 5
    assert share[~inside].max() < 0.7
    core = share > 0.9
    if core.any():
        assert 0.5 < changed[core].mean() < 0.9
    far = share < 0.001
    assert np.abs(changed - plane)[far].max() < 0.13


@pytest.mark.requirement("DX-IMG-59")
def test_box_falls_on_its_cells_in_a_turned_frame() -> None:
    frame = frames.Frame(20.0, np.array([[160.0, 150.0]]), 0.9, np.ones(1))
    at = np.array([60.0, 70.0])
    row, column = frame.to_image(at, 0)
    box = np.array([column - 9, row - 9, column + 9, row + 9])
    middle = np.array([(frames.ROWS - 1) / 2, (frames.COLUMNS - 1) / 2])
    offset = frame.centers[0] - frame.matrix() @ middle
    target = box_target([(3, box)], frame.matrix(), offset)
    assert target[4].argmax() == target[0].argmax()
    found = np.unravel_index(int(target[0].argmax()), target[0].shape)
    assert found == (60 // 8, 70 // 8)
    assert target[[1, 2, 3, 5]].max() == 0


@pytest.mark.requirement("DX-IMG-06")
def test_calibration_and_position_figures_are_what_they_say() -> None:
    random = np.random.default_rng(2)
    logits = random.normal(0, 2, 4000)
    labels = (random.random(4000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))).astype(np.int64)
    scale, shift = figures.platt(logits, labels)
    assert (scale, shift) == (pytest.approx(0.5, abs=0.08), pytest.approx(-1, abs=0.12))
    chance = 1 / (1 + np.exp(-(scale * logits + shift)))
    assert figures.calibration(labels, chance)["expected_calibration_error"] < 0.03
    assert figures.auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    position = np.tile(np.linspace(0, 1, 20), 10)
    middle = (abs(position - 0.5) < 0.2).astype(np.int64)
    fold = np.repeat(np.arange(5), 40)
    assert figures.auc(middle, figures.position_baseline(position, middle, fold)) > 0.9


@pytest.mark.requirement("DX-IMG-06")
def test_logits_far_from_their_middle_are_calibrated_too() -> None:
    random = np.random.default_rng(3)
    logits = random.normal(0.85, 1.9, 2156)
    labels = (random.random(2156) < 1 / (1 + np.exp(-(1.2 * logits - 4.1)))).astype(np.int64)
    scale, shift = figures.platt(logits, labels)
    assert (scale, shift) == (pytest.approx(1.2, abs=0.2), pytest.approx(-4.1, abs=0.5))


def test_operating_point_keeps_its_share() -> None:
    labels = np.array([1] * 10 + [0] * 10)
    chance = np.concatenate([np.linspace(0.1, 1, 10), np.linspace(0, 0.5, 10)])
    point = figures.operating_point(labels, chance, 0.9)
    assert point == pytest.approx(0.2)
