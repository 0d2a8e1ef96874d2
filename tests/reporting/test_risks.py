"""Risks in the report: most pressing first, both sides shown, few lines, evidence referenced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.gateway.pdf import results
from services.gateway.profiles.conform import problems
from services.gateway.signing import Signature, sign
from services.kernel import fhir
from services.reporting.compose import compose
from services.reporting.draft import Draft, Kind
from services.reporting.words import Language

Made = Callable[..., Draft]


def risk(number: int, **more: Any) -> pb.Risk:
    kind = more.pop("kind", pb.RISK_KIND_FINDING)
    return pb.Risk(
        risk_id=f"r{number}",
        text_en=f"Statement {number}.",
        text_zh=f"提示{number}。",
        evidence_ids=["k"],
        source="A source",
        source_url="https://example.org/source",
        kind=kind,
        **more,
    )


def bundle(draft: Made, risks: Sequence[pb.Risk], language: Language = "en") -> dict[str, Any]:
    made = draft(language)
    part = next(p for p in made.parts if p.kind is Kind.LABS)
    found = pb.LabFindings(
        results=[pb.LabResult(observation_id="k", value_text="6.8", unit_text="mmol/L")],
        risks=risks,
    )
    return dict(compose(replace(made, parts=[replace(part, findings=found)])).bundle)


def of(made: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in made["entry"]]
    return [each for each in found if each["resourceType"] == kind]


def observations(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        each["code"]["coding"][0]["code"]: each
        for each in of(made, "Observation")
        if each["code"].get("coding", [{}])[0].get("system") == "urn:dxmesh:risk"
    }


@pytest.mark.requirement("DX-REP-20")
@pytest.mark.parametrize("language", ["zh", "en"])
def test_each_kind_becomes_its_resource_with_its_evidence(draft: Made, language: Language) -> None:
    more = {
        "priority": pb.RISK_PRIORITY_URGENT,
        "strength": pb.EVIDENCE_STRENGTH_WEAK,
        "next_en": "Repeat.",
        "next_zh": "复查。",
        "against": [pb.Counterpoint(text_en="But.", text_zh="然而。", evidence_ids=["k"])],
    }
    risks = [
        risk(1, **more),
        risk(2, kind=pb.RISK_KIND_RISK, **more),
        risk(3, kind=pb.RISK_KIND_ISSUE, **more),
    ]
    made = fhir.parse(fhir.dump(bundle(draft, risks, language)))
    assert fhir.problems(made) == []
    assert not any(problems(entry["resource"]) for entry in made["entry"])
    assert set(observations(made)) == {"r1", "r2", "r3"}
    [assessment], [issue] = of(made, "RiskAssessment"), of(made, "DetectedIssue")
    result = next(o for o in of(made, "Observation") if "valueQuantity" in o)
    place = {"reference": f"Observation/{result['id']}"}
    own = {"reference": f"Observation/{observations(made)['r2']['id']}"}
    assert assessment["basis"] == [own, place]
    assert issue["evidence"] == [{"detail": [place]}] and issue["severity"] == "high"
    said = "然而" if language == "zh" else "But"
    assert said in assessment["note"][1]["text"]
    assert any(said in note["text"] for note in observations(made)["r1"]["note"])
    [provenance] = of(made, "Provenance")
    assert {"reference": f"RiskAssessment/{assessment['id']}"} in provenance["target"]


@pytest.mark.requirement("DX-REP-20")
def test_the_most_pressing_come_first_and_the_conclusion_stays_short(draft: Made) -> None:
    risks = [risk(n, priority=pb.RISK_PRIORITY_ROUTINE) for n in range(20)]
    risks.append(risk(20, priority=pb.RISK_PRIORITY_URGENT))
    made = bundle(draft, risks)
    lines = of(made, "DiagnosticReport")[0]["conclusion"].split("\n")
    said = [line for line in lines if "Statement" in line]
    assert said[0].endswith("Statement 20.") and len(said) == 8
    assert "13 more" in lines[-1]
    assert next(iter(observations(made))) == "r20"
    assert len(results.risks(made, "en")) == 21


@pytest.mark.requirement("DX-REP-20")
def test_rules_that_contradict_show_both_sides(draft: Made) -> None:
    made = bundle(draft, [risk(1, contradicts=["r2", "gone"]), risk(2, contradicts=["r1"])])
    [issue] = of(made, "DetectedIssue")
    both = [f"Observation/{observations(made)[name]['id']}" for name in ("r1", "r2")]
    assert [each["reference"] for each in issue["implicated"]] == both
    assert all(f"Statement {number}." in issue["detail"] for number in (1, 2))
    assert "Statement 2." in observations(made)["r1"]["note"][0]["text"]
    rows = results.risks(made, "en")
    assert "Statement 1." in rows[1]["notes"][0]


@pytest.mark.requirement("DX-REP-20")
def test_what_rests_on_a_refused_risk_falls_with_it(draft: Made) -> None:
    made = bundle(draft, [risk(1, kind=pb.RISK_KIND_RISK), risk(2, kind=pb.RISK_KIND_RISK)])
    refused, agreed = (observations(made)[name]["id"] for name in ("r1", "r2"))
    signature = Signature(
        practitioner_id="p",
        display="Dr",
        identifier="",
        signed_at="2026-11-20T08:00:00Z",
        amendment=False,
        language="en",
        comment="",
        verdicts={refused: ("disagree", ""), agreed: ("agree", "")},
    )
    signed = sign(made, signature, {})
    statuses = [each["status"] for each in of(signed, "RiskAssessment")]
    assert statuses == ["entered-in-error", "final"]
