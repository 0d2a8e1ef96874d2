"""A critical result is told as a Communication before the report is, as what it rests on allows."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import orjson
import pytest
from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified
from dxmesh.event.v1.case_ref_pb2 import LANGUAGE_ZH

from services.gateway.profiles import conform
from services.kernel import fhir, subjects, telemetry
from services.kernel.errors import InvalidInput

R = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}


@pytest.mark.requirement("DX-CRI-04")
async def test_it_is_told_before_there_is_a_report(world: Any, setting: Any, telling: Any) -> None:
    (told,) = await telling.tell(world, setting)
    assert (await world.get("/fhir/DiagnosticReport")).json()["total"] == 0
    assert (told["status"], told["priority"]) == ("in-progress", "stat")
    assert told["category"][0]["coding"][0]["code"] == "alert"
    assert told["subject"] == {"reference": "Patient/p-1"}
    assert told["about"] == [{"reference": "Observation/k-1"}]
    assert told["basedOn"] == [{"reference": "ServiceRequest/order-1"}]
    assert told["recipient"] == [{"reference": "Practitioner/ward-doctor"}]
    assert told["payload"][0]["contentString"] == (
        "Critical result: Potassium 6.8 mmol/L, above the critical limit of 6.2 mmol/L "
        "(Demo Hospital). Measured 2026-11-26 08:00 UTC. For reference only, not reviewed by a "
        "physician."
    )
    assert told["sent"] and "received" not in told
    assert fhir.problems(told) == [] and conform.problems(told) == []


@pytest.mark.requirement("DX-CRI-04")
async def test_the_words_are_in_the_language_of_the_case(
    world: Any, setting: Any, telling: Any
) -> None:
    (told,) = await telling.tell(world, setting, ref=setting.case_ref(language=LANGUAGE_ZH))
    assert told["language"] == "zh-CN"
    text = told["payload"][0]["contentString"]
    assert "危急值：钾 6.8 mmol/L，高于危急值上限 6.2 mmol/L" in text and "仅供参考" in text


@pytest.mark.requirement("DX-CRI-04")
async def test_an_event_that_comes_often_or_after_the_report_tells_once(
    world: Any, setting: Any, telling: Any
) -> None:
    await setting.compose(world, setting.sample_report())
    made = await telling.event(world, setting)
    await asyncio.gather(*(world.gateway.notifier.found(made) for _ in range(4)))
    (told,) = await telling.communications(world)
    assert told["meta"]["versionId"] == "1"
    task = (await world.get(f"/fhir/Task/{setting.CASE_ID}")).json()
    assert task["status"] == "completed"


@pytest.mark.requirement("DX-CRI-04")
async def test_several_results_are_told_each(world: Any, setting: Any, telling: Any) -> None:
    results = [telling.potassium(), telling.potassium("7.1", "lab-2#1")]
    told = await telling.tell(
        world, setting, results=results, told=[telling.high(), telling.high("lab-2#1")]
    )
    about = {one["about"][0]["reference"] for one in told}
    assert about == {"Observation/k-1", "Observation/glucose-1"}


@pytest.mark.requirement("DX-CRI-04")
async def test_it_is_found_by_what_an_ehr_asks_for(world: Any, setting: Any, telling: Any) -> None:
    await telling.tell(world, setting)
    asked = {
        "&patient=Patient/p-1": 1,
        "&patient=Patient/p-2": 0,
        "&category=alert": 1,
        "&status=in-progress": 1,
        "&status=completed": 0,
        f"&part-of=Task/{setting.CASE_ID}": 1,
        "&recipient=Practitioner/ward-doctor": 1,
    }
    found = {query: len(await telling.communications(world, query)) for query in asked}
    assert found == asked
    entries = (await world.get("/fhir/Patient/p-1/Communication")).json().get("entry", [])
    assert len(entries) == 1


@pytest.mark.requirement("DX-CRI-05")
@pytest.mark.parametrize("labelled", ["patient", "order"])
async def test_what_rests_on_something_restricted_is_restricted(
    world: Any, setting: Any, telling: Any, labelled: str
) -> None:
    known = telling.identity(setting)
    if labelled == "patient":
        known.patient_json = orjson.dumps(setting.PATIENT | {"meta": {"security": [R]}})
    else:
        known = telling.identity(setting, meta={"security": [R]})
    world.peers.identity = known
    (told,) = await telling.tell(world, setting, restricted=True)
    assert R in told["meta"]["security"]
    await world.sign_in()
    answer = await world.http.get(f"/fhir/Communication/{told['id']}")
    assert answer.status_code == 404
    page = await world.http.get(f"/cases/{setting.CASE_ID}")
    assert "6.8" not in page.text


@pytest.mark.requirement("DX-CRI-05")
async def test_the_database_and_the_audit_trail_show_no_identity(
    world: Any, setting: Any, telling: Any
) -> None:
    (told,) = await telling.tell(world, setting)
    await world.get(f"/fhir/Communication/{told['id']}")
    dump = "\n".join(sqlite3.connect(world.database).iterdump()).encode()
    for word in (b"Zhang", b"Potassium", b"Patient/p-1", b"Observation/k-1", b"6.8 mmol"):
        assert word not in dump
    found = await world.get("/fhir/AuditEvent?entity=Communication/" + told["id"], "auditor")
    assert found.json()["total"] >= 1


@pytest.mark.requirement("DX-CRI-09")
async def test_urgent_findings_on_images_are_told_once_per_kind(
    world: Any, setting: Any, telling: Any
) -> None:
    made = await telling.images(world, setting, "haemorrhage", "haemorrhage", answers=1)
    await telling.send(world, made)
    told = await telling.communications(world)
    texts = sorted(one["payload"][0]["contentString"] for one in told)
    assert len(texts) == 2
    assert "intracranial haemorrhage" in texts[0] and "midline shift" in texts[1]
    assert all(fhir.problems(one) == [] and conform.problems(one) == [] for one in told)


@pytest.mark.requirement("DX-CRI-09")
async def test_late_images_take_over_what_was_told_of_the_earlier_ones(
    world: Any, setting: Any, telling: Any
) -> None:
    await telling.send(world, await telling.images(world, setting, "haemorrhage"))
    later = CaseDeidentified(case=setting.case_ref(), supplement=1)
    later.parts.add(part_id="imaging-2", supersedes="imaging-1")
    await world.bus.publish(subjects.CASE_DEIDENTIFIED, later, message_id="late")
    none = await telling.images(world, setting, part_id="imaging-2")
    none.found_time.FromSeconds(1_790_000_500)
    await telling.send(world, none)
    (told,) = await telling.communications(world)
    assert told["status"] == "entered-in-error"


@pytest.mark.requirement("DX-CRI-04")
async def test_what_cannot_be_told_is_counted_and_kept_as_a_dead_letter(
    world: Any, setting: Any, telling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[str, str]] = []
    monkeypatch.setattr(telemetry, "failure", lambda *each: counted.append(each))
    made = await telling.event(world, setting, results=[])
    await world.bus.publish(subjects.FINDING_CRITICAL, made, message_id="x")
    ((_, error),) = world.bus.dead
    assert isinstance(error, InvalidInput) and error.reason == "RESULT_MISSING"
    assert ("gateway.critical", "RESULT_MISSING") in counted


@pytest.mark.requirement("DX-CRI-10")
async def test_the_time_from_receiving_to_telling_is_measured(
    world: Any, setting: Any, telling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    took: dict[str, float] = {}
    monkeypatch.setattr(telemetry, "took", took.__setitem__)
    await telling.tell(world, setting)
    assert 0 <= took["critical.told"] < 60
