"""The process that delivers is killed, as a machine that fails would, and another goes on."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.gateway.store import migrations
from services.gateway.subscriptions.definition import Criterion, Definition
from services.gateway.subscriptions.numbering import Numbering
from services.gateway.subscriptions.registration import Owner, Registration

SCRIPT = Path(__file__).parent / "delivering.py"
ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def delivering(folder: Path) -> AsyncIterator[None]:
    """Run a process that delivers; kill it at the end (SIGKILL)."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "protos" / "gen")))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), str(folder), env={**os.environ, "PYTHONPATH": path}
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


@pytest.mark.flow
@pytest.mark.requirement("DX-SUB-05")
async def test_killed_delivery_loses_and_disorders_nothing(
    tmp_path: Path, delivering_module: Any, receivers: Any
) -> None:
    store = delivering_module.open_folder(tmp_path)
    await migrations.upgrade(store.database.engine)
    store.resources.observers.append(Numbering(store.subscriptions, lambda: None))
    events = 40
    async with receivers.open_receiver() as receiver:
        receiver.delay_s = 0.02
        definition = Definition(criteria=(Criterion("Basic", ()),), endpoint=receiver.url)
        owner = Owner("ehr-client", "ehr")
        async with store.resources.writing("north") as writing:
            await writing.save({"resourceType": "Subscription", "id": "s-1", "status": "requested"})
            await store.subscriptions.register(
                writing.connection,
                "north",
                "s-1",
                Registration(definition, owner, "https://gateway.example"),
                "requested",
            )
        for number in range(events):
            async with store.resources.writing("north") as writing:
                await writing.save({"resourceType": "Basic", "id": f"b-{number}"})
        kills = 0
        async with asyncio.timeout(60):
            while (heard := len(set(receiver.events))) < events:
                async with delivering(tmp_path):
                    while len(set(receiver.events)) < min(heard + 20, events):
                        await receiver.changed()
                kills += 1
                async with store.database.begin() as connection:  # its lease has run out
                    await connection.execute(text("DELETE FROM gateway_leases"))
    assert kills >= 2
    assert list(dict.fromkeys(receiver.events)) == list(range(1, events + 1))
    await store.database.engine.dispose()
