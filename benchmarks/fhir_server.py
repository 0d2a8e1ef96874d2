"""The FHIR server over HTTP, beside a bare Starlette "hello" on the same granian.

The gateway runs as a process of its own as it is deployed (tracing, audit and encryption on),
one on SQLite and one on PostgreSQL, over a table of Observations. The load comes from this
process over kept connections, so server and load share the machine. A read is authenticated,
decrypted and answered after its audit entry is committed (reads and hellos are compared over
128 connections, which share the commits of a disk that is slower than either); a create is
validated, indexed, audited and committed; a search has two parameters and 20 results; a
transaction has 500 entries that refer to one another. Memory is the gateway's own (resident),
sampled while requests of all kinds go on.

Run: `python -m benchmarks fhir_server`; DX_BENCH_RESOURCES sets how many resources there are,
DX_BENCH_REQUESTS how many requests memory is watched over.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import uvloop

from benchmarks.gateway_place import (
    CODES,
    PATIENTS_EACH,
    POSTGRESQL,
    SQLITE,
    TOKEN,
    Place,
    observation,
    place,
)
from benchmarks.http_load import Load, request, send
from benchmarks.rounds import Verdict, interleaved, ratio, spread

PACKAGES = ("granian", "starlette", "sqlalchemy", "aiosqlite", "asyncpg", "uvloop")
ROUNDS = 9
CONNECTIONS, READERS = 32, 128
RESOURCES = int(os.environ.get("DX_BENCH_RESOURCES", "100000"))
REQUESTS = int(os.environ.get("DX_BENCH_REQUESTS", "100000"))
ENTRIES = 500
AIM_MIN = 0.4
HELLO, READ, CREATE, SEARCH = "hello", "read", "create", "search"
TRANSACTION, TRANSACTIONS = "transaction", 5
CREATED = orjson.dumps({k: v for k, v in observation(7).items() if k != "id"})


def read(number: int, resources: int = RESOURCES) -> bytes:
    """Return the request for one Observation, another each time."""
    return request("GET", f"/fhir/Observation/o-{number * 7919 % resources}", TOKEN)


def create(number: int) -> bytes:
    """Return the request that makes one."""
    return request("POST", "/fhir/Observation", TOKEN, CREATED)


def search(number: int, resources: int = RESOURCES) -> bytes:
    """Return the request for 20 Observations of one patient with one code."""
    patient = number * 31 % max(1, resources // PATIENTS_EACH)
    code = f"http%3A%2F%2Floinc.org%7C{CODES[number % len(CODES)]}"
    path = f"/fhir/Observation?patient=p-{patient}&code={code}&_count=20"
    return request("GET", path, TOKEN)


def transaction(entries: int = ENTRIES) -> bytes:
    """Return a Bundle of a patient and Observations of that patient."""
    patient = {"resourceType": "Patient", "name": [{"family": "Bench"}]}
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "transaction", "entry": []}
    for number in range(entries):
        resource = observation(number)
        resource["subject"] = {"reference": "urn:uuid:0f0f0f0f-0000-4000-8000-000000000000"}
        del resource["id"]
        bundle["entry"].append(
            {
                "fullUrl": f"urn:uuid:0f0f0f0f-0000-4000-8000-{number:012}",
                "resource": patient if number == 0 else resource,
                "request": {"method": "POST", "url": "Patient" if number == 0 else "Observation"},
            }
        )
    return request("POST", "/fhir", TOKEN, orjson.dumps(bundle))


async def measure_reads(at: Place, rounds: int, count: int, resources: int) -> dict[str, Any]:
    """Return requests per second of reads and hellos, one figure a round, and the last load."""
    last: dict[str, Load] = {}

    async def one(name: str, port: int, make: Any) -> float:
        last[name] = await send(port, make, count, READERS)
        return last[name].per_s

    hello = request("GET", "/")
    figures = await interleaved(
        {
            HELLO: lambda: one(HELLO, at.hello, lambda _: hello),
            READ: lambda: one(READ, at.gateway, lambda n: read(n, resources)),
        },
        rounds,
    )
    return {"figures": figures, "last": last}


async def measure_memory(at: Place, requests: int, resources: int) -> list[tuple[int, float]]:
    """Return (requests so far, MiB resident), sampled ten times while all kinds of them go on."""

    def mixed(number: int) -> bytes:
        if number % 20 == 0:
            return create(number)
        return search(number, resources) if number % 4 == 1 else read(number, resources)

    await send(at.gateway, mixed, max(20, requests // 20), CONNECTIONS)  # warm
    samples = [(0, _resident_mib(at.pid))]
    step = max(1, requests // 10)
    for done in range(step, requests + 1, step):
        await send(at.gateway, mixed, step, CONNECTIONS)
        samples.append((done, _resident_mib(at.pid)))
    return samples


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def measure(
    rounds: int = ROUNDS,
    count: int = 3000,
    resources: int = RESOURCES,
    requests: int = REQUESTS,
    entries: int = ENTRIES,
    kinds: tuple[str, ...] = (SQLITE, POSTGRESQL),
) -> dict[str, Any]:
    """Return every figure, by database."""
    result: dict[str, Any] = {"resources": resources, "entries": entries}
    content = transaction(entries)

    def bundle(_: int) -> bytes:
        return content

    for kind in kinds:
        async with place(kind, resources) as at:
            found = await measure_reads(at, rounds, count, resources)
            found["loads"] = {
                (READ, READERS): found["last"][READ],
                (READ, 1): await send(at.gateway, lambda n: read(n, resources), count // 6, 1),
                (CREATE, 1): await send(at.gateway, create, count // 10, 1),
                (CREATE, CONNECTIONS): await send(at.gateway, create, count // 2, CONNECTIONS),
                (SEARCH, 1): await send(at.gateway, lambda n: search(n, resources), count // 10, 1),
                (SEARCH, CONNECTIONS): await send(
                    at.gateway, lambda n: search(n, resources), count // 2, CONNECTIONS
                ),
            }
            loads = [await send(at.gateway, bundle, 1, 1) for _ in range(TRANSACTIONS)]
            found["transactions"] = [1 / load.per_s for load in loads]
            found["loads"][(TRANSACTION, 1)] = loads[-1]
            if kind == kinds[0]:
                result["memory"] = await measure_memory(at, requests, resources)
        result[kind] = found
    return result


def _databases(result: dict[str, Any]) -> list[str]:
    return [kind for kind in (SQLITE, POSTGRESQL) if kind in result]


def rows(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown tables."""
    lines = [
        f"Over {result['resources']:,} Observations.",
        "",
        "| database | what | connections | requests/s | p50, ms | p99, ms |",
        "|---|---|---|---|---|---|",
    ]
    for kind in _databases(result):
        for (what, connections), load in result[kind]["loads"].items():
            if what != TRANSACTION:
                lines.append(
                    f"| {kind} | {what} | {connections} | {load.per_s:,.0f} "
                    f"| {load.p50_ms:.1f} | {load.p99_ms:.1f} |"
                )
    lines += [
        "",
        "| database | hello/s | read/s | read to hello | transaction, s | its entries/s |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for kind in _databases(result):
        figures = result[kind]["figures"]
        seconds = spread(result[kind]["transactions"])
        lines.append(
            f"| {kind} | {spread(figures[HELLO])} | {spread(figures[READ])} "
            f"| {ratio(figures[READ], figures[HELLO])} | {seconds} "
            f"| {result['entries'] / seconds.median:,.0f} |"
        )
    memory = result["memory"]
    lines += ["", "| requests | gateway's memory, MiB |", "|---|---|"]
    lines += [f"| {done:,} | {mib:.0f} |" for done, mib in memory]
    return lines


def verdict(result: dict[str, Any]) -> Verdict:
    """Return whether a read is fast enough where it is slower."""
    ratios = [
        ratio(result[kind]["figures"][READ], result[kind]["figures"][HELLO])
        for kind in _databases(result)
    ]
    lowest = min(ratios, key=lambda each: each.median)
    return Verdict.at_least("reads to hellos per second, the lower of the two", AIM_MIN, lowest)


def main() -> dict[str, Any]:
    """Measure, print the tables, return the figures."""
    result: dict[str, Any] = uvloop.run(measure())
    print("\n".join([*rows(result), "", str(verdict(result))]))
    return result


if __name__ == "__main__":
    main()
