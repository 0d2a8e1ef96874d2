"""Signed reports into the EHR: whatever fails on the way, one report is there in the end."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from services.gateway.ehr.writeback import WriteBack
from services.kernel.fhir import problems


@pytest.mark.requirement("DX-EHR-09")
async def test_a_signed_report_is_in_the_ehr(scene: Any, setting: Any, steps: Any) -> None:
    root = await steps.signed(scene, setting)
    assert (await steps.state(scene, setting)).state == "waiting"
    assert "On its way to the EHR" in (await scene.page(f"{root}/cases/{setting.CASE_ID}")).text
    await steps.settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert report["status"] == "final" and report["subject"]["reference"] == "Patient/p-1"
    assert report["encounter"]["reference"] == "Encounter/p-1-visit"
    assert {"system": "urn:dxmesh:case", "value": setting.CASE_ID} in report["identifier"]
    assert report["resultsInterpreter"][0]["reference"] == "Practitioner/dr-1"
    (form,) = report["presentedForm"]
    assert base64.b64decode(form["data"]) == b"%PDF-1.7 test"
    assert "In the EHR" in (await scene.page(f"{root}/cases/{setting.CASE_ID}")).text


@pytest.mark.requirement("DX-EHR-09")
async def test_the_report_stands_by_itself(scene: Any, setting: Any, steps: Any) -> None:
    """Valid R4, contained resources as dom-2 to dom-5 have them, no reference to our ids."""
    await steps.signed(scene, setting)
    await steps.settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert problems(report) == []
    inside = {f"#{r['id']}" for r in report["contained"]}
    text = json.dumps(report)
    used = set(steps.between(text, '"reference": "', '"'))
    assert inside <= used, "dom-3: everything inside is referred to"
    theirs = {f"{k}/{i}" for k, i in scene.ehr.resources}
    assert used <= inside | theirs, "everything referred to is inside, or the EHR's own"
    for resource in report["contained"]:
        assert "contained" not in resource
        assert not set(resource.get("meta", {})) & {"security", "versionId", "lastUpdated"}
    assert len(report["result"]) > 5


@pytest.mark.requirement("DX-EHR-09")
async def test_an_amendment_updates_the_same_report(scene: Any, setting: Any, steps: Any) -> None:
    root = await steps.signed(scene, setting)
    await steps.settle(scene)
    before = len(scene.ehr.of("DiagnosticReport")[0]["result"])
    await steps.signed(scene, setting, root, amend=True)
    assert (await steps.state(scene, setting)).state == "waiting"
    await steps.settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert report["status"] == "amended" and report["meta"]["versionId"] == "2"
    assert len(report["result"]) == before - 1
    assert (await steps.state(scene, setting)).state == "done"


@pytest.mark.requirement("DX-EHR-10")
async def test_an_ehr_that_is_down_gets_it_when_it_is_back(
    scene: Any, setting: Any, steps: Any
) -> None:
    await steps.signed(scene, setting)
    scene.ehr.down = True
    await steps.settle(scene, 3)
    waiting = await steps.state(scene, setting)
    assert (waiting.state, waiting.attempts, waiting.reason) == ("waiting", 3, "EHR_503")
    scene.ehr.down = False
    await steps.settle(scene)
    assert len(scene.ehr.of("DiagnosticReport")) == 1
    assert (await steps.state(scene, setting)).state == "done"


@pytest.mark.requirement("DX-EHR-10")
async def test_waits_grow_to_an_hour_and_end_after_days(
    scene: Any, setting: Any, steps: Any
) -> None:
    await steps.signed(scene, setting)
    scene.ehr.down = True
    writer, waits = WriteBack(scene.gateway), []
    for _ in range(12):
        await steps.hurry(scene)
        now = scene.client.now_us()
        await writer.step()
        waits.append(((await steps.state(scene, setting)).next_us - now) / 1e6)
    assert 10 < waits[0] < 60 and 2000 < waits[-1] < 5000
    assert (await writer.step()) is False, "not before its time"
    later = scene.client.now_us() + 8 * 86_400_000_000
    scene.client.now_us = lambda: later
    await steps.hurry(scene)
    await writer.step()
    assert (await steps.state(scene, setting)).state == "failed"


@pytest.mark.requirement("DX-EHR-10")
@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("amended", [False, True])
async def test_killed_between_the_ehrs_answer_and_our_note(
    scene: Any, setting: Any, steps: Any, conditional: bool, amended: bool
) -> None:
    """The EHR has made its change; the process that asked for it dies before it hears so."""
    scene.ehr.conditional = conditional
    root = await steps.signed(scene, setting)
    if amended:
        await steps.settle(scene)
        await steps.signed(scene, setting, root, amend=True)
    writer = WriteBack(scene.gateway)
    task = asyncio.create_task(writer.step())
    scene.ehr.after = lambda method, place: task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    scene.ehr.after = None
    assert len(scene.ehr.of("DiagnosticReport")) == 1, "the change was made"
    write = await steps.state(scene, setting)
    assert write.state == "waiting" and write.lease_us > scene.client.now_us()
    await steps.settle(scene)
    assert (await steps.state(scene, setting)).state == "waiting", (
        "the dead one's lease still holds"
    )
    await steps.lease_ends(scene)
    await steps.settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert report["status"] == ("amended" if amended else "final")
    assert (await steps.state(scene, setting)).state == "done"


@pytest.mark.requirement("DX-EHR-10")
@pytest.mark.parametrize("status", [409, 412])
async def test_conflicts_are_looked_at_again(
    scene: Any, setting: Any, steps: Any, status: int
) -> None:
    scene.ehr.fails = {"POST DiagnosticReport": [status, status]}
    root = await steps.signed(scene, setting)
    await steps.settle(scene, 1)
    assert len(scene.ehr.of("DiagnosticReport")) == 1
    await steps.signed(scene, setting, root, amend=True)
    scene.ehr.fails = {"PUT DiagnosticReport": [status]}
    await steps.settle(scene, 1)
    (report,) = scene.ehr.of("DiagnosticReport")
    assert report["status"] == "amended" and (await steps.state(scene, setting)).state == "done"


@pytest.mark.requirement("DX-EHR-10")
async def test_a_report_changed_by_others_is_not_overwritten_blindly(
    scene: Any, setting: Any, steps: Any
) -> None:
    """Between our look and our write somebody changes it: the write is made on what is there."""
    root = await steps.signed(scene, setting)
    await steps.settle(scene)
    await steps.signed(scene, setting, root, amend=True)
    search = scene.ehr._search
    changed: list[bool] = []

    def then_change(kind: str, query: dict[str, str]) -> Any:
        found = [json.loads(json.dumps(r)) for r in search(kind, query)]
        if kind == "DiagnosticReport" and found and not changed:
            changed.append(True)
            scene.ehr.of(kind)[0]["meta"]["versionId"] = "7"
        return found

    scene.ehr._search = then_change
    await steps.settle(scene, 1)
    assert ("PUT", "DiagnosticReport") in scene.ehr.requests
    assert scene.ehr.of("DiagnosticReport")[0]["meta"]["versionId"] == "8"


@pytest.mark.requirement("DX-EHR-10")
async def test_two_processes_at_once_make_one_report(scene: Any, setting: Any, steps: Any) -> None:
    await steps.signed(scene, setting)
    writers = [WriteBack(scene.gateway) for _ in range(4)]
    await asyncio.gather(*(writer.step() for writer in writers))
    assert len(scene.ehr.of("DiagnosticReport")) == 1
    assert scene.ehr.requests.count(("POST", "DiagnosticReport")) == 1


@pytest.mark.requirement("DX-EHR-09")
async def test_as_a_transaction_each_observation_is_a_resource(
    scene: Any, setting: Any, steps: Any
) -> None:
    scene.client.ehr = replace(scene.client.ehr, write_back="transaction")
    root = await steps.signed(scene, setting)
    await steps.settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    ours = {f"Observation/{o['id']}" for o in scene.ehr.of("Observation") if "identifier" in o}
    assert {r["reference"] for r in report["result"]} <= ours and len(ours) > 5
    for observation in scene.ehr.of("Observation"):
        assert problems(observation) == []
    await steps.signed(scene, setting, root, amend=True)
    await steps.settle(scene)
    (report,) = scene.ehr.of("DiagnosticReport")
    again = [o for o in scene.ehr.of("Observation") if "identifier" in o]
    assert report["status"] == "amended" and len(again) == len(ours)
    assert [o["status"] for o in again].count("entered-in-error") == 1
    assert (await steps.state(scene, setting)).state == "done"
