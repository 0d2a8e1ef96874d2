"""What a laboratory result says of itself beside its flag reaches the reader."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.kernel import fhir
from services.reporting.compose import compose
from services.reporting.draft import Draft


def observation(draft: Draft, result: pb.LabResult, name: str) -> dict[str, Any]:
    (part,) = (each for each in draft.parts if each.part_id == "labs-1")
    found = part.findings
    assert isinstance(found, pb.LabFindings)
    for field in (found.results, found.scores, found.risks):
        del field[:]
    found.results.append(result)
    made = fhir.parse(fhir.dump(compose(draft).bundle))
    assert fhir.problems(made) == []
    resources = [entry["resource"] for entry in made["entry"]]
    (one,) = (r for r in resources if r.get("code", {}).get("text") == name)
    return dict(one)


@pytest.mark.requirement("DX-LDU-07")
def test_remarks_become_notes_and_an_own_code_stands_where_loinc_has_none(
    draft: Callable[..., Draft],
) -> None:
    result = pb.LabResult(
        observation_id="lab-1",
        analyte_id="gastrin-17",
        display_zh="胃泌素17",
        display_en="Gastrin 17",
        value_text=">40",
        unit_text="pmol/L",
        comparator=">",
        canonical_unit="pmol/L",
        canonical_low="40",
        flag=pb.FLAG_HIGH,
        matched_by=pb.MATCHED_BY_NAME,
        remarks=[Refusal(reason="RESULT_IN_FUTURE"), Refusal(reason="CRITICAL_NOT_EXCLUDED")],
    )
    made = observation(draft("zh"), result, "胃泌素17")
    assert made["code"]["coding"] == [{"system": "urn:dxmesh:analyte", "code": "gastrin-17"}]
    assert made["valueQuantity"]["comparator"] == ">"
    notes = " ".join(each["text"] for each in made["note"])
    assert "晚于接收时间" in notes and "不能排除危急值" in notes


@pytest.mark.requirement("DX-LAB-130")
@pytest.mark.parametrize(
    ("language", "beside", "whole"),
    [
        ("zh", "检验科备注:标本溶血", "检验科对标本或申请的备注:hemolyzed(检验科注明标本溶血"),
        ("en", "The laboratory wrote: 标本溶血", "specimen: hemolyzed (the laboratory noted haemo"),
    ],
)
def test_what_the_laboratory_wrote_stands_beside_the_result_and_in_the_conclusion(
    draft: Callable[..., Draft], language: str, beside: str, whole: str
) -> None:
    result = pb.LabResult(
        observation_id="lab-1",
        display_zh="钾",
        display_en="Potassium",
        value_text="6.8",
        unit_text="mmol/L",
        flag=pb.FLAG_CRITICAL_HIGH,
        comments=["标本溶血"],
        remarks=[Refusal(reason="RESULT_CORRECTED")],
    )
    whole_draft = draft(language)
    (part,) = (each for each in whole_draft.parts if each.part_id == "labs-1")
    assert isinstance(part.findings, pb.LabFindings)
    said = pb.LabComment(text="hemolyzed", observation_ids=["lab-1"])
    said.remarks.add(reason="SPECIMEN_HAEMOLYSED")
    part.findings.comments.append(said)
    made = observation(whole_draft, result, "钾" if language == "zh" else "Potassium")
    notes = unicodedata.normalize("NFKC", " ".join(each["text"] for each in made["note"]))
    assert beside in notes and ("更正" in notes or "correction" in notes)
    bundle = fhir.dump(compose(whole_draft).bundle).decode()
    assert whole in unicodedata.normalize("NFKC", bundle)


@pytest.mark.requirement("DX-LDU-07")
@pytest.mark.parametrize(
    ("language", "source", "shown"),
    [
        ("zh", "the laboratory's own range", "检验科所附参考范围"),
        ("en", "the laboratory's own range", "the laboratory's own range"),
        ("zh", "WS/T 405-2012", "WS/T 405-2012"),
    ],
)
def test_that_a_range_is_the_laboratorys_is_said_in_the_readers_language(
    draft: Callable[..., Draft], language: str, source: str, shown: str
) -> None:
    result = pb.LabResult(
        observation_id="lab-1",
        **{"display_zh": "钾", "display_en": "钾", "value_text": "4.1", "unit_text": "mmol/L"},
        **{"canonical_value": "4.1", "canonical_unit": "mmol/L", "range_source": source},
        **{"range_low": "3.5", "range_high": "5.3"},
    )
    made = observation(draft(language), result, "钾")
    assert made["referenceRange"][0]["text"] == shown


@pytest.mark.requirement("DX-LDU-07")
def test_a_panel_is_no_result_that_was_not_interpreted(draft: Callable[..., Draft]) -> None:
    """It stands in the report, and the conclusion has nothing to say of it."""
    made = draft("en")
    (part,) = (each for each in made.parts if each.part_id == "labs-1")
    assert isinstance(part.findings, pb.LabFindings)
    for field in (part.findings.results, part.findings.scores, part.findings.risks):
        del field[:]
    part.findings.results.append(
        pb.LabResult(observation_id="lab-1", not_interpreted=Refusal(reason="PANEL"))
    )
    part.findings.results.append(
        pb.LabResult(observation_id="lab-2", display_en="Potassium", flag=pb.FLAG_NORMAL)
    )
    resources = [e["resource"] for e in fhir.parse(fhir.dump(compose(made).bundle))["entry"]]
    conclusion = resources[0]["conclusion"]
    assert (
        "Not interpreted" not in conclusion and "Within the reference range: all 1." in conclusion
    )
    assert any("lab-1" in str(r.get("code", {}).get("text")) for r in resources)
