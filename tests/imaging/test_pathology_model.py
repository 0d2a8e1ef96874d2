"""The shipped pathology models: the same numbers from Triton, and real tiles where they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.cli import triton
from services.imaging.pathology import fields, instances, lung
from services.kernel.inference import OnnxInference, TritonInference
from tests.servers.triton import ENVIRONMENT, TritonServer

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "imaging"
MODELS = ROOT / "deploy" / "triton" / "models"
OUTPUTS = {fields.NUCLEI: (256, "maps"), lung.MODEL: (224, "probability")}


def asked(model: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a shipped model in this process."""
    import onnxruntime

    path = MODELS / model / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = (one.name for one in session.get_outputs())
    return {name: session.run([name], dict(inputs))[0]}


def card(model: str) -> dict[str, Any]:
    return dict(json.loads((MODELS / model / "card.json").read_text()))


@pytest.mark.flow
@pytest.mark.requirement("DX-IMG-89")
async def test_triton_gives_the_numbers_of_onnx_runtime(tmp_path: Path) -> None:
    if triton.find_wheel(ENVIRONMENT) is None:
        pytest.skip("Triton's wheel is not installed: no .venv-triton")
    for name in OUTPUTS:
        shutil.copytree(MODELS / name, tmp_path / "repository" / name)
    server = TritonServer(tmp_path, tmp_path / "repository")
    server.start()
    client = TritonInference(server.url, shared_memory=False, timeout_s=60.0)
    try:
        for name, (side, output) in OUTPUTS.items():
            tiles = np.random.default_rng(5).random((3, 3, side, side)).astype(np.float32)
            there = (await client.infer(name, {"tiles": tiles}))[output]
            here = (await OnnxInference(MODELS).infer(name, {"tiles": tiles}))[output]
            assert there.shape == here.shape and here.std() > 0
            np.testing.assert_allclose(there, here, rtol=0, atol=1e-4)
    finally:
        await client.close()
        server.kill()


@pytest.mark.requirement("DX-IMG-83")
def test_real_tiles_of_another_data_set_are_outlined() -> None:
    """Every twelfth tile of dsb2018_coloured, which no network was trained on."""
    if not (DATA / "dsb2018_coloured").is_dir():
        pytest.skip("the open data set is not here: ../shared/data/imaging/dsb2018_coloured")
    from training.pathology import measures, sets

    real = sets.dsb2018(DATA)
    point = card(fields.NUCLEI)["operating_point"]
    scores = []
    for tile, wanted in list(zip(real.pixels, real.instances, strict=True))[::12]:
        probability, depth = fields.maps(tile, asked)
        labels = instances.separate(probability, depth, point["probability"], point["seed_depth"])
        scores.append(measures.dice(labels > 0, wanted > 0))
    stated = card(fields.NUCLEI)["figures"]["dsb2018_coloured"]["dice"]["value"]
    assert np.mean(scores) > stated - 0.1


@pytest.mark.requirement("DX-IMG-85")
def test_real_lung_tiles_are_told_apart() -> None:
    """The head was fitted on these tiles: this shows the path, not the figure."""
    if not (DATA / "lc25000_lung_dedup").is_dir():
        pytest.skip("the open data set is not here: ../shared/data/imaging/lc25000_lung_dedup")
    from training.pathology import sets

    real = sets.lc25000(DATA)
    wanted = [{"lung_n": 0, "lung_aca": 1, "lung_scc": 2}[kind] for kind in real.kind[::20]]
    tiles = real.pixels[::20].transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    found = asked(lung.MODEL, {lung.INPUT: tiles})[lung.OUTPUT]
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (found.argmax(axis=1) == wanted).mean() > 0.95
