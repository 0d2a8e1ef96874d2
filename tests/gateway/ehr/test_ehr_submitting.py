"""A case made of the EHR's data: what is read, what is shown, what is sent, what is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from services.kernel.errors import Forbidden, InvalidInput, Violation

EVERYTHING = {
    "order": "ServiceRequest/p-1-order",
    "use": [
        "Observation/p-1-lab-0",
        "Observation/p-1-lab-1",
        "DocumentReference/p-1-note",
        "ImagingStudy/p-1-study",
    ],
    "language": "en",
}


async def submitted(scene: Any, root: str, **changes: Any) -> dict[str, Any]:
    answer = await scene.post(root, "/submit", **(EVERYTHING | changes))
    assert answer.status_code == 303, answer.text
    return dict(json.loads(scene.world.peers.submitted[-1]))


def kinds(bundle: dict[str, Any]) -> list[str]:
    return sorted(entry["resource"]["resourceType"] for entry in bundle["entry"])


@pytest.mark.requirement("DX-EHR-06")
async def test_the_chart_is_shown_to_choose_from(scene: Any) -> None:
    root = await scene.launch()
    text = (await scene.page(f"{root}/submit")).text
    for shown in (
        "CT Chest",
        "Potassium",
        "6.8 mmol/L",
        "Progress note",
        "Chest CT",
        "patient-privacy",
    ):
        assert shown in text, shown
    assert "Wu Fictional" not in text
    assert 'value="DocumentReference/p-1-scan"  disabled' in text, "a PDF cannot be analysed"


@pytest.mark.requirement("DX-EHR-06")
async def test_what_was_chosen_becomes_a_submission(scene: Any) -> None:
    root = await scene.launch()
    bundle = await submitted(scene, root, priority="stat", language="zh")
    assert kinds(bundle) == [
        "Consent", "DocumentReference", "ImagingStudy", "Observation", "Observation", "Patient",
        "ServiceRequest",
    ]  # fmt: skip
    assert bundle["language"] == "zh-CN" and bundle["type"] == "transaction"
    by_kind = {e["resource"]["resourceType"]: e for e in bundle["entry"]}
    assert by_kind["Patient"]["fullUrl"] == f"{scene.ehr.url}/Patient/p-1"
    assert by_kind["ServiceRequest"]["resource"]["priority"] == "stat"
    attachment = by_kind["DocumentReference"]["resource"]["content"][0]["attachment"]
    assert base64.b64decode(attachment["data"]) == b"Cough for three weeks. Smoker."
    assert "url" not in attachment


@pytest.mark.requirement("DX-EHR-06")
async def test_only_what_was_chosen_is_sent(scene: Any) -> None:
    root = await scene.launch()
    bundle = await submitted(scene, root, use=["Observation/p-1-lab-1", "Observation/p-2-lab-0"])
    assert kinds(bundle) == ["Consent", "Observation", "Patient", "ServiceRequest"]


@pytest.mark.requirement("DX-EHR-06")
async def test_the_case_belongs_to_the_patient_alone(scene: Any) -> None:
    root, other = await scene.launch("p-1"), await scene.launch("p-2")
    answer = await scene.post(root, "/submit", **EVERYTHING)
    case = answer.headers["location"].removeprefix(root)
    assert (await scene.page(f"{root}{case}")).status_code == 200
    number = case.rpartition("/")[2]
    assert number in (await scene.page(f"{root}/worklist")).text
    for path in (case, f"{case}/images/1/x", f"{case}/report.pdf", f"{case}/report.json"):
        assert (await scene.page(f"{other}{path}")).status_code == 404, path
    for path in (f"{case}/draft", f"{case}/sign", f"{case}/write"):
        assert (await scene.post(other, path, version="1")).status_code == 404, path
    assert number not in (await scene.page(f"{other}/worklist")).text


@pytest.mark.requirement("DX-EHR-06")
async def test_cases_that_came_another_way_are_found_by_the_record_number(
    scene: Any, setting: Any
) -> None:
    await setting.compose(scene.world, setting.sample_report())
    store = scene.gateway.store
    await store.people.remember_subject("north", ["urn:test:mrn|MRN-p-1"], "subject-9")
    from dataclasses import replace

    async with store.cases.change("north", setting.CASE_ID) as opened:
        opened.case = replace(opened.case, subject_key="subject-9")
    root, other = await scene.launch("p-1"), await scene.launch("p-2")
    assert (await scene.page(f"{root}/cases/{setting.CASE_ID}")).status_code == 200
    assert (await scene.page(f"{other}/cases/{setting.CASE_ID}")).status_code == 404


@pytest.mark.requirement("DX-EHR-06")
async def test_the_same_choice_twice_is_one_submission(scene: Any) -> None:
    root = await scene.launch()
    first, second = await submitted(scene, root), await submitted(scene, root)
    assert first["identifier"] == second["identifier"]
    third = await submitted(scene, root, use=[])
    assert third["identifier"] != first["identifier"]


@pytest.mark.requirement("DX-EHR-06")
@pytest.mark.parametrize("status", ["missing", "inactive", "not granted"])
async def test_without_an_active_consent_nothing_is_sent(scene: Any, status: str) -> None:
    if status == "missing":
        del scene.ehr.resources["Consent", "p-1-consent"]
    elif status == "inactive":
        scene.ehr.resources["Consent", "p-1-consent"]["status"] = "inactive"
    else:
        scene.ehr.fails = {"GET Consent": [403] * 4}
    root = await scene.launch()
    page = await scene.page(f"{root}/submit")
    assert page.status_code == 200 and "no active consent" in page.text
    answer = await scene.post(root, "/submit", **EVERYTHING)
    assert answer.status_code == 422 and "no active consent" in answer.text
    assert scene.world.peers.submitted == []


@pytest.mark.requirement("DX-EHR-06")
async def test_a_refused_consent_is_said(scene: Any) -> None:
    root = await scene.launch()
    scene.world.peers.fails = Forbidden("no", reason="CONSENT_DENIED")
    answer = await scene.post(root, "/submit", **EVERYTHING)
    assert answer.status_code == 403 and "Consent refused" in answer.text
    problem = Violation("Bundle.entry[3].resource.code", "missing")
    scene.world.peers.fails = InvalidInput("bad", [problem], reason="NOT_R4")
    answer = await scene.post(root, "/submit", **EVERYTHING)
    assert answer.status_code == 422 and "Bundle.entry[3].resource.code" in answer.text


@pytest.mark.requirement("DX-EHR-07")
async def test_one_type_that_fails_does_not_hide_the_others(scene: Any) -> None:
    scene.ehr.fails = {"GET ImagingStudy": [500, 500], "GET DocumentReference": [403, 403]}
    root = await scene.launch()
    page = await scene.page(f"{root}/submit")
    assert page.status_code == 200 and "Potassium" in page.text
    assert "Imaging studies: could not be read." in page.text
    assert "Notes: could not be read." in page.text


@pytest.mark.requirement("DX-EHR-07")
async def test_one_type_that_hangs_does_not_hold_the_page(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.gateway.ehr import client

    root = await scene.launch()
    monkeypatch.setattr(client, "TIMEOUT_S", 2.0)
    scene.ehr.slow_s = {"ImagingStudy": 8.0}
    page = await scene.page(f"{root}/submit")
    assert "Potassium" in page.text and "Imaging studies: could not be read." in page.text
    assert "the EHR does not answer" in page.text


@pytest.mark.requirement("DX-EHR-07")
async def test_what_is_not_granted_is_not_asked_for(scene: Any) -> None:
    grant = scene.ehr._grant
    scene.ehr._grant = lambda asked: grant(
        asked | {"granted": "launch openid fhirUser patient/Observation.read patient/Consent.*"}
    )
    root = await scene.launch()
    before = len(scene.ehr.requests)
    page = await scene.page(f"{root}/submit")
    assert "the EHR does not let dxmesh read" in page.text and "Potassium" in page.text
    asked = {kind for _, kind in scene.ehr.requests[before:]}
    assert asked == {"Patient", "Observation", "Consent"}


@pytest.mark.requirement("DX-EHR-07")
async def test_pages_are_followed_to_a_limit_and_only_at_the_ehr(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.gateway.ehr import reader

    monkeypatch.setattr(reader, "PAGES_MAX", 3)
    scene.ehr.page = 1
    root = await scene.launch()
    text = (await scene.page(f"{root}/submit")).text
    assert "Potassium" in text and "Hemoglobin" in text
    lab = scene.ehr.resources["Observation", "p-1-lab-0"]
    scene.ehr.put(*({**lab, "id": f"more-{n}"} for n in range(4)))
    text = (await scene.page(f"{root}/submit")).text
    assert "Laboratory results: there are more than are shown here." in text
    search = scene.ehr._type

    async def elsewhere(request: Any) -> Any:
        answer = await search(request)
        changed = answer.body.replace(scene.ehr.url.encode() + b"/Obs", b"http://127.0.0.1:9/Obs")
        answer.body = changed
        answer.headers["content-length"] = str(len(changed))
        return answer

    for route in scene.ehr.served.routes:
        if route.path == "/fhir/{kind}":
            from starlette.routing import request_response

            route.app = request_response(elsewhere)
    text = (await scene.page(f"{root}/submit")).text
    assert "Laboratory results: could not be read." in text


@pytest.mark.requirement("DX-EHR-07")
async def test_an_ehr_that_answers_with_other_patients_is_not_believed(scene: Any) -> None:
    scene.ehr.ignores = {"patient"}
    root = await scene.launch()
    page = await scene.page(f"{root}/submit")
    assert "p-2-lab" not in page.text and "p-1-lab" not in page.text
    assert "other patients" in page.text


@pytest.mark.requirement("DX-EHR-07")
async def test_an_ended_token_is_refreshed_and_a_revoked_one_is_said(scene: Any) -> None:
    root = await scene.launch()
    scene.ehr.access.clear()
    assert (await scene.page(f"{root}/submit")).status_code == 200
    scene.ehr.revoke()
    page = await scene.page(f"{root}/submit")
    assert page.status_code == 422 and "open dxmesh again from the EHR" in page.text


@pytest.mark.requirement("DX-EHR-08")
async def test_images_are_fetched_from_the_ehrs_archive(scene: Any, charts: Any) -> None:
    scene.ehr.put(charts.archive(f"{scene.ehr.origin}/wado"))
    part = b"--edge\r\nContent-Type: application/dicom\r\n\r\nGOOD1\r\n"
    scene.ehr.archive = part + part + b"--edge--\r\n"
    root = await scene.launch()
    assert "cannot be fetched" not in (await scene.page(f"{root}/submit")).text
    await submitted(scene, root)
    assert [size for _, _, size in scene.world.peers.uploads] == [5, 5]


@pytest.mark.requirement("DX-EHR-08")
async def test_when_images_do_not_come_nothing_is_submitted(scene: Any, charts: Any) -> None:
    scene.ehr.put(charts.archive(f"{scene.ehr.origin}/wado"))
    scene.ehr.archive = b"--edge\r\nContent-Type: application/dicom\r\n\r\nNOT\r\n--edge--\r\n"
    root = await scene.launch()
    answer = await scene.post(root, "/submit", **EVERYTHING)
    assert answer.status_code == 422 and "could not be fetched" in answer.text
    assert scene.world.peers.submitted == []
    await submitted(scene, root, use=["Observation/p-1-lab-0"])


@pytest.mark.requirement("DX-EHR-08")
async def test_an_archive_on_another_host_is_never_asked(scene: Any, charts: Any) -> None:
    for address in ("http://169.254.169.254/wado", "https://archive.example/wado"):
        scene.ehr.put(charts.archive(address))
        root = await scene.launch()
        assert "cannot be fetched from here" in (await scene.page(f"{root}/submit")).text
        await submitted(scene, root)
    assert scene.world.peers.uploads == []


@pytest.mark.requirement("DX-EHR-07")
async def test_a_note_whose_content_is_not_given_is_named(scene: Any) -> None:
    del scene.ehr.resources["Binary", "p-1-text"]
    root = await scene.launch()
    answer = await scene.post(root, "/submit", **EVERYTHING)
    assert answer.status_code == 422 and "DocumentReference/p-1-note" in answer.text
    assert scene.world.peers.submitted == []
    await submitted(scene, root, use=["Observation/p-1-lab-0"])


@pytest.mark.requirement("DX-EHR-06")
async def test_ingest_takes_what_is_sent(scene: Any) -> None:
    """Held against ingest's own reading, with relative and absolute references mixed."""
    from services.ingest import bundle as admission

    for kind, number in list(scene.ehr.resources):
        resource = scene.ehr.resources[kind, number]
        if kind == "Observation" and "subject" in resource:
            reference = f"{scene.ehr.url}/{resource['subject']['reference']}"
            resource["subject"] = {"reference": reference}
    scene.ehr.ignores = {"patient"}
    for kind, number in list(scene.ehr.resources):
        if number.startswith("p-2"):
            del scene.ehr.resources[kind, number]
    root = await scene.launch()
    await submitted(scene, root)
    read = admission.read(scene.world.peers.submitted[-1], 5000)
    assert len(read["entry"]) == 7
