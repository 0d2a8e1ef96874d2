"""patient-view: what of a patient's AI reports an EHR is told, and of whose."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from services.gateway.progress import Step
from services.kernel import fhir


async def with_report(ehr: Any, setting: Any, language: str = "en", **more: Any) -> None:
    await setting.compose(ehr.world, setting.sample_report(language), **more)


def critical(report: dict[str, Any]) -> int:
    codes = [
        coding["code"]
        for entry in report["entry"]
        for concept in entry["resource"].get("interpretation", [])
        for coding in concept.get("coding", [])
    ]
    return sum(code in ("HH", "LL") for code in codes)


@pytest.mark.requirement("DX-CDS-01")
async def test_discovery_is_open_and_says_what_to_prefetch(ehr: Any) -> None:
    answer = await ehr.http.get("/cds-services")
    services = {service["hook"]: service for service in answer.json()["services"]}
    assert answer.headers["access-control-allow-origin"] == "*"
    assert set(services) == {"patient-view", "order-select", "order-sign"}
    for service in services.values():
        assert service["prefetch"]["patient"] == "Patient/{{context.patientId}}"
        assert service["description"]
    chinese = await ehr.http.get("/cds-services", headers={"Accept-Language": "zh-CN,en;q=0.5"})
    assert chinese.json() != answer.json()
    assert "Accept-Language" in chinese.headers["vary"]


@pytest.mark.requirement("DX-CDS-03")
async def test_a_critical_result_nobody_has_read_comes_first(ehr: Any, setting: Any) -> None:
    report = setting.sample_report("en")
    await setting.compose(ehr.world, report)
    [card] = await ehr.view()
    assert card["indicator"] == "critical"
    assert f"{critical(report)} critical result" in card["summary"]
    assert "for reference only" in card["summary"]
    assert len(card["summary"]) < 140
    assert "No physician has reviewed it." in card["detail"]
    assert card["source"]["topic"]["code"] == "critical-result"
    smart, browser = card["links"]
    assert smart["type"] == "smart"
    assert smart["url"] == "http://gateway/ehr/launch"
    assert json.loads(smart["appContext"]) == {"case": setting.CASE_ID}
    assert browser["url"] == f"http://gateway/cases/{setting.CASE_ID}"


@pytest.mark.requirement("DX-CDS-03")
async def test_a_report_without_critical_results_waits(ehr: Any, setting: Any) -> None:
    report = setting.sample_report("zh")
    for entry in report["entry"]:
        entry["resource"].pop("interpretation", None)
    await setting.compose(ehr.world, report)
    [card] = await ehr.view(language="zh")
    assert card["indicator"] == "warning"
    assert card["summary"] == "1 份 AI 报告等待审核和签署（仅供参考）"
    assert "尚未经医师审核" in card["detail"]


@pytest.mark.requirement("DX-CDS-03")
async def test_a_signed_report_is_only_information(ehr: Any, setting: Any) -> None:
    await with_report(ehr, setting)
    async with ehr.world.gateway.store.cases.change("north", setting.CASE_ID) as opened:
        signed = Step("signed", "done", 1_790_000_000_000_000, 1_790_000_000_000_000)
        steps = {**opened.case.steps, signed.name: signed}
        opened.case = replace(opened.case, signed_version=1, steps=steps)
    [card] = await ehr.view()
    assert card["indicator"] == "info"
    assert "reviewed and signed, 2026-09-21" in card["summary"]
    assert "reviewed and signed by a physician" in card["detail"]


@pytest.mark.requirement("DX-CDS-03")
async def test_an_analysis_in_progress_is_shown_with_its_due_time(ehr: Any, setting: Any) -> None:
    order = setting.ORDER | {"code": {"text": "CT Chest"}}
    entries = [{"resource": setting.PATIENT}, {"resource": order}]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert (await ehr.world.submit(bundle)).status_code == 201
    [card] = await ehr.view()
    assert card["source"]["topic"]["code"] == "analysis-runs"
    assert "for reference only" in card["summary"]
    assert await ehr.view(patient=setting.PATIENT | {"birthDate": "1999-01-01"}) == []


@pytest.mark.requirement("DX-CDS-04")
async def test_nobody_knows_this_patient(ehr: Any, setting: Any) -> None:
    await with_report(ehr, setting)
    assert await ehr.view("somebody-else") == []


@pytest.mark.requirement("DX-CDS-04")
async def test_another_tenants_ehr_sees_nothing(ehr: Any, setting: Any) -> None:
    await with_report(ehr, setting)
    token = ehr.token("dxmesh-patient-view", "https://south.example")
    assert await ehr.view(token=token, patient=setting.PATIENT) == []


@pytest.mark.requirement("DX-CDS-04")
@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({}, 1),
        ({"birthDate": "1964"}, 1),
        ({"birthDate": "1964-03-16"}, 0),
        ({"identifier": [{"system": "urn:test:mrn", "value": "MRN-1"}]}, 0),
        ({"identifier": [{"system": "urn:other", "value": "MRN-1"}]}, 1),
    ],
)
async def test_a_contradiction_shows_nothing(
    ehr: Any, setting: Any, change: dict[str, Any], shown: int
) -> None:
    await with_report(ehr, setting)
    assert len(await ehr.view(patient=setting.PATIENT | change)) == shown


@pytest.mark.requirement("DX-CDS-04")
async def test_a_patient_is_found_by_identifier_under_another_id(ehr: Any, setting: Any) -> None:
    await with_report(ehr, setting)
    assert len(await ehr.view("e-9", patient=setting.PATIENT | {"id": "e-9"})) == 1


@pytest.mark.requirement("DX-CDS-04")
async def test_an_ehr_whose_ids_are_its_own_needs_an_identifier(ehr: Any, setting: Any) -> None:
    await with_report(ehr, setting)
    service, iss = "dxmesh-patient-view", "https://shy.example"
    assert await ehr.view(token=ehr.token(service, iss)) == []
    found = await ehr.view(token=ehr.token(service, iss), patient=setting.PATIENT)
    assert len(found) == 1


@pytest.mark.requirement("DX-CDS-03")
async def test_a_report_cannot_put_a_link_or_hidden_text_on_a_card(ehr: Any, setting: Any) -> None:
    report = setting.sample_report("en")
    evil = "![x](https://evil.example/p.png) <img src=x> \u202e [click](javascript:1)"
    report["entry"][0]["resource"]["conclusion"] = f"first\n{evil}"
    await setting.compose(ehr.world, report)
    [card] = await ehr.view()
    [quoted] = [line[2:] for line in card["detail"].split("\n") if "evil" in line]
    assert not re.search(r"(?<!\\)[\[\]<>!()]", quoted)
    assert "\u202e" not in card["detail"]


@pytest.mark.requirement("DX-CDS-06")
async def test_a_call_is_audited_with_its_patient(ehr: Any, setting: Any) -> None:
    await with_report(ehr, setting)
    await ehr.view()
    rows = await ehr.world.gateway.store.audit.rows("north")
    entry = rows[-1].entry
    assert (entry.interaction, entry.patients) == ("patient-view", ("Patient/p-1",))
    assert entry.client_id == "https://ehr.example"
    assert fhir.dump(entry.outcome) == b'"0"'


@pytest.mark.requirement("DX-CDS-04")
async def test_a_case_whose_report_is_restricted_is_not_shown(ehr: Any, setting: Any) -> None:
    report = setting.sample_report("en")
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    report["entry"][0]["resource"]["meta"]["security"].append(label)
    await setting.compose(ehr.world, report)
    assert await ehr.view() == []
