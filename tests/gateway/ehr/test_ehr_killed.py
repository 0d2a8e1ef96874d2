"""The process that writes back is killed right after the EHR made its change; another goes on."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.gateway.store import Store, migrations
from services.gateway.store.ehr_writes import DONE

SCRIPT = Path(__file__).parent / "writing.py"
ROOT = Path(__file__).parents[3]
CASES = 2
EHRS = """
[[ehrs]]
name = "north-ehr"
tenant = "north"
issuer = "{issuer}"
client_id = "dxmesh"
"""


async def prepare(store: Store, ehr: Any) -> None:
    """Have reports signed, and a launch whose tokens may write them."""
    ehr.access["token"] = {"scope": "", "until": time.time() + 600}
    expires_us = (int(time.time()) + 600) * 1_000_000
    scope = "patient/*.*"
    tokens = {"access": "token", "refresh": "", "scope": scope, "expires_us": expires_us}
    user = {"fhir_user": "Practitioner/dr-1"}
    await store.ehr.open(
        "north", "north-ehr", "reader", {"patient": "p-1", "user": user, "tokens": tokens}
    )
    patient = await store.ehr.patient_hash("north", "north-ehr", "p-1")
    link = {"patient": "p-1", "encounter": "", "user": "Practitioner/dr-1", "sent": []}
    for number in range(CASES):
        case_id = f"case-{number}"
        report = {
            "resourceType": "DiagnosticReport",
            "id": f"report-{number}",
            "status": "final",
            "code": {"text": "Report"},
        }
        await store.ehr_writes.link("north", case_id, "north-ehr", patient, link)
        async with store.cases.change("north", case_id) as opened:
            await store.resources.put(opened.connection, "north", case_id, [report])
            await store.ehr_writes.signed(opened.connection, "north", case_id, 10)
            label = {"report": f"DiagnosticReport/report-{number}"}
            opened.case = replace(opened.case, label=label)


async def writing(folder: Path) -> asyncio.subprocess.Process:
    path = os.pathsep.join((str(ROOT), str(ROOT / "protos" / "gen")))
    return await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), str(folder), env={**os.environ, "PYTHONPATH": path}
    )


async def done(store: Store) -> int:
    return len(await store.ehr_writes.listed("north", (DONE,)))


@pytest.mark.flow
@pytest.mark.requirement("DX-EHR-10")
async def test_killed_writers_leave_one_report_each(tmp_path: Path, ehr: Any, writer: Any) -> None:
    (tmp_path / "ehrs.toml").write_text(EHRS.format(issuer=ehr.url))
    ehr.conditional = False
    store = writer.open_folder(tmp_path)
    await migrations.upgrade(store.database.engine)
    await prepare(store, ehr)
    process = await writing(tmp_path)
    kills = 0

    def kill(method: str, place: str) -> None:
        nonlocal kills
        if kills < CASES:
            kills += 1
            process.kill()

    ehr.after = kill
    async with asyncio.timeout(100):
        while await done(store) < CASES:
            if process.returncode is not None:
                async with store.database.begin() as connection:  # its lease has run out
                    await connection.execute(text("UPDATE gateway_ehr_cases SET lease_us = 1"))
                process = await writing(tmp_path)
            await asyncio.sleep(0.1)
    process.kill()
    await process.wait()
    assert kills == CASES
    identifiers = [r["identifier"][0]["value"] for r in ehr.of("DiagnosticReport")]
    assert sorted(identifiers) == [f"case-{number}" for number in range(CASES)]
    await store.database.engine.dispose()
