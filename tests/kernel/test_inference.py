"""Inference by ONNX Runtime in process and by the real Triton: the same numbers from both."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc.aio as triton_client

from services.kernel.errors import InvalidInput, Unavailable
from services.kernel.inference import (
    Inference,
    ModelGone,
    OnnxInference,
    TritonInference,
    open_inference,
    read_model,
)
from services.kernel.models import BATCH_MAX, batch_max, join, split
from tests.servers.onnx_model import MODEL, expected
from tests.servers.triton import TritonServer

REGIONS = Path("/dev/shm")
"""Where POSIX shared memory lies on Linux."""


def rows(count: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(count).normal(size=(count, 4)).astype(np.float32)}


def regions() -> set[str]:
    return {path.name for path in REGIONS.glob("dxmesh_*")}


@pytest.fixture(
    params=[
        "onnxruntime",
        pytest.param("message", marks=pytest.mark.flow),
        pytest.param("memory", marks=pytest.mark.flow),
    ]
)
async def inference(
    request: pytest.FixtureRequest, model_repository: Path
) -> AsyncIterator[Inference]:
    """Each of the three ways."""
    if request.param == "onnxruntime":
        yield open_inference(model_repository, None, shared_memory=False, timeout_s=5)
        return
    server: TritonServer = request.getfixturevalue("triton_server")
    shared = request.param == "memory"
    triton = open_inference(model_repository, server.url, shared_memory=shared, timeout_s=20)
    assert isinstance(triton, TritonInference)
    yield triton
    await triton.close()


@pytest.mark.requirement("DX-ARC-10")
async def test_every_way_gives_the_same_numbers_for_any_number_of_rows(
    inference: Inference,
) -> None:
    before = regions()
    for count in (1, 3, BATCH_MAX, BATCH_MAX + 1, 3 * BATCH_MAX + 7):
        inputs = rows(count)
        answer = await inference.infer(MODEL, inputs)
        for name, value in expected(inputs["x"]).items():
            assert answer[name].shape == (count, 3)
            np.testing.assert_allclose(answer[name], value, rtol=1e-5, atol=1e-6)
    many = await asyncio.gather(*(inference.infer(MODEL, rows(n)) for n in range(1, 9)))
    for n, answer in enumerate(many, 1):
        np.testing.assert_allclose(answer["y"], expected(rows(n)["x"])["y"], rtol=1e-5, atol=1e-6)
    assert await inference.ready(MODEL)
    assert not await inference.ready("absent")
    assert regions() <= before  # another mesh on this machine may have ended meanwhile


@pytest.mark.requirement("DX-ARC-10")
async def test_tensors_the_model_does_not_take_are_invalid_and_leave_nothing(
    inference: Inference,
) -> None:
    before = regions()
    good = rows(2)["x"]
    for inputs in (
        {"x": good[:, :3]},
        {"x": good.astype(np.float64)},
        {"z": good},
        {"x": good, "z": good},
        {"x": good, "z": good[:1]},
        {"x": good[:0]},
        {},
    ):
        with pytest.raises(InvalidInput):
            await inference.infer(MODEL, inputs)
    assert (await inference.infer(MODEL, rows(2)))["y"].shape == (2, 3)
    assert regions() <= before  # another mesh on this machine may have ended meanwhile


@pytest.mark.requirement("DX-IMG-101")
async def test_model_that_is_not_there_is_told_from_a_server_that_is_not(
    inference: Inference,
) -> None:
    before = regions()
    with pytest.raises(ModelGone) as caught:
        await inference.infer("absent", rows(1))
    assert (caught.value.reason, caught.value.facts) == ("MODEL_MISSING", {"model": "absent"})
    assert caught.value.retry_after_s is None
    assert not await inference.ready("absent")
    assert regions() <= before  # another mesh on this machine may have ended meanwhile


@pytest.mark.flow
@pytest.mark.requirement("DX-ARC-10")
@pytest.mark.parametrize("shared", [False, True])
async def test_triton_killed_is_unavailable_and_works_again_when_it_is_back(
    triton_server: TritonServer, shared: bool
) -> None:
    before = regions()
    inference = TritonInference(triton_server.url, shared_memory=shared, timeout_s=10)
    await inference.infer(MODEL, rows(3))
    running = [asyncio.create_task(inference.infer(MODEL, rows(500))) for _ in range(4)]
    await asyncio.sleep(0.02)
    await asyncio.to_thread(triton_server.kill)
    for result in await asyncio.gather(*running, return_exceptions=True):
        assert isinstance(result, dict | Unavailable), repr(result)
    with pytest.raises(Unavailable):
        await inference.infer(MODEL, rows(3))
    assert not await inference.ready(MODEL)
    assert regions() <= before  # another mesh on this machine may have ended meanwhile
    await asyncio.to_thread(triton_server.start)
    for _ in range(50):  # the channel waits a little before it connects again
        try:
            answer = await inference.infer(MODEL, rows(3))
            break
        except Unavailable:
            await asyncio.sleep(0.2)
    np.testing.assert_allclose(answer["y"], expected(rows(3)["x"])["y"], rtol=1e-5)
    assert regions() <= before  # another mesh on this machine may have ended meanwhile
    await inference.close()


@pytest.mark.flow
@pytest.mark.requirement("DX-ARC-10")
async def test_memory_of_a_killed_process_is_taken_away_by_the_next_one(
    triton_server: TritonServer,
) -> None:
    before = regions()
    script = """
import asyncio, os, signal, sys
from services.kernel.inference import TritonInference
from tests.kernel.test_inference import MODEL, rows

async def infer():
    await TritonInference(sys.argv[1], shared_memory=True, timeout_s=10).infer(MODEL, rows(3))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(infer())
"""
    command = [sys.executable, "-c", script, triton_server.url]
    killed = await asyncio.to_thread(subprocess.run, command, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert regions() <= before  # another mesh on this machine may have ended meanwhile
    (left,) = await mapped(triton_server)
    inference = TritonInference(triton_server.url, shared_memory=True, timeout_s=10)
    await inference.infer(MODEL, rows(3))
    (own,) = await mapped(triton_server)
    assert own != left
    await inference.close()
    assert await mapped(triton_server) == set()


async def mapped(server: TritonServer) -> set[str]:
    """Return the regions that Triton has mapped."""
    async with triton_client.InferenceServerClient(server.url) as client:
        return set((await client.get_system_shared_memory_status()).regions)


def test_batches_are_cut_and_put_together_in_order() -> None:
    x = np.arange(300).reshape(150, 2)
    batches = split({"x": x, "y": x[:, 0]})
    assert [len(batch["x"]) for batch in batches] == [64, 64, 22]
    assert all(batch["x"].flags["C_CONTIGUOUS"] for batch in batches)
    np.testing.assert_array_equal(join(batches)["x"], x)


@pytest.mark.parametrize(
    ("config", "rows_max"),
    [("max_batch_size: 16\n", 16), ("max_batch_size: 500", 64), ("max_batch_size: 0", 1), ("", 64)],
)
def test_batch_is_as_large_as_the_model_takes(config: str, rows_max: int) -> None:
    assert batch_max(f'name: "x"\n{config}') == rows_max


def test_newest_version_is_read_by_number(model_repository: Path) -> None:
    first = read_model(model_repository, MODEL)
    assert (first.version, len(first.sha256)) == ("1.2.3", 64)
    for version in ("2", "10"):
        folder = model_repository / MODEL / version
        folder.mkdir()
        (folder / "model.onnx").write_bytes(b"not the one" if version == "2" else b"newest")
    assert read_model(model_repository, MODEL).sha256 != first.sha256
    (model_repository / MODEL / "10" / "model.onnx").write_bytes(
        (model_repository / MODEL / "1" / "model.onnx").read_bytes()
    )
    assert read_model(model_repository, MODEL).sha256 == first.sha256


async def test_runtime_is_named_for_the_provenance(model_repository: Path) -> None:
    assert OnnxInference(model_repository).runtime == "onnxruntime"
    assert TritonInference.runtime == "triton"
