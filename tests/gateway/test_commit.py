"""A composed report becomes one report in the store; a signature makes it final."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest
from dxmesh.event.v1.case_stopped_pb2 import CaseStopped
from dxmesh.event.v1.report_signed_pb2 import ReportSigned

from services.gateway.commit import signer
from services.kernel import fhir, subjects
from services.kernel.errors import KeyDestroyed

AI, PHYSICIAN = "AIAST", "CLINAST"


async def reports(world: Any) -> list[Any]:
    bundle = (await world.get("/fhir/DiagnosticReport")).json()
    return [entry["resource"] for entry in bundle.get("entry", [])]


def labels(resource: Any) -> list[str]:
    return [label["code"] for label in resource["meta"].get("security", [])]


async def page_token(world: Any, case_id: str) -> tuple[str, str]:
    """Return the page and its token."""
    page = (await world.http.get(f"/cases/{case_id}", headers={"Accept": "text/html"})).text
    return page, hidden(page, "csrf")


def hidden(page: str, name: str) -> str:
    return page.split(f'name="{name}" value="')[1].split('"')[0]


async def sign(world: Any, setting: Any, *, verdicts: Any = None, **changes: Any) -> Any:
    await world.sign_in()
    page, token = await page_token(world, setting.CASE_ID)
    bundle = await world.gateway.store.reports.composed("north", setting.CASE_ID, 1)
    ids = [e["resource"]["id"] for e in bundle["entry"] if e["resource"].get("meta", {}).get("tag")]
    given = dict.fromkeys(ids, "agree") | (verdicts(ids) if verdicts else {})
    form = {f"verdict:{key}": value for key, value in given.items()}
    form |= {"csrf": token, "version": "1", "amends": hidden(page, "amends"), "comment": ""}
    form |= {"password": setting.PASSWORD}
    return await world.http.post(f"/cases/{setting.CASE_ID}/sign", data=form | changes)


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


@pytest.mark.requirement("DX-WEB-01")
async def test_a_signature_makes_the_report_final_with_its_interpreter(
    world: Any, setting: Any
) -> None:
    await setting.compose(world, setting.sample_report())
    answer = await sign(world, setting)
    assert answer.status_code == 303
    (report,) = await reports(world)
    assert report["status"] == "final"
    assert PHYSICIAN in labels(report) and AI not in labels(report)
    interpreter = report["resultsInterpreter"][0]["reference"]
    practitioner = (await world.get(f"/fhir/{interpreter}")).json()
    assert practitioner["identifier"][0] == {"system": "urn:test", "value": "reader"}
    found = (await world.get(f"/fhir/Provenance?target=DiagnosticReport/{report['id']}")).json()[
        "entry"
    ]
    agents = [a for e in found for a in e["resource"]["agent"]]
    verifiers = [a for a in agents if a["type"]["coding"][0]["code"] == "verifier"]
    assert [v["who"]["reference"] for v in verifiers] == [interpreter]
    assert "no physician has reviewed" not in report["conclusion"]


@pytest.mark.requirement("DX-WEB-02")
async def test_each_finding_follows_its_verdict(world: Any, setting: Any) -> None:
    await setting.compose(world, setting.sample_report())
    picked: list[str] = []

    def verdicts(ids: list[str]) -> dict[str, str]:
        picked.extend(ids)
        return {ids[0]: "disagree", ids[1]: "edit"}

    bundle = await world.gateway.store.reports.composed("north", setting.CASE_ID, 1)
    second = [
        e["resource"]["id"] for e in bundle["entry"] if e["resource"].get("meta", {}).get("tag")
    ][1]
    changes = {f"correction:{second}": "A vessel of Zhang", "comment": "Seen with Zhang"}
    await sign(world, setting, verdicts=verdicts, **changes)
    (report,) = await reports(world)
    results = [r["reference"] for r in report["result"]]
    rejected = (await world.get(f"/fhir/Observation/{picked[0]}")).json()
    edited = (await world.get(f"/fhir/Observation/{picked[1]}")).json()
    agreed = (await world.get(f"/fhir/Observation/{picked[2]}")).json()
    assert rejected["status"] == "entered-in-error" and labels(rejected) == [AI]
    assert f"Observation/{picked[0]}" not in results
    assert edited["status"] == "amended" and edited["note"][-1]["text"].endswith(
        "A vessel of Zhang"
    )
    assert agreed["status"] == "final" and PHYSICIAN in labels(agreed)
    assert "A vessel of Zhang" in report["conclusion"] and "Seen with" in report["conclusion"]
    sent = {v.finding_id: v for v in world.peers.signatures[0].verdicts}
    assert sent[picked[1]].correction == "A vessel of [NAME]"
    assert sent[picked[0]].comment == "Seen with [NAME]"
    assert sent[picked[1]].model_name and sent[picked[1]].model_version


@pytest.mark.requirement("DX-WEB-02")
async def test_no_code_of_the_conclusion_states_a_finding_that_was_refused(
    world: Any, setting: Any
) -> None:
    await setting.compose(world, setting.sample_report())
    (before,) = await reports(world)
    assert before["conclusionCode"]
    await sign(world, setting, verdicts=lambda ids: {ids[0]: "disagree"})
    (report,) = await reports(world)
    assert "conclusionCode" not in report


async def test_a_signature_heard_twice_is_stored_once(world: Any, setting: Any) -> None:
    event = await setting.compose(world, setting.sample_report())
    await sign(world, setting)
    hasher = await world.gateway.hasher_for("north")
    again = ReportSigned(case=event.case, version=1, signer=signer(hasher, "reader"))
    again.signed_time.FromMicroseconds(world.peers.signed_at_us + 1_000_000)
    await world.bus.publish(subjects.REPORT_SIGNED, again, message_id="again")
    (report,) = await reports(world)
    assert report["meta"]["versionId"] == "2"
    await world.bus.publish(subjects.REPORT_COMPOSED, event, message_id="late-repeat")
    assert (await reports(world))[0]["status"] == "final"


async def test_the_event_alone_brings_the_signature_after_a_crash(world: Any, setting: Any) -> None:
    """The request died between reporting's answer and the store."""
    event = await setting.compose(world, setting.sample_report())
    hasher = await world.gateway.hasher_for("north")
    signed = ReportSigned(case=event.case, version=1, signer=signer(hasher, "reader"))
    signed.signed_time.FromMicroseconds(1_790_000_000_000_000)
    await world.bus.publish(subjects.REPORT_SIGNED, signed, message_id="signed")
    (report,) = await reports(world)
    assert report["status"] == "final"
    assert report["resultsInterpreter"][0]["display"] == "Dr reader (fictional)"


@pytest.mark.requirement("DX-WEB-03")
async def test_a_version_after_the_signature_waits_and_then_amends(
    world: Any, setting: Any
) -> None:
    await setting.compose(world, setting.sample_report())
    await sign(world, setting)
    await setting.compose(world, setting.sample_report(), version=2)
    (report,) = await reports(world)
    assert report["status"] == "final"
    case = await world.gateway.store.cases.get("north", setting.CASE_ID)
    assert (case.signed_version, case.held_version) == (1, 2)
    page, _ = await page_token(world, setting.CASE_ID)
    assert "Version 2 came after the signature" in page
    assert (await sign(world, setting)).status_code == 409
    assert (await sign(world, setting, version="2", amends="0")).status_code == 303
    (report,) = await reports(world)
    case = await world.gateway.store.cases.get("north", setting.CASE_ID)
    assert report["status"] == "amended"
    assert (case.signed_version, case.held_version) == (2, 0)


@pytest.mark.requirement("DX-WEB-03")
async def test_a_signed_version_is_amended_by_who_saw_its_signature(
    world: Any, setting: Any
) -> None:
    await setting.compose(world, setting.sample_report())
    await sign(world, setting)
    assert (await sign(world, setting, amends="0")).status_code == 409
    answer = await sign(world, setting, verdicts=lambda ids: {ids[0]: "disagree"})
    assert answer.status_code == 303
    (report,) = await reports(world)
    assert report["status"] == "amended"
    assert "does not agree" in report["conclusion"]
    first, second = world.peers.signatures
    assert not first.HasField("amends_time") and second.HasField("amends_time")


@pytest.mark.requirement("DX-WEB-04")
async def test_nothing_is_signed_without_every_verdict_and_the_password(
    world: Any, setting: Any
) -> None:
    await setting.compose(world, setting.sample_report())
    missing = await sign(world, setting, verdicts=lambda ids: {ids[0]: ""})
    assert missing.status_code == 422
    edit = await sign(world, setting, verdicts=lambda ids: {ids[0]: "edit"})
    assert edit.status_code == 422
    wrong = await sign(world, setting, password="guess")
    assert wrong.status_code == 403
    assert world.peers.signatures == []
    assert (await reports(world))[0]["status"] == "partial"


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
