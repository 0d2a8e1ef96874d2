"""The parts of the nodule training that need no PyTorch: fits, calibration, lost windows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from training.nodules import figures, lidc, page, ridge
from training.nodules.lidc import Patches, Slices

pytestmark = pytest.mark.requirement("DX-IMG-06")


def test_shrunk_regression_finds_the_direction_and_takes_soft_labels() -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(600, 5)) * [1, 20, 0.1, 3, 1] + [0, 5, 1, -2, 0]
    truth = 1 / (1 + np.exp(-(features[:, 1] - 5) / 10))
    found = ridge.fit(features, truth[:, None], np.ones(600), 1.0)
    said = 1 / (1 + np.exp(-found.logits(features)[:, 0]))
    assert np.abs(said - truth).mean() < 0.02
    weak = ridge.fit(features, truth[:, None], np.ones(600), 1e4)
    assert np.abs(weak.weights[:-1]).max() < 0.1 * np.abs(found.weights[:-1]).max()


def test_the_mean_of_fits_on_overlapping_features_is_one_fit() -> None:
    random = np.random.default_rng(5)
    features = random.normal(size=(300, 6)) * 3 + 2
    wanted = (features[:, :2] > 2).astype(np.float64)
    columns = [np.array([0, 1, 2, 3]), np.array([0, 1, 4, 5])]
    fits = [ridge.fit(features[:, at], wanted, np.ones(300), 2.0) for at in columns]
    apart = [one.logits(features[:, at]) for one, at in zip(fits, columns, strict=True)]
    whole = ridge.mean(fits, columns, 6)
    assert np.allclose(whole.logits(features), np.mean(apart, axis=0))


def test_weights_decide_which_nodules_count() -> None:
    features = np.array([[0.0], [1.0], [0.0], [1.0]])
    wanted = np.array([[0.0], [1.0], [1.0], [0.0]])
    first = ridge.fit(features, wanted, np.array([1.0, 1.0, 0.01, 0.01]), 0.1)
    second = ridge.fit(features, wanted, np.array([0.01, 0.01, 1.0, 1.0]), 0.1)
    assert first.weights[0, 0] > 0 > second.weights[0, 0]


def test_platt_undoes_what_was_done_to_the_logits() -> None:
    random = np.random.default_rng(2)
    logits = random.normal(size=4000) * 2
    labels = (random.random(4000) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    scale, shift = figures.platt(logits * 3 + 4, labels)
    assert scale == pytest.approx(1 / 3, rel=0.1)
    assert shift == pytest.approx(-4 / 3, rel=0.1)


def test_calibration_error_is_small_for_true_chances_and_large_for_sure_ones() -> None:
    random = np.random.default_rng(3)
    chance = random.random(5000)
    labels = (random.random(5000) < chance).astype(np.int64)
    good = figures.calibration(labels, chance)
    sure = figures.calibration(labels, np.where(chance > 0.5, 0.99, 0.01))
    assert float(str(good["expected_error"])) < 0.03
    assert float(str(sure["expected_error"])) > 0.2


def test_a_slices_lost_window_is_found_by_the_patch_that_shows_it() -> None:
    random = np.random.default_rng(4)
    field = np.kron(random.normal(size=(32, 32)), np.ones((4, 4))) * 250 - 500
    grey = np.clip((field + 1100) / 8.0, 0, 255).astype(np.uint8)
    patch = field[30:101, 26:97]
    known = Patches(
        patch[None].astype(np.int16),
        np.array([0.7]),
        np.array([50.0]),
        np.array(["one"]),
        {},
        np.array([4]),
        0,
    )
    other = np.kron(random.normal(size=(32, 32)), np.ones((4, 4))) * 30 + 90
    shown = Slices(
        np.stack([grey, np.clip(other, 0, 255).astype(np.uint8), grey]),
        np.zeros((3, 128, 128), np.uint8),
        np.array(["one", "one", "two"]),
        np.array(["one/1", "one/1", "two/1"]),
    )
    window = lidc.windows(shown, known)
    assert window.slope[0] == pytest.approx(8.0, rel=0.03)
    assert window.base[0] == pytest.approx(-1100, abs=20)
    assert window.shift[0].tolist() == [1, -3]
    assert window.patch.tolist() == [0, -1, -1]
    assert window.slope[1] == window.slope[0]  # the same patient's other slice: the median
    assert np.isnan(window.slope[2])  # another patient: not known, not used


def test_the_page_shows_the_cards_figures() -> None:
    text = page.PAGE.read_text()
    shown = text.split(page.BEGIN)[1].split(page.END)[0]
    assert "crops" in shown
    card = json.loads((page.MODELS / "lung_nodule_candidates" / "card.json").read_text())
    assert page.interval(card["figures"]["test"]["auc"]) in shown
