"""A result that a later case corrected: whoever opens the earlier report is told, programs too."""

from __future__ import annotations

import re
from typing import Any

import pytest
from dxmesh.event.v1.case_received_pb2 import (
    CORRECTION_KIND_CHANGED,
    CORRECTION_KIND_WITHDRAWN,
    CaseReceived,
    Correction,
)

from services.kernel import subjects

LATER = "c-later"


async def corrected(world: Any, setting: Any, kind: int = CORRECTION_KIND_CHANGED) -> None:
    """Let ingest say that a later case corrects potassium of the first."""
    hasher = await world.gateway.hasher_for("north")
    event = CaseReceived(case=setting.case_ref(LATER), subject_key="subject-1")
    event.corrections.append(
        Correction(
            earlier_case_id=setting.CASE_ID,
            later_case_id=LATER,
            earlier_result=hasher("result-reference", "Observation/k-1"),
            later_result=hasher("result-reference", "Observation/k-2"),
            kind=kind,  # type: ignore[arg-type]  # an enum's number
        )
    )
    for number in range(2):  # it may be delivered twice
        await world.bus.publish(subjects.CASE_RECEIVED, event, message_id=f"later-{kind}-{number}")


async def composed(world: Any, setting: Any) -> None:
    event = await setting.compose(world, setting.sample_report(), publish=False)
    world.peers.identity.references["obs-9"] = "Observation/k-1"
    await world.bus.publish(subjects.REPORT_COMPOSED, event, message_id="composed")


@pytest.mark.requirement("DX-HL7-09")
async def test_the_earlier_report_says_which_of_its_results_fell(world: Any, setting: Any) -> None:
    await composed(world, setting)
    await world.sign_in()
    before = (await world.http.get(f"/cases/{setting.CASE_ID}")).text
    assert "Corrected since" not in before
    await corrected(world, setting)
    page = (await world.http.get(f"/cases/{setting.CASE_ID}")).text
    assert "Corrected since" in page and "Results: Potassium." in page
    assert "1 changed, 0 cancelled or deleted" in page
    assert f'href="/cases/{LATER}"' in page
    later = (await world.http.get(f"/cases/{LATER}")).text
    assert "correct those of an earlier one" in later
    assert f'href="/cases/{setting.CASE_ID}"' in later


@pytest.mark.requirement("DX-HL7-09")
async def test_programs_are_told_once_by_a_communication_and_the_task(
    world: Any, setting: Any
) -> None:
    await composed(world, setting)
    await corrected(world, setting, CORRECTION_KIND_WITHDRAWN)
    for case_id in (setting.CASE_ID, LATER):
        found = (await world.get(f"/fhir/Communication?part-of=Task/{case_id}")).json()
        (entry,) = found["entry"]
    told = entry["resource"]
    assert told["status"] == "completed" and told["subject"] == {"reference": "Patient/p-1"}
    assert told["about"][0]["reference"].startswith("DiagnosticReport/")
    said = told["payload"][0]["contentString"]
    assert "检验科此后更正了本报告的结果" in said and "1 cancelled or deleted" in said
    for case_id, name, other in (
        (setting.CASE_ID, "corrected", LATER),
        (LATER, "corrects", setting.CASE_ID),
    ):
        task = (await world.get(f"/fhir/Task/{case_id}")).json()
        (output,) = [o for o in task["output"] if o["type"]["coding"][0]["code"] == name]
        assert output["valueReference"] == {"reference": f"Task/{other}"}


@pytest.mark.requirement("DX-HL7-09")
async def test_a_report_that_comes_after_its_correction_says_so_too(
    world: Any, setting: Any
) -> None:
    await corrected(world, setting)
    assert (await world.get("/fhir/Communication")).json().get("entry", []) == []
    await composed(world, setting)
    await world.sign_in()
    assert "Corrected since" in (await world.http.get(f"/cases/{setting.CASE_ID}")).text


@pytest.mark.requirement("DX-HL7-09")
@pytest.mark.parametrize(("language", "said"), [("en", "Corrected since"), ("zh", "结果已更正")])
async def test_a_critical_result_that_was_corrected_is_struck_through_and_not_counted(
    world: Any, setting: Any, language: str, said: str
) -> None:
    await composed(world, setting)
    await world.sign_in()
    world.http.cookies.set("dx_language", language)
    path, struck = f"/cases/{setting.CASE_ID}", re.compile(r"<s>(Potassium [0-9.]+ mmol/L)</s>")
    before = (await world.http.get(path)).text
    assert not struck.search(before) and 'class="flag HH"' in _band(before)
    assert 'class="badge critical"' in (await world.http.get("/worklist?show=all")).text
    await corrected(world, setting)
    band = _band((await world.http.get(path)).text)
    assert struck.search(band) and said in band and 'class="flag HH"' not in band
    rows = (await world.http.get("/worklist?show=all")).text
    assert f'href="{path}"' in rows and 'class="badge critical"' not in rows


def _band(page: str) -> str:
    """Return the band of critical results of a case's page."""
    (found,) = re.findall(r'<section class="criticals".*?</section>', page, re.DOTALL)
    return str(found)
