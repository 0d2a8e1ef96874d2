"""A physician signs a real case in a real Chromium, and what that makes of the report."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dxmesh.event.v1.feedback_given_pb2 import (
    VERDICT_AGREE,
    VERDICT_DISAGREE,
    VERDICT_EDIT,
    FeedbackGiven,
)

from services.cli import accounts
from services.cli.mesh import ROOT
from services.kernel.subjects import FEEDBACK_STREAM
from tests.flow import places
from tests.flow.reviewing import Physician
from tests.flow.running import SAMPLES, Running

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAPERS = [SAMPLES / f"{name}.json" for name in ("patient", "consent", "service_request")]
PICTURES = ROOT / "tests" / "output"


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A page of a real Chromium; a console error or warning fails the test that caused it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-GB")
        opened.set_default_timeout(15_000)
        opened.problems = []
        opened.on(
            "console",
            lambda m: opened.problems.append(m.text) if m.type in ("error", "warning") else None,
        )
        yield opened
        browser.close()


@pytest.fixture(scope="module")
def signed(running: Running, page: Any) -> str:
    """The id of a case that was signed with the mouse and the keyboard."""
    note = SAMPLES / "notes" / "admission_en.txt"
    images = SAMPLES / "ct"
    case_id = running.submit(*PAPERS, SAMPLES / "labs", images, note, priority="stat")
    running.wait_for(case_id)
    known = accounts.read(running.state.root)
    page.goto(f"{running.mesh.url}/cases/{case_id}")
    page.fill("#name", known.physician)
    page.fill("#password", known.physician_password)
    page.press("#password", "Enter")
    page.wait_for_selector(".mark")
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / "flow_case.png")
    page.click(".acknowledge")
    page.wait_for_selector("#critical:not(.open)")
    assert page.locator(".mark").count() == 1
    page.keyboard.press("o")
    assert not page.locator(".mark").first.is_visible()
    page.keyboard.press("o")
    count = page.locator(".finding").count()
    page.locator("#finding-1 .edit").click()
    page.fill("#correction-1", "mass of the left lower lobe")
    page.locator("#finding-2 .disagree").click()
    for number in range(3, count + 1):
        page.locator(f"#finding-{number} .agree").click()
    page.fill("#comment", "compare with the CT of 2025")
    page.fill("#password", known.physician_password)
    page.click("#sign-button")
    page.wait_for_selector("#amend")
    page.screenshot(path=PICTURES / "flow_signed.png")
    assert page.problems == []
    return case_id


@pytest.mark.requirement("DX-WEB-01")
def test_a_signature_in_the_browser_makes_the_report_final(running: Running, signed: str) -> None:
    report = running.report(signed)
    assert report["status"] == "final"
    (physician,) = report["resultsInterpreter"]
    assert physician["display"] == "Demo Physician (fictional)"
    known = running.ehr.get(f"/fhir/{physician['reference']}")
    assert known["identifier"][0]["value"] == "physician-1"
    labels = [label["code"] for label in report["meta"]["security"]]
    assert "CLINAST" in labels and "AIAST" not in labels
    assert "for reference only" not in report["conclusion"].split("\n")[0].lower()
    found = running.ehr.get(f"/fhir/Provenance?target=DiagnosticReport/{report['id']}")
    agents = [a for e in found["entry"] for a in e["resource"]["agent"]]
    kinds = [c["code"] for a in agents for c in a.get("type", {}).get("coding", [])]
    assert "verifier" in kinds


@pytest.mark.requirement("DX-CRI-06")
def test_the_critical_value_was_read_by_name(running: Running, signed: str) -> None:
    found = running.ehr.get(
        f"/fhir/Communication?part-of=Task/{signed}&status=completed&category=alert"
    )
    told = [entry["resource"] for entry in found["entry"]]
    assert told and all(one["received"] >= one["sent"] for one in told)
    reader = told[0]["recipient"][-1]
    assert reader["display"] == "Demo Physician (fictional)"
    known = running.ehr.get(f"/fhir/{reader['reference']}")
    assert known["identifier"][0]["value"] == "physician-1"
    waiting = running.ehr.get(f"/fhir/Communication?part-of=Task/{signed}&status=in-progress")
    assert waiting["total"] == 0


@pytest.mark.requirement("DX-WEB-02")
def test_each_verdict_stands_at_its_finding_and_went_out_as_feedback_once(
    running: Running, signed: str, tmp_path: Path
) -> None:
    ids = Physician(running).findings(signed)
    first, second = (running.ehr.get(f"/fhir/Observation/{each}") for each in ids[:2])
    listed = [each["reference"] for each in running.report(signed)["result"]]
    assert f"Observation/{ids[0]}" in listed and f"Observation/{ids[1]}" not in listed
    assert first["status"] == "amended"
    assert "mass of the left lower lobe" in str(first["note"])
    assert second["status"] == "entered-in-error"
    stored = places.stored(running, tmp_path / "copy", FEEDBACK_STREAM)
    events = [FeedbackGiven.FromString(message.data) for _, message in stored]
    given = [event for event in events if event.case.case_id == signed and event.version == 1]
    assert sorted(event.finding_id for event in given) == sorted(ids)
    verdicts = {event.finding_id: event.verdict for event in given}
    assert [verdicts[each] for each in ids] == [
        VERDICT_EDIT,
        VERDICT_DISAGREE,
        *[VERDICT_AGREE] * (len(ids) - 2),
    ]
    assert {event.correction for event in given} == {"", "mass of the left lower lobe"}
    assert all(event.model_name and event.model_version for event in given)


@pytest.mark.requirement("DX-WEB-01")
def test_the_pdf_of_a_signed_report_names_who_signed(
    running: Running, signed: str, tmp_path: Path
) -> None:
    pypdf = pytest.importorskip("pypdf")
    form = running.report(signed)["presentedForm"][0]
    path = tmp_path / "report.pdf"
    address = form["url"].removeprefix(running.mesh.url).removeprefix("/fhir/")
    path.write_bytes(running.ehr.content(f"/fhir/{address}", "application/pdf"))
    text = "".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    assert "Demo Physician (fictional)" in text and "Not signed" not in text


@pytest.mark.requirement("DX-WEB-04")
def test_a_signed_version_is_locked(running: Running, signed: str, page: Any) -> None:
    assert page.locator(".verdict:not([disabled])").count() == 0
    before = running.report(signed)
    answer = Physician(running).sign(signed, comment="as if it were not signed", amends="0")
    assert answer.status_code == 409
    after = running.report(signed)
    assert (after["status"], after["conclusion"]) == (before["status"], before["conclusion"])


@pytest.mark.requirement("DX-WEB-03")
def test_a_later_change_is_an_amendment(running: Running, signed: str) -> None:
    before = running.report(signed)
    answer = Physician(running).sign(signed, comment="the comment was wrong", query="?amend")
    assert answer.status_code == 303
    after = running.report(signed)
    assert after["id"] == before["id"] and after["status"] == "amended"
    version = before["meta"]["versionId"]
    kept = running.ehr.get(f"/fhir/DiagnosticReport/{before['id']}/_history/{version}")
    assert kept["status"] == "final" and kept["conclusion"] == before["conclusion"]
