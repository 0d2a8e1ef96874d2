"""A Triton hop beside ONNX Runtime in this process: 1 MiB of float32 each way, one call at a time.

The same network, in the same ONNX file, is asked through `kernel.inference` three ways: in
process, and through a real tritonserver on this machine with its tensors in shared memory and
in gRPC messages. What a hop adds is the ratio; the aim holds for shared memory, which is what
the mesh uses on one host.

Run: `python -m benchmarks.inference_hop`; needs `.venv-triton`.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import uvloop

from benchmarks import conv
from benchmarks.rounds import Side, Verdict, interleaved, ratio, spread
from services.cli import mesh, triton
from services.cli.supervisor import Child, Supervisor, free_ports
from services.kernel.inference import Inference, OnnxInference, TritonInference

PACKAGES = ("onnxruntime", "tritonclient", "grpcio", "numpy")
ROUNDS = 25
CALLS = 30
WARM_CALLS = 10
START_S = 60.0
TIMEOUT_S = 20.0
AIM_MAX = 2.0

IN_PROCESS = "in process"
SHARED, MESSAGE = "Triton, shared memory", "Triton, gRPC message"
ENVIRONMENT = mesh.ROOT / ".venv-triton"
Tensor = npt.NDArray[np.float32]


def wheel() -> triton.TritonWheel | None:
    """Return Triton's wheel where it is installed."""
    return triton.find_wheel(ENVIRONMENT)


@contextlib.asynccontextmanager
async def running_sides() -> AsyncIterator[dict[str, Inference]]:
    """Yield each way to ask the network, over a tritonserver of its own."""
    found = wheel()
    if not found:
        raise SystemExit("there is no Triton wheel in .venv-triton; `make demo` installs it")
    with tempfile.TemporaryDirectory(prefix="dx") as folder:
        models, target = Path(folder) / "models", Path(folder) / "triton"
        conv.write(models)
        triton.prepare(found, models, target, mesh.RUNNER)
        ports = dict(zip(("grpc", "http", "metrics"), free_ports(3), strict=True))
        url = f"127.0.0.1:{ports['grpc']}"
        server = Child(
            name="triton",
            command=triton.command(found, Path(target.name), ports),  # see cli.mesh
            folder=target.parent,
            environment=triton.environment(found, os.environ),
            log=Path(folder) / "triton.log",
            healthy=lambda: mesh.triton_is_ready(ports["grpc"]),
        )
        supervisor = Supervisor()
        supervisor.start(server)
        try:
            supervisor.wait(server, START_S)
            yield {
                IN_PROCESS: OnnxInference(models),
                SHARED: TritonInference(url, shared_memory=True, timeout_s=TIMEOUT_S),
                MESSAGE: TritonInference(url, shared_memory=False, timeout_s=TIMEOUT_S),
            }
        finally:
            supervisor.stop()


async def measure(rounds: int = ROUNDS, calls: int = CALLS) -> dict[str, Any]:
    """Return milliseconds a call by side, one median a round, and how far outputs differ."""
    tensor = np.random.default_rng(0).standard_normal(conv.SHAPE, dtype=np.float32)
    async with running_sides() as ways:
        outputs = {name: await _output(way, tensor) for name, way in ways.items()}
        for way in ways.values():
            for _ in range(WARM_CALLS):
                await _output(way, tensor)
        sides = {name: _side(way, tensor, calls) for name, way in ways.items()}
        figures = await interleaved(sides, rounds)
    return {"ms": figures, "largest_difference": _difference(outputs), "calls": calls}


async def _output(way: Inference, tensor: Tensor) -> Tensor:
    return (await way.infer(conv.NAME, {conv.INPUT: tensor}))[conv.OUTPUT]


def _side(way: Inference, tensor: Tensor, calls: int) -> Side:
    async def run() -> float:
        times = []
        for _ in range(calls):
            start = time.perf_counter()
            await _output(way, tensor)
            times.append((time.perf_counter() - start) * 1e3)
        return statistics.median(times)

    return run


def _difference(outputs: Mapping[str, Tensor]) -> float:
    """Return how far any output lies from the one computed in process."""
    return max(float(np.abs(each - outputs[IN_PROCESS]).max()) for each in outputs.values())


def rows(result: dict[str, Any]) -> list[str]:
    """Return the figures as a Markdown table."""
    peer = result["ms"][IN_PROCESS]
    lines = ["| way | ms a call | ratio to in process |", "|---|---|---|"]
    for name, figures in result["ms"].items():
        lines.append(f"| {name} | {spread(figures)} | {ratio(figures, peer)} |")
    return lines


def verdict(result: dict[str, Any]) -> Verdict:
    """Return whether a hop through shared memory is cheap enough."""
    figures = result["ms"]
    return Verdict.at_most(
        "time through Triton and shared memory to time in process",
        AIM_MAX,
        ratio(figures[SHARED], figures[IN_PROCESS]),
    )


def main() -> dict[str, Any]:
    """Measure, print the table, return the figures."""
    result: dict[str, Any] = uvloop.run(measure())
    print("\n".join([*rows(result), "", str(verdict(result))]))
    return result


if __name__ == "__main__":
    main()
