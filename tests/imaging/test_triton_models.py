"""Every folder of the model repository keeps the same rules, whoever trained it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from services.kernel.inference import OnnxInference, read_model

pytestmark = pytest.mark.requirement("DX-IMG-100")

MODELS = Path(__file__).resolve().parents[2] / "deploy" / "triton" / "models"
NAMES = sorted(path.name for path in MODELS.iterdir() if path.is_dir())
MODEL_BYTES_MAX, ALL_BYTES_MAX = 10_000_000, 60_000_000
KINDS = {"TYPE_FP32": "tensor(float)", "TYPE_INT64": "tensor(int64)", "TYPE_UINT8": "tensor(uint8)"}
CARD = {"name", "version", "sha256", "intended_use", "data", "fails", "figures"}

TENSOR = re.compile(r'name:\s*"(\w+)"\s*data_type:\s*(\w+)\s*dims:\s*\[([-\d,\s]*)\]')


def config(name: str) -> str:
    text = (MODELS / name / "config.pbtxt").read_text()
    return "\n".join(line.partition("#")[0] for line in text.splitlines())


def block(text: str, name: str) -> str:
    """Return what stands between the outer brackets of a part of a configuration."""
    found = re.search(rf"^{name}\s*:?\s*[\[{{]", text, re.MULTILINE)
    assert found, f"{name} is missing"
    depth, start = 0, found.end() - 1
    for at in range(start, len(text)):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[start + 1 : at]
    raise AssertionError(f"{name} does not end")


def tensors(text: str, name: str) -> dict[str, tuple[str, list[int]]]:
    """Return name → (type, dimensions without the batch) of inputs or outputs."""
    return {
        each: (kind, [int(size) for size in dims.split(",")] if dims.strip() else [])
        for each, kind, dims in TENSOR.findall(block(text, name))
    }


@pytest.fixture(scope="module")
def sessions() -> dict[str, Any]:
    return {
        name: onnxruntime.InferenceSession(
            str(MODELS / name / read_version(name) / "model.onnx"),
            providers=["CPUExecutionProvider"],
        )
        for name in NAMES
    }


def read_version(name: str) -> str:
    return max((path.name for path in (MODELS / name).iterdir() if path.name.isdigit()), key=int)


def test_repository_is_small_enough_to_be_in_the_project() -> None:
    assert sum(path.stat().st_size for path in MODELS.rglob("*")) <= ALL_BYTES_MAX


@pytest.mark.parametrize("name", NAMES)
def test_folder_holds_what_triton_and_the_report_read_and_nothing_else(name: str) -> None:
    folder = MODELS / name
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"config.pbtxt", "card.json", f"{read_version(name)}/model.onnx"} <= files
    assert all(re.fullmatch(r"config.pbtxt|card.json|\d+/model.onnx", file) for file in files)
    assert sum((folder / file).stat().st_size for file in files) <= MODEL_BYTES_MAX


@pytest.mark.parametrize("name", NAMES)
def test_configuration_says_how_it_is_served(name: str) -> None:
    text = config(name)
    assert re.search(rf'^name:\s*"{name}"', text, re.MULTILINE)
    assert re.search(r'^backend:\s*"onnxruntime"', text, re.MULTILINE)
    limit = re.search(r"^max_batch_size:\s*(\d+)", text, re.MULTILINE)
    assert limit
    assert 1 <= int(limit.group(1)) <= 64
    assert re.search(r"latest", block(text, "version_policy"))
    batching = block(text, "dynamic_batching")
    delay = re.search(r"max_queue_delay_microseconds:\s*(\d+)", batching)
    assert delay
    assert int(delay.group(1)) <= 5_000, "a lone case waits for it"
    for rule in ("timeout_action: REJECT", "allow_timeout_override: true", "max_queue_size:"):
        assert rule in batching, f"{rule} is missing in default_queue_policy"
    assert "KIND_CPU" in block(text, "instance_group"), "the image's build turns it into KIND_GPU"
    warm = block(text, "model_warmup")
    for each in tensors(text, "input"):
        assert f'key: "{each}"' in warm, "warm-up gives every input"


@pytest.mark.parametrize("name", NAMES)
def test_configuration_and_network_name_the_same_tensors(
    name: str, sessions: dict[str, Any]
) -> None:
    text, session = config(name), sessions[name]
    for said, found in (
        (tensors(text, "input"), session.get_inputs()),
        (tensors(text, "output"), session.get_outputs()),
    ):
        assert set(said) == {each.name for each in found}
        for each in found:
            kind, dims = said[each.name]
            assert each.type == KINDS[kind]
            assert not isinstance(each.shape[0], int), "the batch is of any size"
            assert len(each.shape) == len(dims) + 1
            for size, stated in zip(each.shape[1:], dims, strict=True):
                assert not isinstance(size, int) or stated in (size, -1), each.name


@pytest.mark.parametrize("name", NAMES)
def test_card_belongs_to_the_network(name: str) -> None:
    info = read_model(MODELS, name)
    assert set(info.card) >= CARD, f"the card lacks {sorted(CARD - set(info.card))}"
    assert info.card["name"] == name
    network = MODELS / name / read_version(name) / "model.onnx"
    assert info.card["sha256"] == hashlib.sha256(network.read_bytes()).hexdigest() == info.sha256
    assert "not a medical device" in info.card["intended_use"]
    json.dumps(info.card, allow_nan=False)


@pytest.mark.parametrize("name", NAMES)
async def test_row_gets_the_same_numbers_in_any_batch(name: str) -> None:
    """Rows of one batch do not know of each other; dynamic batching rests on it."""
    random = np.random.default_rng(7)
    rows = {
        each: random.random((3, *(size if size > 0 else 128 for size in dims)), np.float32)
        for each, (_, dims) in tensors(config(name), "input").items()
    }
    server = OnnxInference(MODELS)
    together = await server.infer(name, rows)
    alone = await server.infer(name, {each: value[1:2] for each, value in rows.items()})
    for each, value in together.items():
        assert np.isfinite(value).all()
        np.testing.assert_allclose(value[1:2], alone[each], rtol=0, atol=1e-4)
