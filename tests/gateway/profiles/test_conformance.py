"""What is emitted conforms to our profiles, and a resource that does not is found out."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.gateway import attachments, signing
from services.gateway.profiles.conform import problems, problems_under
from services.gateway.profiles.definitions import profiles, terminology, url_of
from services.gateway.progress import Case, Step, stop, task, with_step
from services.gateway.web import reading
from services.kernel import fhir

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "tests" / "reporting" / "data"
UNCLAIMED = {"Binary", "Patient", "ServiceRequest", "ImagingStudy", "Practitioner"}


def report(language: str = "en") -> dict[str, Any]:
    return dict(fhir.parse((SAMPLES / f"report_bundle_{language}.json").read_bytes()))


def signed(language: str, *, amendment: bool = False) -> dict[str, Any]:
    bundle = report(language)
    texts = reading.finding_texts(bundle)
    verdicts = ["agree", "disagree", "edit"]
    signature = signing.Signature(
        practitioner_id="doctor-1",
        display="Dr Fictional",
        identifier="urn:test|7",
        signed_at="2026-11-25T10:00:00.000Z",
        amendment=amendment,
        language=language,
        comment="read",
        verdicts={
            key: (verdicts[n % 3], "smaller" if n % 3 == 2 else "") for n, key in enumerate(texts)
        },
    )
    made = signing.sign(bundle, signature, texts)
    return attachments.with_pdf(made, "case-1", b"%PDF-1.7 test")


def resources(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"]]


@pytest.mark.requirement("DX-PRO-01")
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("make", [report, signed], ids=["unreviewed", "signed"])
def test_every_resource_of_a_report_conforms(
    language: str, make: Callable[[str], dict[str, Any]]
) -> None:
    names = {url_of(name) for name in profiles()}
    for resource in resources(make(language)):
        if resource["resourceType"] not in UNCLAIMED:
            assert set(resource["meta"]["profile"]) <= names
            assert resource["meta"]["profile"], resource["resourceType"]
        assert problems(resource) == [], resource["resourceType"]


UNMET = {
    *("report", "ai-observation", "none-found", "suggestions-insufficient", "reconciliation"),
    "critical-notice",
}
"""Abstract, or what the sample case has no reason for; other tests hold the latter."""


@pytest.mark.requirement("DX-PRO-01")
def test_every_profile_of_a_resource_is_met_by_a_sample() -> None:
    bundles = [report("en"), report("zh"), signed("en"), signed("zh", amendment=True)]
    made = [resource for bundle in bundles for resource in resources(bundle)]
    claimed = {url for each in made for url in each.get("meta", {}).get("profile", [])}
    claimed |= {url for each in cases() for url in each["meta"]["profile"]}
    wanted = {
        url_of(name)
        for name, made in profiles().items()
        if made["type"] != "Extension" and name not in UNMET
    }
    assert claimed >= wanted


def cases() -> list[dict[str, Any]]:
    new = Case("north", "case-1", received_us=1_790_000_000_000_000)
    label = {
        "patient_reference": "Patient/p",
        "based_on": "ServiceRequest/o",
        "report": "DiagnosticReport/r",
        "problems": [{"source": "1.dcm", "reason": "NOT_DICOM", "message": "no DICOM"}],
    }
    running = replace(new, label=label)
    for step in (
        Step("received", "done", 1, 2),
        Step("imaging-1", "declined", 3, 4, "NO_LUNG"),
        Step("labs-1", "running", 5),
    ):
        running = with_step(running, step)
    return [task(new), task(running), task(stop(new, "rejected", "CONSENT_DENIED", "no consent"))]


@pytest.mark.requirement("DX-PRO-01")
def test_the_task_of_a_case_conforms() -> None:
    for made in cases():
        assert problems(made) == []
        assert fhir.problems(made) == []


Change = Callable[[dict[str, Any]], object]

BROKEN: list[tuple[str, str, Change, str]] = [
    ("report-unreviewed", "final", lambda r: r.update(status="final"), ".status"),
    (
        "report-unreviewed",
        "interpreter",
        lambda r: r.update(resultsInterpreter=[{"reference": "Practitioner/1"}]),
        ".resultsInterpreter",
    ),
    (
        "report-unreviewed",
        "asserted by a clinician",
        lambda r: r["meta"]["security"][0].update(code="CLINAST"),
        ".meta.security",
    ),
    ("report-unreviewed", "no label", lambda r: r["meta"].pop("security"), ".meta.security"),
    ("report-unreviewed", "no inline label", lambda r: r.pop("_conclusion"), ".conclusion"),
    (
        "report-unreviewed",
        "no conclusion",
        lambda r: [r.pop("conclusion"), r.pop("_conclusion")],
        ".conclusion",
    ),
    (
        "report-unreviewed",
        "a Device performs",
        lambda r: r.update(performer=[{"reference": "Device/1"}]),
        ".performer",
    ),
    (
        "report-unreviewed",
        "a part without outcome",
        lambda r: r["extension"][1]["extension"].pop(2),
        ":part.extension:outcome",
    ),
    (
        "report-unreviewed",
        "an outcome nobody knows",
        lambda r: r["extension"][1]["extension"][2].update(valueCode="fine"),
        ":outcome.value[x]",
    ),
    (
        "report-unreviewed",
        "a version of another type",
        lambda r: r["extension"].__setitem__(
            0, {"url": r["extension"][0]["url"], "valueString": "1"}
        ),
        ":version.value[x]",
    ),
    (
        "report-unreviewed",
        "two versions",
        lambda r: r["extension"].append(r["extension"][0]),
        ":version",
    ),
    (
        "report-unreviewed",
        "about a Group",
        lambda r: r.update(subject={"reference": "Group/1"}),
        ".subject",
    ),
    (
        "finding",
        "no certainty",
        lambda r: r["component"].pop(4),
        ".component:certainty",
    ),
    (
        "finding",
        "inches",
        lambda r: r["component"][0]["valueQuantity"].update(code="[in_i]"),
        ".component:longAxis.value[x]",
    ),
    ("finding", "no verdict asked", lambda r: r["meta"].pop("tag"), ".meta.tag:review"),
    ("finding", "no model", lambda r: r.pop("device"), ".device"),
    ("finding", "no place", lambda r: r["extension"].pop(0), ".extension:location"),
    (
        "finding",
        "followed by nothing",
        lambda r: r["extension"][1]["extension"].pop(0),
        ":tracking.extension:trackingUid",
    ),
    (
        "finding",
        "pneumonia",
        lambda r: r["valueCodeableConcept"]["coding"][0].update(code="233604007"),
        ".value[x]",
    ),
    (
        "result",
        "a flag of another system",
        lambda r: r["interpretation"][0]["coding"][0].update(system="urn:else"),
        ".interpretation",
    ),
    ("model", "a scanner", lambda r: r["type"]["coding"][0].update(code="CT"), ".type"),
    ("provenance", "no card", lambda r: r["entity"].pop(), ".entity:card"),
    (
        "provenance",
        "a person",
        lambda r: r["agent"][0].update(who={"reference": "Practitioner/1"}),
        ".agent.who",
    ),
    (
        "key-image",
        "half a window",
        lambda r: r["extension"][0]["extension"].pop(),
        ":window.extension:widthHu",
    ),
    ("derived-object", "no UIDs", lambda r: r.pop("extension"), ".extension:object"),
    ("series-answer", "no sentence", lambda r: r.pop("note"), ".note"),
    ("note-summary", "a number", lambda r: r.update(valueQuantity=r.pop("valueString")), "value"),
]


@pytest.mark.requirement("DX-PRO-02")
@pytest.mark.parametrize(
    ("profile", "change", "path"),
    [(profile, change, path) for profile, _, change, path in BROKEN],
    ids=[f"{profile}: {what}" for profile, what, _, _ in BROKEN],
)
def test_what_breaks_a_profile_is_found(profile: str, change: Change, path: str) -> None:
    url = url_of(profile)
    candidates = [r for r in resources(report()) if url in r.get("meta", {}).get("profile", [])]
    sample = next(r for r in candidates if profile != "result" or "interpretation" in r)
    broken = copy.deepcopy(sample)
    change(broken)
    assert problems(sample) == []
    assert any(path in violation.path for violation in problems(broken)), problems(broken)


@pytest.mark.requirement("DX-PRO-02")
def test_a_signed_report_needs_its_physician() -> None:
    made = resources(signed("en"))[0]
    assert made["meta"]["profile"] == [url_of("report-signed")]
    made.pop("resultsInterpreter")
    assert [v.path for v in problems(made)] == ["DiagnosticReport.resultsInterpreter"]


def test_a_profile_is_for_its_type() -> None:
    assert problems_under({"resourceType": "Patient"}, "finding")
    assert problems({"resourceType": "Patient", "meta": {"profile": ["urn:else"]}}) == []


@pytest.mark.requirement("DX-PRO-03")
def test_the_definitions_are_fhir_and_name_what_is_there() -> None:
    urls = [made["url"] for made in [*profiles().values(), *terminology()]]
    assert len(set(urls)) == len(urls)
    sets = {made["url"] for made in terminology() if made["resourceType"] == "ValueSet"}
    for made in [*profiles().values(), *terminology()]:
        assert fhir.problems(made) == [], made["url"]
    for made in profiles().values():
        paths = [element["id"] for element in made["differential"]["element"]]
        assert len(set(paths)) == len(paths)
        for element in made["differential"]["element"]:
            if "binding" in element:
                assert element["binding"]["valueSet"] in sets
            for kind in element.get("type", []):
                assert set(kind.get("profile", [])) <= set(urls)


@pytest.mark.requirement("DX-PRO-03")
def test_the_page_and_the_file_are_current() -> None:
    path = ROOT / "docs" / "make_profiles.py"
    spec = importlib.util.spec_from_file_location("make_profiles", path)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    again = "run: python docs/make_profiles.py"
    assert (ROOT / "docs" / "profiles.md").read_text("utf-8") == made.page(), again
    assert (ROOT / "docs" / "profiles.json").read_bytes() == made.bundle(), again
