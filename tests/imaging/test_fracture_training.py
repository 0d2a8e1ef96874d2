"""How the fracture network's groups, views, boxes and figures are made; no PyTorch needed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.fractures import augment, boxes, groups
from training.fractures.data import FLAGS, Radiographs

pytestmark = pytest.mark.requirement("DX-IMG-71")


def radiographs(
    numbers: list[int], pictures: list[np.ndarray], part: list[str], fractured: list[int]
) -> Radiographs:
    flags = np.zeros((len(numbers), len(FLAGS)), np.float32)
    flags[:, 0] = fractured
    for row, name in enumerate(part):
        flags[row, FLAGS.index(name)] = 1
    return Radiographs(
        names=[f"IMG{number:07d}.jpg" for number in numbers],
        images=pictures,
        boxes=[np.zeros((0, 4), np.float32) for _ in numbers],
        flags=flags,
        original=np.full((len(numbers), 2), 400),
        official_valid=np.zeros(len(numbers), bool),
    )


def picture(seed: int, rows: int = 160, columns: int = 120) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (rows // 20, columns // 20))
    return np.kron(noise, np.ones((20, 20))).astype(np.uint8)


def test_copies_mirrored_copies_and_neighbours_share_a_group() -> None:
    one, mirrored = picture(1), np.ascontiguousarray(picture(1)[:, ::-1])
    pictures = [one, picture(2), picture(3), mirrored, picture(4), picture(5)]
    numbers = [10, 11, 50, 90, 91, 95]
    parts = ["hand", "hand", "leg", "leg", "hand", "hand"]
    shown = radiographs(numbers, pictures, parts, [0] * 6)
    group = groups.find(shown, groups.likeness(shown)).tolist()
    assert group[0] == group[1] == group[3]
    assert len({group[0], group[2], group[4], group[5]}) == 4


def test_copies_with_conflicting_labels_are_both_left_out() -> None:
    pictures = [picture(1), picture(1), picture(2), picture(2), picture(3)]
    shown = radiographs([1, 20, 40, 60, 80], pictures, ["hand"] * 5, [0, 1, 1, 1, 0])
    gone = groups.left_out(shown.column("fractured"), groups.likeness(shown))
    assert gone.tolist() == [0, 1, 3]


def test_parts_share_no_group() -> None:
    generator = np.random.default_rng(0)
    numbers = np.sort(generator.choice(400, 120, replace=False)).tolist()
    pictures = [picture(seed % 100) for seed in range(120)]
    parts = [["hand", "leg"][k] for k in generator.integers(0, 2, 120)]
    shown = radiographs(numbers, pictures, parts, generator.integers(0, 2, 120).tolist())
    split = groups.split(shown)
    of = [
        set(split.group[rows].tolist())
        for rows in (split.development, split.validation, split.test)
    ]
    assert not of[0] & of[1] and not of[0] & of[2] and not of[1] & of[2]
    used = np.concatenate([split.development, split.validation, split.test, split.left_out])
    assert sorted(used.tolist()) == list(range(120))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    lying=st.booleans(),
    scale=st.sampled_from([0.72, 1.0]),
    at=st.tuples(st.floats(0.2, 0.8), st.floats(0.2, 0.8)),
)
def test_the_box_follows_the_bright_spot_through_every_variation(
    seed: int, lying: bool, scale: float, at: tuple[float, float]
) -> None:
    rows, columns = (360, 448) if lying else (448, 360)
    image = np.full((rows, columns), 40, np.uint8)
    y, x = int(at[0] * rows), int(at[1] * columns)
    image[y - 15 : y + 15, x - 15 : x + 15] = 255
    box = np.array([[x - 15, y - 15, x + 15, y + 15]], np.float32)
    view = augment.varied(image, box, np.random.default_rng(seed), scale)
    assert view.canvas.shape == augment.shape(image, scale)
    if len(view.boxes):
        inner = view.boxes[0].astype(int)
        inside = np.zeros(view.canvas.shape, bool)
        inside[inner[1] : inner[3] + 1, inner[0] : inner[2] + 1] = True
        assert view.canvas[inside].mean() > view.canvas[~inside].mean() + 0.1


@given(st.floats(-180, 180), st.floats(0.5, 2), st.booleans(), st.floats(4, 60), st.floats(4, 60))
def test_a_turned_box_holds_the_ellipse_and_no_more(
    degrees: float, zoom: float, mirrored: bool, wide: float, high: float
) -> None:
    image = np.zeros((200, 200), np.uint8)
    matrix = augment._matrix(image, 300, 260, zoom, degrees, mirrored, (3.0, -7.0))
    around = np.linspace(0, 2 * np.pi, 721)
    ellipse = [90, 120] + np.stack([np.cos(around) * wide, np.sin(around) * high], 1) / 2
    turned = ellipse @ matrix[:2, :2].T + matrix[:2, 2]
    box = np.array([[90 - wide / 2, 120 - high / 2, 90 + wide / 2, 120 + high / 2]], np.float32)
    (moved,) = augment._moved(box, matrix)
    assert moved == pytest.approx([*turned.min(0), *turned.max(0)], abs=0.05)


def test_plain_view_keeps_the_picture() -> None:
    image = picture(3, 440, 340)
    view = augment.plain(image, np.array([[10, 20, 30, 60]], np.float32))
    assert view.canvas.shape == (448, 384)
    zoom = 448 / 440
    assert view.boxes[0, 1] == pytest.approx(20 * zoom, abs=0.5)
    assert view.boxes[0, 2] - view.boxes[0, 0] == pytest.approx(20 * zoom, abs=0.5)


def box(x: float, y: float, size: float = 10) -> list[float]:
    return [x, y, x + size, y + size]


def test_average_precision_counts_a_fracture_once_and_the_best_box_first() -> None:
    truth = [np.array([box(0, 0), box(50, 50)], np.float32), np.zeros((0, 4), np.float32)]
    found = [
        np.array([box(1, 1), box(0, 0), box(50, 50)], np.float32),
        np.array([box(5, 5)], np.float32),
    ]
    scores = [np.array([0.9, 0.8, 0.6]), np.array([0.7])]
    matched = boxes.matches(found, scores, truth)
    assert [hit.tolist() for _, hit in matched] == [[True, False, True], [False]]
    # recall 0.5 at precision 1, recall 1 at precision 2/4; 101 recalls from 0 to 1
    assert boxes.average_precision(matched, 2) == pytest.approx((51 * 1.0 + 50 * 0.5) / 101)


def test_average_precision_of_perfect_and_of_nothing() -> None:
    truth = [np.array([box(0, 0)], np.float32)]
    perfect = boxes.matches(truth, [np.array([0.3])], truth)
    assert boxes.average_precision(perfect, 1) == pytest.approx(1.0)
    nothing = boxes.matches([np.zeros((0, 4), np.float32)], [np.zeros(0)], truth)
    assert boxes.average_precision(nothing, 1) == 0.0
