"""The pages show of a case what FHIR and DICOMweb show of it: labels hide reports and pictures."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.fhir import submission
from services.gateway.web.kinds import needs_verdict
from tests.gateway.dicomweb.images import PATIENT, SERIES, STUDY_RESOURCE, hold, made
from tests.gateway.dicomweb.test_dicomweb_rights import RESTRICTED

FRAME = f"{SERIES}/{SERIES}.1"
FIELDS = ("csrf", "version", "amends")


async def label(world: Any, resource: dict[str, Any]) -> None:
    """Store a resource as the hospital has it now."""
    path = f"/fhir/{resource['resourceType']}/{resource['id']}"
    headers = {**world.bearer(), "Content-Type": "application/fhir+json"}
    answer = await world.http.put(path, json=resource, headers=headers)
    assert answer.status_code in (200, 201), answer.text


@pytest.mark.requirement("DX-VIE-13")
async def test_a_case_of_a_restricted_patient_is_on_no_page(world: Any, setting: Any) -> None:
    await hold(world, setting, [[made(1)]])
    await world.sign_in()
    base = f"/cases/{setting.CASE_ID}"
    page = await world.http.get(base)
    assert page.status_code == 200
    csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    start = page.text.index(f"{base}/images/1/")
    image = page.text[start : page.text.index('"', start)]
    paths = (
        base,
        image,
        f"{base}/viewer/1",
        f"{base}/pixels/{FRAME}/1",
        f"{base}/pictures/{FRAME}/1",
    )
    for path in paths:
        assert (await world.http.get(path)).status_code == 200, path
    assert base in (await world.http.get("/worklist")).text
    await label(world, {**PATIENT, "meta": RESTRICTED})
    for path in paths:
        answer = await world.http.get(path)
        assert answer.status_code == 404 and "XIAOMING" not in answer.text, path
    assert base not in (await world.http.get("/worklist")).text
    for path in (f"{base}/draft", f"{base}/sign"):
        answer = await world.http.post(path, data={"version": "1", "csrf": csrf})
        assert answer.status_code == 404, path
    gone = await world.http.delete("/fhir/Patient/p-1", headers=world.bearer())
    assert gone.status_code in (200, 204), gone.text
    assert (await world.http.get(base)).status_code == 404, "a deleted one as it last was"
    await label(world, PATIENT)
    assert (await world.http.get(base)).status_code == 200, "the label was taken off"


@pytest.mark.requirement("DX-VIE-13")
async def test_a_restricted_study_shows_no_picture(world: Any, setting: Any) -> None:
    await hold(world, setting, [[made(1)]], studies=[{**STUDY_RESOURCE, "meta": RESTRICTED}])
    await world.sign_in()
    base = f"/cases/{setting.CASE_ID}"
    page = await world.http.get(base)
    assert page.status_code == 200 and "viewer-open" not in page.text
    assert "/images/1/" not in page.text, "key images are pictures of it"
    assert (await world.http.get(f"{base}/viewer/1")).json()["series"] == []
    assert (await world.http.get(f"{base}/pixels/{FRAME}/1")).status_code == 404
    await label(world, STUDY_RESOURCE)
    page = await world.http.get(base)
    assert "viewer-open" in page.text and "/images/1/" in page.text
    assert (await world.http.get(f"{base}/pixels/{FRAME}/1")).status_code == 200


@pytest.mark.requirement("DX-VIE-15")
async def test_a_report_with_a_hidden_finding_is_not_signed_by_who_does_not_see_it(
    world: Any, setting: Any
) -> None:
    await hold(world, setting, [[made(1)]])
    store = world.gateway.store
    composed = await store.reports.composed("north", setting.CASE_ID, 1)
    found = [each["resource"] for each in composed["entry"] if needs_verdict(each["resource"])]
    async with store.resources.writing("north") as writing:
        await writing.save({**found[0], "meta": {**found[0]["meta"], **RESTRICTED}}, owned=True)
    await world.sign_in()
    path = f"/cases/{setting.CASE_ID}"
    page = (await world.http.get(path)).text
    assert found[0]["id"] not in page and found[1]["id"] in page
    form = {f"verdict:{each['id']}": "agree" for each in found}
    form |= {name: page.split(f'name="{name}" value="')[1].split('"')[0] for name in FIELDS}
    form |= {"comment": "as before", "password": setting.PASSWORD}
    refused = await world.http.post(f"{path}/sign", data=form)
    assert refused.status_code == 403
    assert "1 finding(s)" in refused.text and "Have someone sign" in refused.text
    assert await store.reports.reviews("north", setting.CASE_ID) == [], "nothing waits to be signed"
    assert not world.peers.signatures
    assert "as before" in (await world.http.get(path)).text, "the draft is kept"
    async with store.resources.writing("north") as writing:
        await writing.save(found[0], owned=True)
    assert (await world.http.post(f"{path}/sign", data=form)).status_code == 303


@pytest.mark.parametrize("kind", ["Patient", "ServiceRequest"])
def test_a_submission_says_at_once_that_it_is_restricted(kind: str) -> None:
    resources = [{"resourceType": each, "id": "1"} for each in ("Patient", "ServiceRequest")]
    entries = [{"resource": each} for each in resources]
    assert "restricted" not in submission.label({"entry": entries})
    next(each for each in resources if each["resourceType"] == kind)["meta"] = RESTRICTED  # type: ignore[assignment]
    assert submission.label({"entry": entries})["restricted"] is True
