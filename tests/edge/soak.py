"""Mixed requests against a FHIR server for as long as wanted, and what its memory did.

    python -m tests.edge.soak [requests] [seed]

Serves a gateway in this process, sends the requests (100,000 unless told otherwise), and
prints requests per second, the slowest, and KiB of growth per request by the median slope
through the second half, when every cache is warm.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

WORKERS = 16
SAMPLES = 40
PEOPLE = 50
JSON_PATCH = {"Content-Type": "application/json-patch+json"}


@dataclass
class Found:
    """What came of it."""

    requests: int = 0
    failures: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    took_s: float = 0.0
    memory: list[tuple[int, int]] = field(default_factory=list)
    """Requests done, KiB resident."""

    @property
    def kib_per_request(self) -> float:
        """Median slope between any two samples of the second half (Theil and Sen).

        The allocator takes memory in steps of megabytes; a step bends the least-squares line
        through half a thousand requests, and leaves most pairs level.
        """
        half = self.memory[len(self.memory) // 2 :]
        pairs = itertools.combinations(half, 2)
        return statistics.median([(y - y0) / (x - x0) for (x0, y0), (x, y) in pairs if x > x0])


def run(base: str, bearer: dict[str, str], *, requests: int, seed: int) -> Found:
    """Send the requests and return what came of it."""
    return asyncio.run(_run(base, bearer, requests, random.Random(seed)))


async def _run(base: str, bearer: dict[str, str], requests: int, chance: random.Random) -> Found:
    found, began = Found(), time.monotonic()
    plans = iter([chance.random() for _ in range(requests)])
    headers = {**bearer, "Content-Type": "application/fhir+json"}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as http:
        for number in range(PEOPLE):
            await http.put(f"/Patient/soak-{number}", json=_patient(number))

        async def work() -> None:
            for plan in plans:
                await _one(http, random.Random(plan), found)
                if found.requests % max(requests // SAMPLES, 1) == 0:
                    found.memory.append((found.requests, _resident_kib()))

        await asyncio.gather(*(work() for _ in range(WORKERS)))
    found.took_s = time.monotonic() - began
    return found


async def _one(http: httpx.AsyncClient, chance: random.Random, found: Found) -> None:
    name = f"soak-{chance.randrange(PEOPLE)}"
    asked, statuses = _ask(chance, name)
    sent = time.monotonic()
    try:
        answer = await http.request(**asked)
        if answer.status_code not in statuses:
            text = answer.text[:200]
            found.failures.append(f"{asked['method']} {asked['url']}: {answer.status_code} {text}")
    except httpx.HTTPError as error:
        found.failures.append(f"{asked['method']} {asked['url']}: {type(error).__name__}")
    found.longest_s = max(found.longest_s, time.monotonic() - sent)
    found.requests += 1


def _ask(chance: random.Random, name: str) -> tuple[dict[str, Any], set[int]]:
    """Return a request and the statuses it may have."""
    number = chance.randrange(1_000_000)
    reads = [
        f"/Patient/{name}",
        f"/Patient/{name}/_history?_count=5",
        f"/Observation?patient={name}&_count=10&_sort=-date",
        f"/Observation?subject:Patient.family=Soak{number % PEOPLE}&_include=Observation:subject",
        f"/Patient?family=Soak{number % PEOPLE}&_revinclude=Observation:patient&_count=5",
        "/Observation?value-quantity=gt50&_count=20&_total=accurate",
        "/Patient?birthdate=gt1950&_count=20&_elements=birthDate",
        "/Patient?_summary=count",
    ]
    wrong = ["/Patient/nobody", "/Nothing/1", "/Patient?shoe-size=1", "/Patient?_count=x"]
    kind = chance.random()
    if kind < 0.55:
        return {"method": "GET", "url": chance.choice(reads)}, {200}
    if kind < 0.65:
        return {"method": "GET", "url": chance.choice(wrong)}, {400, 404}
    if kind < 0.75:
        observed = _observation(name, number)
        return {"method": "POST", "url": "/Observation", "json": observed}, {201}
    if kind < 0.82:
        return {"method": "PUT", "url": f"/Patient/{name}", "json": _patient(number, name)}, {200}
    if kind < 0.87:
        patch = [{"op": "add", "path": "/active", "value": bool(number % 2)}]
        asked = {"method": "PATCH", "url": f"/Patient/{name}", "json": patch}
        return {**asked, "headers": JSON_PATCH}, {200}
    if kind < 0.92:
        broken = {"resourceType": "Patient", "birthDate": number}
        return {"method": "POST", "url": "/Patient", "json": broken}, {400, 422}
    if kind < 0.94:
        return {"method": "POST", "url": "/Patient", "content": b"[" * number}, {400, 413}
    gone = f"/Observation/soak-gone-{number}"
    if kind < 0.96:
        return {"method": "DELETE", "url": gone}, {200, 204}
    return {"method": "POST", "url": "/", "json": _transaction(name, number)}, {200}


def _patient(number: int, name: str = "") -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": name or f"soak-{number}",
        "name": [{"family": f"Soak{number % PEOPLE}", "given": [f"Given{number}"]}],
        "birthDate": f"{1940 + number % 60}-01-01",
    }


def _observation(name: str, number: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": f"Patient/{name}"},
        "effectiveDateTime": f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}",
        "valueQuantity": {"value": number % 100, "unit": "/min"},
    }


def _transaction(name: str, number: int) -> dict[str, Any]:
    entries = [
        {"resource": _observation(name, number + n), "request": {"method": "POST", "url": kind}}
        for n, kind in enumerate(["Observation"] * 3)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _resident_kib() -> int:
    """Return the memory this process holds; 0 where Linux does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1])


def main() -> None:
    """Serve a gateway, run, and print the figures."""
    from tests.edge import conftest

    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder, conftest.served(Path(folder)) as edge:
        found = run(edge.fhir, edge.bearer(), requests=requests, seed=seed)
    lines = (
        f"{found.requests} requests, {len(found.failures)} failures, seed {seed}",
        f"{found.requests / found.took_s:.0f} requests/s, slowest {found.longest_s:.2f} s",
        f"memory {found.memory[0][1]} → {found.memory[-1][1]} KiB resident",
        f"growth {found.kib_per_request:.3f} KiB per request in the second half",
        *found.failures[:10],
    )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(bool(found.failures))


if __name__ == "__main__":
    main()
