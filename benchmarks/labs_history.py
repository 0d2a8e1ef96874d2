"""What earlier results cost a panel: processor time of labs with and without them.

A panel of 40 results is interpreted (flags, scores, rules) alone, and beside about 500 earlier
results of the same analytes from 13 cases; then the same patient's document is read and written
in a local store: one key of the patient, one of each case. Processor time of this process, since
the machine may be busy; rounds of both sides in turn.

Run: `python -m benchmarks labs_history`
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dxmesh.event.v1.case_ref_pb2 import CaseRef
from dxmesh.event.v1.part_ready_pb2 import PartReady
from obstore.store import LocalStore

from services.kernel.blobs import Blobs
from services.kernel.crypto import Vault
from services.labs import panel
from services.labs.analytes import ANALYTES, CODES
from services.labs.findings import interpreted
from services.labs.history.document import Bounds
from services.labs.history.past import Past
from services.labs.history.rows import Row
from services.labs.panel import LabPart
from services.labs.store import History

PACKAGES = ["obstore", "cryptography", "orjson", "protobuf"]
RESULTS, CASES, AIM_MS = 40, 13, 2.0
BOUNDS = Bounds(24, 36_500)
START = datetime(2026, 1, 1, 8, tzinfo=UTC)
SUBJECT = "S" + "0" * 24
ALONE, BESIDE = "the panel alone", "the panel beside earlier results"
READ, KEPT = "the document read", "the document written"


@dataclass
class Found:
    """Processor time, ms, of each step by round, and how many earlier results there were."""

    ms: dict[str, list[float]]
    earlier: int


def main() -> Found:
    """Measure; takes about a minute."""
    return asyncio.run(measure(200))


async def measure(rounds: int) -> Found:
    """Return what each step costs."""
    draw = random.Random(1)
    now = panel.read(_document(draw, CASES))
    kept = [_rows(draw, number) for number in range(CASES)]
    rows = [row for each in kept for row in each]
    sides: Mapping[str, Callable[[], object]] = {
        ALONE: lambda: interpreted(now),
        BESIDE: lambda: interpreted(now, past=Past(rows)),
    }
    ms: dict[str, list[float]] = {name: [] for name in (*sides, READ, KEPT)}
    for run in sides.values():
        run()
    for _ in range(rounds):
        for name in draw.sample(list(sides), len(sides)):
            begun = time.process_time()
            sides[name]()
            ms[name].append(1e3 * (time.process_time() - begun))
    await _stored(ms, kept, interpreted(now).keep.rows, max(1, rounds // 5))
    return Found(ms, len(rows))


async def _stored(ms: dict[str, list[float]], kept: list[list[Row]], new: Any, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(folder)
        master = os.urandom(32)
        blobs = Blobs(store, Vault(store, master, "analysis"))
        history = History(blobs, BOUNDS)
        for number, rows in enumerate(kept):
            part = await _part(blobs, number)
            await history.keep(await history.page(part), part, rows, [])
        for number in range(rounds):
            part = await _part(blobs, CASES)
            fresh = Blobs(store, Vault(store, master, "analysis"))  # no key at hand
            history = History(fresh, BOUNDS)
            begun = time.process_time()
            page = await history.page(part)
            ms[READ].append(1e3 * (time.process_time() - begun))
            begun = time.process_time()
            await history.keep(page, part, new[: 1 + number % 2], [])
            ms[KEPT].append(1e3 * (time.process_time() - begun))


async def _part(blobs: Blobs, number: int) -> PartReady:
    case = CaseRef(tenant="bench", case_id=f"case-{number}")
    case.received_time.FromDatetime(START + timedelta(days=number))
    await blobs.vault.scope_key("bench", case.case_id, create=True)
    return PartReady(case=case, part_id="labs-1", subject_pseudonym=SUBJECT, keep_history=True)


def _rows(draw: random.Random, number: int) -> list[Row]:
    part: LabPart = panel.read(_document(draw, number))
    return list(interpreted(part).keep.rows)


def _document(draw: random.Random, day: int) -> bytes:
    """Return a panel of the first analytes that have a code, near the middle of plausible."""
    codes = {code.analyte.analyte_id: code for code in CODES.values()}
    names = [name for name in ANALYTES if name in codes][:RESULTS]
    at = (START + timedelta(days=day)).isoformat()
    observations = [
        {
            "id": name,
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": codes[name].loinc}]},
            "effectiveDateTime": at,
            "valueQuantity": {
                "value": round(draw.uniform(4, 5), 2),
                "unit": codes[name].unit.ucum,
                "code": codes[name].unit.ucum,
            },
        }
        for name in names
    ]
    subject = {"sex": "male", "age_years": 50}
    return json.dumps({"subject": subject, "observations": observations}).encode()


def rows(found: Found) -> list[str]:
    """Return a table: a line per step."""
    lines = ["| step | processor time, ms (p50) | p90 |", "|---|---|---|"]
    for name, values in found.ms.items():
        ordered = sorted(values)
        p90 = ordered[int(0.9 * (len(ordered) - 1))]
        lines.append(f"| {name} | {statistics.median(ordered):.2f} | {p90:.2f} |")
    return lines


def verdict(found: Found) -> str:
    """Return whether earlier results cost as little as they should."""
    pairs = zip(found.ms[BESIDE], found.ms[ALONE], strict=True)
    more = statistics.median(beside - alone for beside, alone in pairs)
    reached = "reached" if more <= AIM_MS else "not reached"
    return (
        f"Aim: processor time that {found.earlier} earlier results add to a panel of {RESULTS}, "
        f"ms: at most {AIM_MS:g}. Measured: {more:.2f}, {reached}."
    )
