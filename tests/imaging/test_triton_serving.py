"""The real Triton serving the project's models: loading by name, versions, limits, busy queues."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

from services.cli import triton
from services.imaging.nodules.score import INPUT, MODEL, OUTPUT
from services.imaging.triton import Models
from services.kernel.errors import Unavailable
from services.kernel.inference import ModelGone, OnnxInference, TritonInference
from tests.imaging.test_triton_models import NAMES, config, tensors
from tests.servers import onnx_model
from tests.servers.triton import ENVIRONMENT, TritonServer

pytestmark = [pytest.mark.flow, pytest.mark.requirement("DX-IMG-100")]


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    if triton.find_wheel(ENVIRONMENT) is None:
        pytest.skip("Triton's wheel is not installed: no .venv-triton")
    folder = tmp_path_factory.mktemp("triton")
    repository = folder / "repository"
    shutil.copytree(models, repository)
    broken = shutil.copytree(models / MODEL, repository / "broken")
    (broken / "1" / "model.onnx").write_bytes(b"no network")
    config = (models / MODEL / "config.pbtxt").read_text()
    (broken / "config.pbtxt").write_text(config.replace(MODEL, "broken"))
    narrow = shutil.copytree(models / MODEL, repository / "narrow")
    config = config.replace(MODEL, "narrow").replace("max_queue_size: 256", "max_queue_size: 2")
    (narrow / "config.pbtxt").write_text(config.replace("max_batch_size: 64", "max_batch_size: 8"))
    onnx_model.write_repository(repository)
    started = TritonServer(folder, repository)
    started.start()
    yield started
    started.kill()


@pytest.fixture
async def client(server: TritonServer) -> AsyncIterator[TritonInference]:
    opened = TritonInference(server.url, shared_memory=False, timeout_s=30.0)
    yield opened
    await opened.close()


def crops(rows: int = 3) -> dict[str, np.ndarray]:
    return {INPUT: np.random.default_rng(rows).random((rows, 1, 50, 50), np.float32)}


@pytest.mark.requirement("DX-IMG-10")
@pytest.mark.parametrize("name", NAMES)
async def test_every_model_gives_the_same_numbers_as_in_process(
    client: TritonInference, models: Path, name: str
) -> None:
    random = np.random.default_rng(3)
    rows = {
        each: random.random((3, *(size if size > 0 else 128 for size in dims)), np.float32)
        for each, (_, dims) in tensors(config(name), "input").items()
    }
    there, here = await client.infer(name, rows), await OnnxInference(models).infer(name, rows)
    assert set(there) == set(here)
    for each, value in here.items():
        np.testing.assert_allclose(there[each], value, rtol=0, atol=1e-4)


async def test_model_that_cannot_be_loaded_leaves_the_others_answering(
    client: TritonInference,
) -> None:
    assert (await client.infer(MODEL, crops()))[OUTPUT].shape == (3, 1)
    assert not await client.ready("broken")
    with pytest.raises(ModelGone):
        await client.infer("broken", crops())
    with pytest.raises(ModelGone):
        await client.load("broken")
    with pytest.raises(ModelGone):
        await client.load("absent")


async def test_model_is_unloaded_and_loaded_by_name(client: TritonInference, models: Path) -> None:
    await client.unload(MODEL)
    with pytest.raises(ModelGone):
        await client.infer(MODEL, crops())
    assert not await client.ready(MODEL)
    await Models(client, models).start([MODEL])
    assert await client.ready(MODEL)
    assert (await client.infer(MODEL, crops()))[OUTPUT].shape == (3, 1)


async def test_newer_version_answers_once_it_is_loaded(
    client: TritonInference, server: TritonServer
) -> None:
    folder = server.served / onnx_model.MODEL
    x = np.ones((2, 4), np.float32)
    before = (await client.infer(onnx_model.MODEL, {"x": x}))["y"]
    shutil.copytree(folder / "1", folder / "2")
    moved = onnx_model.B + 1
    network = onnx_model.model_bytes().replace(onnx_model.B.tobytes(), moved.tobytes())
    (folder / "2" / "model.onnx").write_bytes(network)
    np.testing.assert_allclose((await client.infer(onnx_model.MODEL, {"x": x}))["y"], before)
    await client.load(onnx_model.MODEL)
    after = (await client.infer(onnx_model.MODEL, {"x": x}))["y"]
    np.testing.assert_allclose(after, before + 1, atol=1e-5)


async def test_questions_that_come_at_once_are_answered_each_with_its_own(
    client: TritonInference, models: Path
) -> None:
    asked = [crops(rows) for rows in range(1, 17)]
    answers = await asyncio.gather(*(client.infer(MODEL, each) for each in asked))
    here = OnnxInference(models)
    for each, answer in zip(asked, answers, strict=True):
        expected = (await here.infer(MODEL, each))[OUTPUT]
        np.testing.assert_allclose(answer[OUTPUT], expected, rtol=0, atol=1e-5)


async def test_batches_are_no_larger_than_the_model_takes(client: TritonInference) -> None:
    assert (await client.infer("narrow", crops(20)))[OUTPUT].shape == (20, 1)


async def test_full_queue_is_refused_for_the_bus_to_hold(client: TritonInference) -> None:
    asked = [client.infer("narrow", crops(8)) for _ in range(60)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [each for each in answers if not isinstance(each, dict)]
    assert refused, "no queue was full"
    assert all(isinstance(each, Unavailable) and each.retry_after_s for each in refused)
    assert (await client.infer("narrow", crops()))[OUTPUT].shape == (3, 1)


async def test_question_has_a_deadline(server: TritonServer) -> None:
    hurried = TritonInference(server.url, shared_memory=False, timeout_s=0.002)
    with pytest.raises(Unavailable):
        await hurried.infer(MODEL, crops(64))
    await hurried.close()
