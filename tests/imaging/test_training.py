"""How the network's figures, groups and card are made; these parts need no PyTorch."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.imaging.nodules import score
from training.nodules import card, crops, figures, groups

pytestmark = pytest.mark.requirement("DX-IMG-06")


def places(count: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return pictures of unlike places, 80x80, smooth enough to be anatomy."""
    noise = np.random.default_rng(seed).normal(size=(count, 20, 20))
    return np.kron(noise, np.ones((4, 4))) * 60 + 128


def cut(
    picture: np.ndarray[tuple[int, ...], np.dtype[np.float64]], row: int, column: int
) -> crops.Grey:
    return np.clip(picture[row : row + 50, column : column + 50], 0, 255).astype(np.uint8)


@pytest.mark.parametrize("nodule", [0, 1])
def test_shifted_copies_are_one_group(nodule: int) -> None:
    pictures = places(12, seed=2)
    one = [cut(picture, 15, 15) for picture in pictures]
    again = [cut(picture, 18, 12) for picture in pictures[:4]]
    found = groups.find(np.stack(one + again), np.full(16, nodule))
    assert [found[12 + k] == found[k] for k in range(4)] == [True] * 4
    assert len(set(found[:12])) == 12


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40).filter(
        lambda rows: 0 < sum(label for label, _ in rows) < len(rows)
    )
)
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[bool, int]]) -> None:
    labels = np.array([int(label) for label, _ in rows])
    scores = np.array([float(value) for _, value in rows])
    pairs = [
        1.0 if p > n else 0.5 if p == n else 0.0
        for p in scores[labels == 1]
        for n in scores[labels == 0]
    ]
    assert figures.auc(labels, scores) == pytest.approx(float(np.mean(pairs)))


def test_interval_holds_the_figure_and_draws_groups() -> None:
    generator = np.random.default_rng(3)
    labels = np.repeat(generator.integers(0, 2, 60), 5)
    scores = np.repeat(generator.normal(size=60), 5) + labels
    by_crop = figures.interval(figures.auc, labels, scores, np.arange(300), 1)
    by_group = figures.interval(figures.auc, labels, scores, np.repeat(np.arange(60), 5), 1)
    assert by_group["low"] < by_group["value"] < by_group["high"]
    assert by_group["high"] - by_group["low"] > 1.5 * (by_crop["high"] - by_crop["low"])


def test_operating_point_keeps_the_stated_share_of_nodules() -> None:
    labels = np.array([1] * 10 + [0] * 10)
    scores = np.array([0.9] * 8 + [0.404, 0.1] + [0.05] * 10)
    assert card.operating_point(labels, scores) == 0.4


def test_service_makes_the_grey_values_the_network_was_trained_on() -> None:
    hu = np.arange(-1100, 600, dtype=np.float32)
    assert np.array_equal(score.grey(hu), (crops.to_grey(hu) / np.float32(255)).astype(np.float32))
    assert (crops.to_grey(np.array([-1000, -300, 400])) == [0, 127, 255]).all()


def test_card_tells_of_this_model_and_says_what_it_is_not(models: Path) -> None:
    folder = models / score.MODEL
    stated = json.loads((folder / "card.json").read_text())
    assert (
        stated["sha256"] == hashlib.sha256((folder / "1" / "model.onnx").read_bytes()).hexdigest()
    )
    assert "not a medical device" in stated["intended_use"]
    assert 0 < stated["operating_point"]["probability"] < 1
    assert stated["figures"]["test"]["auc"]["low"] > 0.9
    assert stated["split"]["left_out_as_shown_in_lidc_idri_0001"] == 9
    assert {"data", "overlap", "fails", "lidc_idri_0001", "split_rule"} <= stated.keys()


def test_configuration_is_what_production_triton_reads(models: Path) -> None:
    text = (models / score.MODEL / "config.pbtxt").read_text()
    assert re.search(r'^backend: "onnxruntime"$', text, re.MULTILINE)
    assert re.search(r"^max_batch_size: 64$", text, re.MULTILINE)
    assert [f'name: "{name}"' in text for name in (score.MODEL, score.INPUT, score.OUTPUT)] == [
        True
    ] * 3
