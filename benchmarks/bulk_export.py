"""Bulk export: how fast a tenant is written and fetched, and that memory does not grow with it.

The gateway runs as a process of its own as it is deployed, on SQLite, once over a smaller and
once over a larger table of Observations. An export of all of them is asked for, watched and
fetched file by file; every resource is decrypted, held against the client's rights, written to
a sealed file and decrypted again for the download. Beside it the same number of resources is
paged through by search, 200 at a time, which is what a client does where there is no export.
Memory is the gateway's own (resident), its highest during the export less that before it.

Run: `python -m benchmarks bulk_export`; DX_BENCH_RESOURCES sets how many the larger has.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import httpx
import uvloop

from benchmarks.gateway_place import SQLITE, TOKEN, Place, place
from benchmarks.rounds import Verdict, ratio, spread

PACKAGES = ("granian", "starlette", "sqlalchemy", "aiosqlite", "cryptography")
RESOURCES = int(os.environ.get("DX_BENCH_RESOURCES", "100000"))
SMALLER = 5
"""How many times smaller the smaller table is."""
ROUNDS = 3
AIM_MAX = 1.5
POLL_S = 0.25
PAGE = 200


async def one(at: Place, resources: int) -> dict[str, float]:
    """Export once; return seconds to write and to fetch, MiB of memory, and of the files."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    address = f"http://127.0.0.1:{at.gateway}"
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=120) as http:
        before = highest = _resident_mib(at.pid)
        began = time.perf_counter()
        begun = await http.get("/fhir/$export", headers={"Prefer": "respond-async"})
        status = begun.headers["content-location"].partition("/fhir")[2]
        while (answer := await http.get(f"/fhir{status}")).status_code == 202:
            highest = max(highest, _resident_mib(at.pid))
            await asyncio.sleep(POLL_S)
        written = time.perf_counter()
        lines = size = 0
        for entry in answer.json()["output"]:
            file = await http.get("/fhir" + entry["url"].partition("/fhir")[2])
            lines, size = lines + file.content.count(b"\n"), size + len(file.content)
            highest = max(highest, _resident_mib(at.pid))
        fetched = time.perf_counter()
        if lines != resources:
            raise RuntimeError(f"{lines} lines of {resources} resources")
        await http.delete(f"/fhir{status}")
        paged = await _paged(http, min(resources, 10_000))
    return {
        "write_s": written - began,
        "fetch_s": fetched - written,
        "grown_mib": highest - before,
        "size_mib": size / 2**20,
        "per_s": resources / (fetched - began),
        "paged_per_s": paged,
    }


async def _paged(http: httpx.AsyncClient, resources: int) -> float:
    """Return how many resources a second a search gives out page by page."""
    began, seen, url = time.perf_counter(), 0, f"/fhir/Observation?_count={PAGE}"
    while url and seen < resources:
        bundle = (await http.get(url)).json()
        seen += len(bundle.get("entry", []))
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        url = "/fhir" + following[0].partition("/fhir")[2] if following else ""
    return seen / (time.perf_counter() - began)


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def measure(resources: int = RESOURCES, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return the figures by number of resources; the first export of each warms up."""
    found: dict[int, list[dict[str, float]]] = {}
    for count in (resources // SMALLER, resources):
        async with place(SQLITE, count) as at:
            found[count] = [await one(at, count) for _ in range(rounds + 1)]
    return {"found": found}


def rows(result: dict[str, Any]) -> list[str]:
    """Return the figures as a Markdown table."""
    lines = [
        "| resources | files, MiB | written, s | fetched, s | resources/s | by pages/s "
        "| export to pages | first export's memory, MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for count, (first, *rest) in result["found"].items():
        by = {name: [each[name] for each in rest] for name in first}
        lines.append(
            f"| {count:,} | {first['size_mib']:.0f} | {spread(by['write_s'])} "
            f"| {spread(by['fetch_s'])} | {spread(by['per_s'])} | {spread(by['paged_per_s'])} "
            f"| {ratio(by['per_s'], by['paged_per_s'])} | {first['grown_mib']:.0f} |"
        )
    return lines


def verdict(result: dict[str, Any]) -> Verdict:
    """Return whether the memory of an export five times as large stays the same."""
    smaller, larger = result["found"].values()
    grown = ratio([max(larger[0]["grown_mib"], 1.0)], [max(smaller[0]["grown_mib"], 1.0)])
    what = f"memory a first export takes, {SMALLER} times as many resources to as many"
    return Verdict.at_most(what, AIM_MAX, grown)


def main() -> dict[str, Any]:
    """Measure, print the table, return the figures."""
    result: dict[str, Any] = uvloop.run(measure())
    print("\n".join([*rows(result), "", str(verdict(result))]))
    return result


if __name__ == "__main__":
    main()
