"""The nodule models in the repository: their cards are theirs, and they answer as they should."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from services.cli import triton
from services.imaging.nodules import impression, outline, score
from services.kernel.inference import OnnxInference, TritonInference
from tests.servers.triton import ENVIRONMENT, TritonServer

NAMES = ("lung_nodule_candidates", "lung_nodule_impression")
pytestmark = pytest.mark.requirement("DX-IMG-42")


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_of_this_file_and_says_what_the_model_is_not(name: str, models: Path) -> None:
    folder = models / name
    card = json.loads((folder / "card.json").read_text())
    content = (folder / "1" / "model.onnx").read_bytes()
    assert card["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(content) <= 9_000_000
    assert "not a medical device" in card["intended_use"]
    assert {"data", "split", "split_rule", "fails", "figures", "input", "output"} <= card.keys()
    config = (folder / "config.pbtxt").read_text()
    assert re.search(rf'^name: "{name}"$', config, re.MULTILINE)
    assert re.search(r"^max_batch_size: 64$", config, re.MULTILINE)


async def test_a_large_solid_nodule_looks_more_malignant_than_a_small_one(models: Path) -> None:
    at = (np.arange(64) - 32) * 0.7
    away = np.hypot(at[:, None], at[None, :])
    patches = np.stack([np.where(away <= radius, 30.0, -860.0) for radius in (2.0, 5.0, 12.0)])
    patches = patches + np.random.default_rng(2).normal(0, 15, patches.shape)
    outputs = await OnnxInference(models).infer(
        impression.MODEL, {impression.INPUT: patches[:, None].astype(np.float32)}
    )
    found = impression.impressions(outputs)
    chances = [one.malignancy for one in found]
    assert chances[0] < chances[1] < chances[2]
    assert all(1 <= value <= 6 for one in found for value in one.ratings.values())
    limits = impression.Limits.of(json.loads((models / impression.MODEL / "card.json").read_text()))
    assert limits.leaning(chances[0]) == impression.BENIGN


async def test_a_row_does_not_depend_on_its_batch(models: Path) -> None:
    patches = np.random.default_rng(4).normal(-600, 300, (5, 1, 64, 64)).astype(np.float32)
    crops = np.random.default_rng(4).random((5, 1, 50, 50)).astype(np.float32)
    asked = OnnxInference(models)
    for model, name, given in (
        (impression.MODEL, impression.INPUT, patches),
        (outline.MODEL, outline.INPUT, patches),
        (score.MODEL, score.INPUT, crops),
    ):
        if not (models / model).is_dir():
            continue
        whole = await asked.infer(model, {name: given})
        alone = await asked.infer(model, {name: given[2:3]})
        for key, value in alone.items():
            np.testing.assert_allclose(value[0], whole[key][2], atol=1e-5)


@pytest.mark.flow
async def test_triton_gives_the_numbers_of_this_process(models: Path, tmp_path: Path) -> None:
    if triton.find_wheel(ENVIRONMENT) is None:
        pytest.skip("Triton's wheel is not installed: no .venv-triton")
    for name in (score.MODEL, impression.MODEL):
        shutil.copytree(models / name, tmp_path / "repository" / name)
    server = TritonServer(tmp_path, tmp_path / "repository")
    server.start()
    client = TritonInference(server.url, shared_memory=False, timeout_s=60.0)
    random = np.random.default_rng(9)
    patches = random.normal(-600, 300, (70, 1, 64, 64)).astype(np.float32)
    crops = random.random((70, 1, 50, 50)).astype(np.float32)
    try:
        for model, given in (
            (impression.MODEL, {impression.INPUT: patches}),
            (score.MODEL, {score.INPUT: crops}),
        ):
            there = await client.infer(model, given)
            here = await OnnxInference(models).infer(model, given)
            for name, value in here.items():
                np.testing.assert_allclose(there[name], value, rtol=0, atol=1e-4)
    finally:
        await client.close()
        server.kill()
