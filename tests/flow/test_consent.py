"""Consent on the running mesh: what it refuses leaves nothing, what is withdrawn is destroyed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.cli import accounts, bundle, content
from services.kernel import blobs
from services.kernel.errors import KeyDestroyed
from services.kernel.settings import IdentitySettings
from tests.flow.cases import make_case
from tests.flow.running import Running

TENANT = "demo"
WAIT_S = 60.0


def person(folder: Path, name: str, **changes: Any) -> Path:
    """Write a case about a person of the test's own; `changes` are to the Consent."""
    make_case(folder, name)
    for path in folder.glob("*.json"):
        text = path.read_text().replace("demo-patient", f"p-{name.lower()}")
        text = text.replace("demo-request", f"order-{name.lower()}")
        path.write_text(text.replace("DEMO-000001", f"DEMO-{name}"))
    consent = json.loads((folder / "consent.json").read_text())
    consent |= {"id": f"consent-{name.lower()}"} | changes
    consent["identifier"][0]["value"] = f"DEMO-CONSENT-{name}"
    (folder / "consent.json").write_text(json.dumps(consent))
    return folder


def send(running: Running, method: str, path: str, value: bytes) -> httpx.Response:
    token = accounts.read(running.state.root).ehr_token
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    address = f"{running.mesh.url}{path}"
    return httpx.request(method, address, content=value, headers=headers, timeout=60)


def stored(running: Running) -> set[Path]:
    """Return the encrypted files of the identity zone.

    `os.walk`, not `rglob`: the mesh removes a folder with its last file, even while we look.
    """
    root = running.state.blobs("identity") / "blobs"
    return {Path(folder) / name for folder, _, names in os.walk(root) for name in names}


def until(holds: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < give_up, what
        time.sleep(0.2)


LAPSED = {"period": {"start": "2020-01-01", "end": "2020-12-31"}}


def provision(**changes: Any) -> dict[str, Any]:
    sample = Path(__file__).parents[2] / "samples" / "consent.json"
    found: dict[str, Any] = json.loads(sample.read_text())["provision"]
    return {"provision": found | changes}


RESEARCH = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}


@pytest.mark.requirement("DX-FLOW-14")
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("REFUSED", provision(type="deny", provision=[])),
        ("EXPIRED", provision(**LAPSED)),
        ("INACTIVE", {"status": "inactive"}),
        ("PURPOSE", provision(purpose=[RESEARCH], provision=[])),
    ],
)
def test_a_consent_that_refuses_leaves_a_rejected_task_and_no_content(
    running: Running, tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    before = stored(running)
    found = content.read([person(tmp_path / name, name, **changes)])
    running.ehr.upload(found.uploads)
    answer = send(running, "POST", "/fhir", bundle.build(found))
    assert answer.status_code == 403
    reason = answer.json()["issue"][0]["details"]["coding"][0]["code"]
    assert reason.startswith("CONSENT_")
    task = running.ehr.get(answer.headers["location"].removeprefix(running.mesh.url))
    assert task["status"] == "rejected"
    assert task["statusReason"]["coding"][0]["code"] == reason
    assert stored(running) <= before, "content of a refused case remains"


@pytest.mark.requirement("DX-FLOW-14")
def test_a_withdrawal_stops_a_waiting_case_and_destroys_it(
    running: Running, tmp_path: Path
) -> None:
    folder = person(tmp_path / "case", "WITHDRAWN")
    before = stored(running)
    running.mesh.supervisor.pause("anonymization")
    try:
        case_id = running.submit(folder)
        held = stored(running) - before
        assert held
        copies = copied(running, tmp_path / "copy")
        consent = json.loads((folder / "consent.json").read_text()) | {"status": "inactive"}
        answer = send(
            running, "PUT", f"/fhir/Consent/{consent['id']}", json.dumps(consent).encode()
        )
        assert answer.status_code in (200, 201), answer.text
        until(lambda: running.case(case_id)["status"] == "rejected", "the case goes on")
        until(lambda: not held & stored(running), "content of a withdrawn case remains")
    finally:
        running.mesh.supervisor.resume("anonymization")
    case = running.case(case_id)
    assert "WITHDRAWN" in case["reason"] and not case["report"]
    assert_unreadable(running, copies, held)
    time.sleep(3.0)
    assert running.case(case_id)["status"] == "rejected"


@pytest.mark.requirement("DX-FLOW-14")
def test_a_cancelled_case_is_destroyed_and_has_no_report(running: Running, tmp_path: Path) -> None:
    before = stored(running)
    running.mesh.supervisor.pause("anonymization")
    try:
        case_id = running.submit(person(tmp_path / "case", "CANCELLED"))
        held = stored(running) - before
        cancelled = running.operator.post(f"/ops/cases/{case_id}/cancel")
        assert cancelled["status"] == "cancelled"
        until(lambda: not held & stored(running), "content of a cancelled case remains")
    finally:
        running.mesh.supervisor.resume("anonymization")
    time.sleep(3.0)
    case = running.case(case_id)
    assert case["status"] == "cancelled" and not case["report"]


@pytest.mark.requirement("DX-CON-06")
def test_each_decision_names_the_version_of_the_consent_it_rests_on(
    running: Running, tmp_path: Path
) -> None:
    case_id = running.submit(person(tmp_path / "case", "DECIDED"))
    running.wait_for(case_id)
    query = f"SELECT step, permitted, consent_version FROM {decisions(running)} WHERE case_id = "
    rows = running.databases.psql("consent", f"{query}'{case_id}'").split("\n")
    made = [[cell.strip() for cell in row.split("|")] for row in rows if "|" in row]
    assert {row[0] for row in made} == {"ingest", "anonymization"}
    assert all(row[1] == "t" and row[2].endswith("/1") for row in made)


def decisions(running: Running) -> str:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    names = running.databases.psql("consent", query).split()
    return next(name for name in names if "decision" in name)


def copied(running: Running, target: Path) -> Path:
    """Copy the identity zone's encrypted content, as a backup would."""
    shutil.copytree(running.state.blobs("identity") / "blobs", target / "blobs")
    return target


def assert_unreadable(running: Running, copies: Path, held: set[Path]) -> None:
    """Put the copies back beside today's keys: none can be read."""
    root = running.state.blobs("identity")
    shutil.copytree(root / "keys", copies / "keys")
    settings = IdentitySettings(
        nats_url="",
        blobs_identity_url=copies.as_uri(),
        master_key_identity_file=running.state.master_key("identity"),
    )
    scopes = {path.relative_to(root / "blobs" / TENANT).parts[0] for path in held}

    async def read() -> None:
        copy = blobs.open_identity(settings)
        for scope in scopes:
            assert await copy.names(TENANT, scope), "the copy is empty: nothing was shown"
            with pytest.raises(KeyDestroyed):
                await copy.vault.scope_key(TENANT, scope)

    asyncio.run(read())
