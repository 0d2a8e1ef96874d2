"""What a search costs follows its result: counted in steps of SQLite's machine, not in time."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from services.gateway.access.rights import EVERYTHING
from services.gateway.fhir.search.query import parse
from services.gateway.store import Store, migrations, open_store
from services.gateway.store.incoming import Incoming
from services.kernel.database import open_engine
from services.kernel.testing import memory_blobs

EACH = 10
SEARCHES = {
    "two parameters": [("patient", "p3"), ("code", "urn:c|x")],
    "one": [("identifier", "urn:i|31")],
    "sorted": [("patient", "p3"), ("_sort", "-date")],
    "whole table, sorted": [("_sort", "-date"), ("_count", "5")],
    "all resources": [("_count", "5")],
    "two that all have": [("status", "final"), ("category", "lab"), ("_count", "5")],
    "range and term that most have": [
        ("value-quantity", "gt5"),
        ("status", "final"),
        ("_count", "5"),
    ],
    "chain": [("patient.identifier", "urn:p|3"), ("code", "x")],
    "prefix": [("value-string", "word 31")],
    "contains": [("value-string:contains", "rd 31"), ("patient", "p3")],
    "date": [("date", "2001-01-31")],
    "quantity": [("value-quantity", "31||mg")],
}


def observation(n: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{n}",
        "status": "final",
        "identifier": [{"system": "urn:i", "value": str(n)}],
        "category": [{"coding": [{"code": "lab"}]}],
        "code": {"coding": [{"system": "urn:c", "code": "x"}]},
        "subject": {"reference": f"Patient/p{n // EACH}"},
        "effectiveDateTime": str(date(2001, 1, 1) + timedelta(days=n)),
        "valueQuantity": {"value": n, "code": "mg"},
        "valueString": f"word {n}",
    }


async def fill(store: Store, begin: int, end: int) -> None:
    patients = [
        {
            "resourceType": "Patient",
            "id": f"p{n}",
            "identifier": [{"system": "urn:p", "value": str(n)}],
        }
        for n in range(begin // EACH, end // EACH)
    ]
    resources = [*patients, *(observation(n) for n in range(begin, end))]
    async with store.resources.writing("north") as writing:
        await writing.save_many([Incoming(resource=resource) for resource in resources])


async def steps(store: Store, pairs: list[tuple[str, str]]) -> int:
    """Return how many hundred steps SQLite took for one search."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    async with store.database.engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await driver.set_progress_handler(tick, 100)
        query = parse("Observation", pairs)
        page = await store.searches.page(
            "north", query, EVERYTHING.visibility("s"), connection=connection
        )
        await driver.set_progress_handler(None, 0)
    assert page.matches
    return count


@pytest.mark.requirement("DX-SEA-09")
async def test_a_search_costs_no_more_in_a_table_ten_times_as_large(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A condition's rows are counted up to these before one is chosen; small here, so that
    # both tables are beyond them.
    monkeypatch.setattr("services.gateway.store.search_sql.COUNT_MAX", 150)
    monkeypatch.setattr("services.gateway.store.search_sql.FIRST_COUNT_MAX", 50)
    monkeypatch.setattr("services.gateway.store.search_sql.WALK_MAX", 50)
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path / 'cost.db'}")
    await migrations.upgrade(engine)
    store = open_store(engine, memory_blobs("identity").vault, 3600, 1800)
    await fill(store, 0, 200)
    before = {name: await steps(store, pairs) for name, pairs in SEARCHES.items()}
    await fill(store, 200, 2000)
    after = {name: await steps(store, pairs) for name, pairs in SEARCHES.items()}
    await engine.dispose()
    slack = 60
    grown = {
        name: (before[name], after[name])
        for name in before
        if after[name] > before[name] * 1.5 + slack
    }
    assert grown == {}
