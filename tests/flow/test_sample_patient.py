"""The sample patient through the whole mesh: what an EHR gets back."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pydicom import dcmread

from services.cli.content import read
from tests.flow.running import SAMPLES, Running

PARTS = [SAMPLES / name for name in ("patient.json", "consent.json", "service_request.json")]


@pytest.fixture(scope="module")
def case_id(running: Running) -> str:
    """The sample patient's case, once it has a report."""
    notes = SAMPLES / "notes" / "admission_zh.txt"
    sent = running.submit(*PARTS, SAMPLES / "labs", SAMPLES / "ct", notes, language="zh")
    running.wait_for(sent)
    return sent


@pytest.mark.requirement("DX-FLOW-01")
def test_one_report_names_the_nodule_the_critical_value_and_the_complaint(
    running: Running, case_id: str
) -> None:
    report = running.report(case_id)
    assert report["status"] == "partial"
    assert report["language"] == "zh-CN"
    first, *rest = report["conclusion"].split("\n")
    assert "仅供参考" in first
    text = "\n".join(rest)
    assert "结节1" in text and "钾 6.8" in text and "咳嗽" in text
    assert {e["extension"][2]["valueCode"] for e in parts(report)} == {"completed"}


@pytest.mark.requirement("DX-CRI-04")
def test_the_critical_value_was_told_before_the_report(running: Running, case_id: str) -> None:
    found = running.ehr.get(f"/fhir/Communication?part-of=Task/{case_id}&category=alert")
    told = [entry["resource"] for entry in found["entry"]]
    (potassium,) = [one for one in told if "钾 6.8" in one["payload"][0]["contentString"]]
    assert potassium["status"] == "in-progress" and potassium["priority"] == "stat"
    assert potassium["subject"]["reference"] == "Patient/demo-patient"
    assert potassium["about"][0]["reference"].startswith("Observation/")
    report = running.report(case_id)
    first = running.ehr.get(f"/fhir/DiagnosticReport/{report['id']}/_history/1")
    assert potassium["meta"]["lastUpdated"] < first["meta"]["lastUpdated"]
    steps = {step["step"]: step for step in running.case(case_id)["steps"]}
    assert potassium["sent"] < steps["composed"]["finished"]


@pytest.mark.requirement("DX-FLOW-01")
def test_the_report_is_given_back_under_the_identity_that_was_submitted(
    running: Running, case_id: str
) -> None:
    report = running.report(case_id)
    assert report["subject"]["reference"] == "Patient/demo-patient"
    assert report["basedOn"][0]["reference"] == "ServiceRequest/demo-request"
    assert report["imagingStudy"][0]["reference"].startswith("ImagingStudy/study-")
    media = running.ehr.get(f"/fhir/{report['media'][0]['link']['reference']}")
    submitted = {f"urn:oid:{instance.uid}" for instance in read([SAMPLES / "ct"]).instances}
    assert submitted & {each["value"] for each in media["identifier"]}


@pytest.mark.requirement("DX-FLOW-01")
def test_pdf_and_key_image_are_what_they_say(running: Running, case_id: str) -> None:
    report = running.report(case_id)
    form = report["presentedForm"][0]
    path = form["url"].removeprefix(running.mesh.url).removeprefix("/fhir/")
    pdf = running.ehr.content(f"/fhir/{path}", "application/pdf")
    assert pdf.startswith(b"%PDF") and len(pdf) == form["size"]
    media = running.ehr.get(f"/fhir/{report['media'][0]['link']['reference']}")
    image = running.ehr.content(f"/fhir/{media['content']['url']}", "image/png")
    assert image.startswith(b"\x89PNG")


@pytest.mark.requirement("DX-OUT-13")
def test_dicom_objects_lead_to_the_images_that_were_submitted(
    running: Running, case_id: str
) -> None:
    found = running.ehr.get("/fhir/DocumentReference?contenttype=application/dicom")
    study = read([SAMPLES / "ct"]).instances[0].study
    documents = [
        entry["resource"]
        for entry in found["entry"]
        if f"/studies/{study}/" in entry["resource"]["content"][0]["attachment"]["url"]
    ]
    kinds = {each["type"]["coding"][0]["code"]: each for each in documents}
    assert kinds.keys() >= {"SEG", "SR", "KO"}
    submitted = {instance.uid for instance in read([SAMPLES / "ct"]).instances}
    for name in ("SEG", "SR"):
        attachment = kinds[name]["content"][0]["attachment"]
        answer = running.ehr.content(
            attachment["url"], 'multipart/related; type="application/dicom"'
        )
        start = answer.index(b"DICM") - 128
        dataset = dcmread(io.BytesIO(answer[start : start + attachment["size"]]))
        assert dataset.Modality == name and str(dataset.PatientName)
        named = {str(each.value) for each in dataset.iterall() if each.VR == "UI"}
        assert len(named & submitted) > 3


@pytest.mark.requirement("DX-FLOW-02")
def test_the_same_submission_again_is_the_same_case_and_one_report(
    running: Running, case_id: str
) -> None:
    notes = SAMPLES / "notes" / "admission_zh.txt"
    again = running.submit(*PARTS, SAMPLES / "labs", SAMPLES / "ct", notes, language="zh")
    assert again == case_id
    found = running.ehr.get(f"/fhir/DiagnosticReport?identifier=urn:dxmesh:case|{case_id}")
    assert len(found["entry"]) == 1
    assert running.case(case_id)["report_version"] == 1


@pytest.mark.requirement("DX-FLOW-01")
def test_every_step_states_its_time(running: Running, case_id: str) -> None:
    steps = {step["step"]: step for step in running.case(case_id)["steps"]}
    for name in ("deidentified", "imaging-1", "labs-1", "nlp-1", "composed", "committed"):
        assert steps[name]["state"] == "done", name
        assert steps[name]["seconds"] is not None, name


def parts(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [e for e in report["extension"] if e["url"].endswith(":part")]
