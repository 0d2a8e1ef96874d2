"""How the pathology models' figures are made, and that the cards tell of the files beside them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from services.imaging.pathology import fields, lung
from training.pathology import figures, groups, measures, targets

pytestmark = pytest.mark.requirement("DX-IMG-88")
ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "deploy" / "triton" / "models"


def discs(*places: tuple[int, int], radius: int = 8, side: int = 64) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    found = np.zeros((side, side), np.int32)
    for number, (row, column) in enumerate(places, start=1):
        found[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = number
    return found


def test_dice_aji_and_pq_of_known_pictures() -> None:
    truth = discs((16, 16), (16, 48), (48, 32))
    assert measures.dice(truth > 0, truth > 0) == measures.aji(truth, truth) == 1.0
    assert measures.pq(truth, truth) == 1.0
    two = np.where(truth == 3, 0, truth)
    assert measures.aji(two, truth) == pytest.approx(2 / 3, abs=0.01)
    assert measures.pq(two, truth) == pytest.approx(2 / 2.5)
    merged = np.minimum(truth, 1)
    assert measures.pq(merged, truth) == 0.0
    assert measures.aji(merged, truth) < 0.4
    none = np.zeros_like(truth)
    assert measures.dice(none > 0, none > 0) == measures.pq(none, none) == 1.0
    assert measures.aji(none, truth) == measures.pq(none, truth) == 0.0


def test_touching_nuclei_of_a_mask_are_parted_and_depth_is_of_each() -> None:
    mask = discs((32, 22), (32, 40), radius=10) > 0
    parted = targets.parted(mask)
    assert parted.max() == 2 and ((parted > 0) == mask).all()
    depth = targets.depth(parted)
    assert depth.max() == 1.0 and depth[~mask].max() == 0
    assert depth[32, 31] < 0.3 < depth[32, 22]


def test_tiles_that_overlap_are_one_group_and_parts_share_none() -> None:
    generator = np.random.default_rng(3)
    places = np.kron(generator.integers(0, 255, (40, 96, 96, 1)), np.ones((1, 8, 8, 3)))
    places = places.astype(np.uint8)
    tiles = places[:, :512, :512].copy()
    tiles[30] = places[5, 160:672, 96:608]
    number = np.arange(40) * 2 + 1
    number[30] = number[5] + 31
    order = np.argsort(number, kind="stable")
    tiles, number = tiles[order], number[order]
    parts = groups.split(tiles, number)
    where = {int(old): new for new, old in enumerate(order)}
    assert parts.group[where[5]] == parts.group[where[30]]
    assert groups.overlaps(tiles, number) == [(where[5], where[30])]
    sets_of = [set(parts.group[rows]) for rows in (parts.development, parts.validation, parts.test)]
    assert not sets_of[0] & sets_of[1] and not sets_of[1] & sets_of[2]
    assert sum(len(rows) for rows in (parts.development, parts.validation, parts.test)) == 40


def test_interval_draws_groups_and_holds_the_figure() -> None:
    values = np.repeat(np.random.default_rng(1).random(30), 6)
    alone = figures.mean_of(values, np.arange(180))
    grouped = figures.mean_of(values, np.repeat(np.arange(30), 6))
    assert grouped["low"] < grouped["value"] < grouped["high"]
    assert grouped["high"] - grouped["low"] > 1.7 * (alone["high"] - alone["low"])
    assert figures.auc(np.array([0, 0, 1, 1]), np.array([1.0, 2.0, 2.0, 3.0])) == 0.875


@pytest.mark.parametrize("name", [fields.NUCLEI, lung.MODEL])
def test_card_tells_of_this_model_and_says_what_it_is_not(name: str) -> None:
    folder = MODELS / name
    card = json.loads((folder / "card.json").read_text())
    content = (folder / "1" / "model.onnx").read_bytes()
    assert card["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(content) < 6 << 20
    assert "not a medical device" in card["intended_use"]
    assert 0 < card["operating_point"]["probability"] < 1
    assert {"data", "fails", "split", "figures", "split_rule"} <= card.keys()
    text = (folder / "config.pbtxt").read_text()
    assert re.search(r'^backend: "onnxruntime"$', text, re.MULTILINE) and f'name: "{name}"' in text
