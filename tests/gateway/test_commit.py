"""A composed report becomes one report in the store; a signature makes it final."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import Any

import pytest
from dxmesh.event.v1.case_stopped_pb2 import CaseStopped

from services.kernel import fhir, subjects
from services.kernel.errors import KeyDestroyed
from tests.gateway.signatures import AI, labels, reports, sign


@pytest.mark.requirement("DX-GW-21")
async def test_a_report_whose_document_cannot_be_set_goes_out_without_it(
    world: Any, setting: Any
) -> None:
    def broken(_bundle: Any) -> bytes:
        raise ValueError("no such glyph")

    world.gateway.committer._render = broken
    await world.gateway.committer.composed(await setting.compose(world, setting.sample_report()))
    (report,) = await reports(world)
    assert report["status"] == "partial" and "presentedForm" not in report


@pytest.mark.requirement("DX-GW-21")
async def test_documents_are_set_one_at_a_time(world: Any, setting: Any) -> None:
    running: list[int] = []
    most: list[int] = []

    def slow(_bundle: Any) -> bytes:
        running.append(1)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()
        return b"%PDF-1.7 test"

    world.gateway.committer._render = slow
    committed = [
        await setting.compose(world, setting.sample_report(), ref=setting.case_ref(f"c-{n}"))
        for n in range(2)
    ]
    await asyncio.gather(*(world.gateway.committer.composed(each) for each in committed))
    assert max(most) == 1


@pytest.mark.requirement("DX-GW-21")
async def test_a_report_is_stored_once_however_often_it_is_delivered(
    world: Any, setting: Any
) -> None:
    event = await setting.compose(world, setting.sample_report())
    await asyncio.gather(*(world.gateway.committer.composed(event) for _ in range(3)))
    (report,) = await reports(world)
    assert report["status"] == "partial" and labels(report)[0] == AI
    assert report["meta"]["versionId"] == "1"
    task = (await world.get(f"/fhir/Task/{setting.CASE_ID}")).json()
    assert task["status"] == "completed"
    assert task["for"]["reference"] == "Patient/p-1"
    assert any(
        o.get("valueReference", {}).get("reference") == f"DiagnosticReport/{report['id']}"
        for o in task["output"]
    )


async def test_everything_stored_conforms_to_r4_and_refers_to_what_is_there(
    world: Any, setting: Any
) -> None:
    await setting.compose(world, setting.sample_report())
    await sign(world, setting)
    stored = await world.gateway.store.resources.of_case("north", setting.CASE_ID)
    places = {f"{s.type}/{s.id}" for s in stored}
    for item in stored:
        resource = fhir.parse(item.content)
        assert fhir.problems(resource) == [], item.type
    report = next(fhir.parse(s.content) for s in stored if s.type == "DiagnosticReport")
    assert {r["reference"] for r in report["result"]} <= places
    assert {m["link"]["reference"] for m in report["media"]} <= places
    assert report["presentedForm"][0]["url"] in places
    assert report["resultsInterpreter"][0]["reference"] in places


@pytest.mark.requirement("DX-GW-22")
async def test_pdf_and_key_images_come_as_their_content(world: Any, setting: Any) -> None:
    await setting.compose(world, setting.sample_report())
    (report,) = await reports(world)
    pdf = await world.get(f"/fhir/{report['presentedForm'][0]['url']}", Accept="*/*")
    assert pdf.headers["content-type"] == "application/pdf" and pdf.content[:4] == b"%PDF"
    assert report["presentedForm"][0]["size"] == len(pdf.content)
    media = (await world.get("/fhir/Media")).json()["entry"][0]["resource"]
    image = await world.get(f"/fhir/{media['content']['url']}", Accept="image/png")
    assert image.headers["content-type"] == "image/png" and image.content[1:4] == b"PNG"
    as_fhir = await world.get(f"/fhir/{media['content']['url']}", Accept="application/fhir+json")
    assert as_fhir.json()["resourceType"] == "Binary"


@pytest.mark.requirement("DX-KEY-10")
async def test_the_database_shows_no_identity(world: Any, setting: Any) -> None:
    await setting.compose(world, setting.sample_report())
    await sign(world, setting, comment="Zhang is well")
    dump = "\n".join(sqlite3.connect(world.database).iterdump()).encode()
    raw = world.database.read_bytes()
    for word in (b"Zhang", b"MRN-7431", b"1964-03-15", b"Patient/p-1", b"Potassium"):
        assert word not in dump and word not in raw
        assert word.hex().encode() not in dump.lower()


async def test_a_case_that_was_stopped_gets_no_report(world: Any, setting: Any) -> None:
    stopped = CaseStopped(case=setting.case_ref(), step="anonymization")
    stopped.refusal.reason = "CONSENT_WITHDRAWN"
    await world.bus.publish(subjects.CASE_STOPPED, stopped, message_id="stop")
    await setting.compose(world, setting.sample_report())
    assert await reports(world) == []
    task = (await world.get(f"/fhir/Task/{setting.CASE_ID}")).json()
    assert task["status"] == "rejected"
    assert task["statusReason"]["coding"][0]["code"] == "CONSENT_WITHDRAWN"


@pytest.mark.requirement("DX-GW-24")
async def test_objects_kept_for_a_report_go_with_a_stopped_case(world: Any, setting: Any) -> None:
    archive = world.gateway.archive
    scope = f"{setting.CASE_ID}.dicom"
    ref = await archive._made.put("north", scope, "1.2/1.2.3/1.2.3.1.dcm", b"a SEG with a name")
    stopped = CaseStopped(case=setting.case_ref(), step="gateway")
    stopped.refusal.reason = "CONSENT_WITHDRAWN"
    await world.bus.publish(subjects.CASE_STOPPED, stopped, message_id="stop")
    with pytest.raises(KeyDestroyed):
        await archive._made.get("north", ref)
    assert await archive._made.names("north", scope) == []


@pytest.mark.requirement("DX-GW-24")
async def test_objects_of_a_report_that_is_out_stay_with_it(world: Any, setting: Any) -> None:
    await setting.compose(world, setting.sample_report())
    made = world.gateway.archive._made
    ref = await made.put("north", f"{setting.CASE_ID}.dicom", "1.2/1.2.3/1.2.3.1.dcm", b"a SEG")
    stopped = CaseStopped(case=setting.case_ref(), step="anonymization")
    await world.bus.publish(subjects.CASE_STOPPED, stopped, message_id="stop")
    assert await made.get("north", ref) == b"a SEG"


async def test_an_earlier_version_that_comes_late_changes_nothing(world: Any, setting: Any) -> None:
    await setting.compose(world, setting.sample_report("zh"), version=2)
    await setting.compose(world, setting.sample_report("en"), version=1)
    (report,) = await reports(world)
    assert report["language"] == "zh-CN"
