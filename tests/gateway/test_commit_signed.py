"""What a signature makes of a stored report, once."""

from __future__ import annotations

from typing import Any

import pytest
from dxmesh.event.v1.report_signed_pb2 import ReportSigned

from services.gateway.commit import signer
from services.kernel import subjects
from tests.gateway.signatures import AI, PHYSICIAN, labels, page_token, reports, sign


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
