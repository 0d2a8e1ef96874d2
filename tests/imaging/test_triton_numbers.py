"""Triton and ONNX Runtime in process give the same numbers for the same crops."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from services.cli import triton
from services.cli.mesh import triton_is_ready
from services.cli.supervisor import free_ports
from services.imaging.nodules.score import INPUT, MODEL, OUTPUT
from services.kernel.errors import InvalidInput, Unavailable
from services.kernel.inference import OnnxInference, TritonInference

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv-triton"
RUNNER = ROOT / "deploy" / "triton" / "onnx_model.py"
START_S = 60.0
CROPS = 150
"""More than two full batches."""

pytestmark = [pytest.mark.flow, pytest.mark.requirement("DX-IMG-10")]


@dataclass
class Server:
    """A running tritonserver that serves the project's model repository."""

    url: str
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    wheel = triton.find_wheel(ENVIRONMENT)
    if wheel is None:
        pytest.skip("Triton's wheel is not installed: no .venv-triton")
    folder = tmp_path_factory.mktemp("triton")
    triton.prepare(wheel, models, folder / "run", RUNNER)
    ports = dict(zip(("grpc", "http", "metrics"), free_ports(3), strict=True))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            triton.command(wheel, folder / "run", ports),
            env=triton.environment(wheel, os.environ),
            stdout=log,
            stderr=log,
        )
        try:
            until = time.monotonic() + START_S
            while not triton_is_ready(ports["grpc"]):
                if process.poll() is not None or time.monotonic() > until:
                    pytest.fail((folder / "log").read_text()[-2000:])
                time.sleep(0.2)
            yield Server(f"127.0.0.1:{ports['grpc']}", process)
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def crops() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    grey = np.random.default_rng(11).integers(0, 256, (CROPS, 1, 50, 50))
    return (grey / 255).astype(np.float32)


@pytest.mark.parametrize("shared_memory", [False, True])
async def test_same_numbers_from_triton_and_in_process(
    server: Server,
    models: Path,
    crops: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    shared_memory: bool,
) -> None:
    client = TritonInference(server.url, shared_memory=shared_memory, timeout_s=30.0)
    assert await client.ready(MODEL)
    there = (await client.infer(MODEL, {INPUT: crops}))[OUTPUT]
    here = (await OnnxInference(models).infer(MODEL, {INPUT: crops}))[OUTPUT]
    assert there.shape == here.shape == (CROPS, 1)
    assert here.std() > 0
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-5)


async def test_wrong_tensor_is_refused_by_both(server: Server, models: Path) -> None:
    wrong = np.zeros((2, 1, 40, 40), np.float32)
    for client in (
        TritonInference(server.url, shared_memory=False, timeout_s=30.0),
        OnnxInference(models),
    ):
        with pytest.raises(InvalidInput):
            await client.infer(MODEL, {INPUT: wrong, "unknown": wrong})


async def test_server_that_is_gone_is_tried_again() -> None:
    (port,) = free_ports(1)
    client = TritonInference(f"127.0.0.1:{port}", shared_memory=False, timeout_s=2.0)
    with pytest.raises(Unavailable) as caught:
        await client.infer(MODEL, {INPUT: np.zeros((1, 1, 50, 50), np.float32)})
    assert caught.value.retry_after_s
    assert not await client.ready(MODEL)
