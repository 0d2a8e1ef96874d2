"""A report is as confidential as the results and notes it was made of; who may see it signs it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.gateway.access import accounts
from services.gateway.fhir import submission
from services.kernel.settings import BadSettings
from tests.gateway.dicomweb.test_dicomweb_rights import RESTRICTED

OPEN = {"Patient", "ServiceRequest", "Device", "Task", "Practitioner"}
NOTE = {"resourceType": "DocumentReference", "id": "note", "status": "current"}


def bundle(setting: Any, *more: dict[str, Any]) -> dict[str, Any]:
    entries = [{"resource": each} for each in (setting.PATIENT, setting.ORDER, *more)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


async def composed(world: Any, setting: Any, *more: dict[str, Any]) -> str:
    """Submit, have the report composed, and return the case's id."""
    case_id = str((await world.submit(bundle(setting, *more))).json()["id"])
    await setting.compose(world, setting.sample_report(), ref=setting.case_ref(case_id))
    return case_id


def codes(resource: dict[str, Any]) -> list[str]:
    return [label["code"] for label in resource.get("meta", {}).get("security", [])]


@pytest.mark.requirement("DX-GW-27")
async def test_what_is_made_of_a_restricted_note_is_restricted(world: Any, setting: Any) -> None:
    case_id = await composed(world, setting, {**NOTE, "meta": RESTRICTED})
    stored = await world.gateway.store.resources.of_case("north", case_id)
    made = [each for each in stored if each.type not in OPEN]
    assert {"DiagnosticReport", "Observation", "Binary", "Media", "DetectedIssue"} <= {
        each.type for each in made
    }
    await world.sign_in()
    headers = {"Accept": "application/fhir+json"}
    for each in made:
        path = f"/fhir/{each.type}/{each.id}"
        assert "R" in codes((await world.get(path, **headers)).json()), path
        assert (await world.http.get(path, headers=headers)).status_code == 404, path
    assert (await world.http.get(f"/cases/{case_id}")).status_code == 404
    assert case_id not in (await world.http.get("/worklist")).text


@pytest.mark.requirement("DX-GW-27")
async def test_who_may_see_it_signs_it_and_it_stays_restricted(world: Any, setting: Any) -> None:
    case_id = await composed(world, setting, {**NOTE, "meta": RESTRICTED})
    known = world.gateway.accounts.by_name
    known["north", "second"] = replace(known["north", "second"], restricted=True)
    await world.sign_in("second")
    page = await world.http.get(f"/cases/{case_id}")
    assert page.status_code == 200
    form = {name: page.text.split(f'name="{name}" value="')[1].split('"')[0] for name in FIELDS}
    report = await world.gateway.store.reports.composed("north", case_id, 1)
    tagged = [
        e["resource"]["id"] for e in report["entry"] if "tag" in e["resource"].get("meta", {})
    ]
    form |= {f"verdict:{each}": "agree" for each in tagged} | {"password": setting.PASSWORD}
    assert (await world.http.post(f"/cases/{case_id}/sign", data=form)).status_code == 303
    stored = await world.gateway.store.resources.of_case("north", case_id)
    (signed,) = [each.id for each in stored if each.type == "DiagnosticReport"]
    report = (await world.get(f"/fhir/DiagnosticReport/{signed}")).json()
    assert report["status"] == "final" and {"R", "CLINAST"} <= set(codes(report))
    await world.sign_in("reader")
    for each in (each for each in stored if each.type not in OPEN):
        answer = await world.http.get(f"/fhir/{each.type}/{each.id}")
        assert answer.status_code == 404, each.type


FIELDS = ("csrf", "version", "amends")


@pytest.mark.requirement("DX-GW-27")
async def test_patient_order_and_studies_say_for_themselves(world: Any, setting: Any) -> None:
    study = {"resourceType": "ImagingStudy", "id": "s", "status": "available", "meta": RESTRICTED}
    case_id = await composed(world, setting, study)
    await world.sign_in()
    assert (await world.http.get(f"/cases/{case_id}")).status_code == 200


@pytest.mark.requirement("DX-GW-27")
async def test_a_critical_result_of_a_restricted_input_is_told_as_restricted(
    world: Any, setting: Any, telling: Any
) -> None:
    lab = {"resourceType": "Observation", "id": "k-1", "status": "final", "meta": RESTRICTED}
    case_id = str((await world.submit(bundle(setting, lab))).json()["id"])
    (told,) = await telling.tell(world, setting, ref=setting.case_ref(case_id))
    assert "R" in codes(told)


def test_the_strictest_label_counts(setting: Any) -> None:
    very = {"security": [{**RESTRICTED["security"][0], "code": "V"}]}
    lab = {"resourceType": "Observation", "meta": very}
    assert submission.confidentiality(bundle(setting)) == ""
    assert submission.confidentiality(bundle(setting, lab, {**NOTE, "meta": RESTRICTED})) == "V"
    assert submission.label(bundle(setting, lab))["restricted"] is True


def test_that_an_account_may_see_what_is_restricted_is_said_by_its_entry(setting: Any) -> None:
    text = setting.accounts_text()
    entry = 'name = "reader"\n'
    assert not accounts.parse(text).by_name["north", "reader"].rights.restricted
    may = accounts.parse(text.replace(entry, f"{entry}restricted = true\n"))
    assert may.by_name["north", "reader"].rights.restricted
    with pytest.raises(BadSettings, match="restricted"):
        accounts.parse(text.replace(entry, f'{entry}restricted = "yes"\n'))
