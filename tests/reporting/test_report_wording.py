"""Sentences that a physician reads: values, units, reasons and counts, each said once."""

from __future__ import annotations

from typing import Any

import pytest
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.labs.v1 import lab_findings_pb2 as labs

from services.reporting.compose import compose
from services.reporting.draft import Draft
from tests.reporting.told import HH, H, L, N, case, coded, in_english, result

NO_RANGE = Refusal(reason="NO_RANGE_FOR_AGE", message="no range")
NOT_ONE = Refusal(reason="VALUE_NOT_NUMERIC", message="the value is not one number")


def conclusion(draft: Draft) -> str:
    return str(compose(draft).bundle["entry"][0]["resource"]["conclusion"])


def unread(name: str, value: str, why: Refusal) -> labs.LabResult:
    made = result(name, value, 0)
    made.not_interpreted.CopyFrom(why)
    return made


def risk(zh: str, *evidence: str, **more: Any) -> labs.Risk:
    return labs.Risk(risk_id="r", text_zh=zh, text_en=zh, evidence_ids=evidence, **more)


@pytest.mark.requirement("DX-REP-23")
def test_results_without_interpretation_are_grouped_by_reason() -> None:
    several = [unread("k", "4.9", NO_RANGE), unread("hgb", "112", NO_RANGE)]
    several.append(unread("alt", "阴性", NOT_ONE))
    said = conclusion(case(results=several))
    reason = "没有适用于该年龄的参考范围"
    assert said.count(reason) == 1
    assert f"未解读2项（{reason}）：钾 4.9 mmol/L、血红蛋白 112 g/L。" in said
    assert said.count("ALT 阴性") == 1
    english = conclusion(in_english(case(results=several)))
    assert "ALT 阴性 (negative)" in english and "Potassium 4.9 mmol/L, Haemoglobin" in english


@pytest.mark.requirement("DX-REP-23")
def test_normal_results_are_the_others_only_beside_abnormal_ones() -> None:
    k, hgb, alt = result("k", "4.1", N), result("hgb", "140", N), result("alt", "90", H)
    assert "2项均在参考范围内" in conclusion(case(results=[k, hgb]))
    assert "其余2项在参考范围内" in conclusion(case(results=[k, hgb, alt]))
    alone = conclusion(case(results=[k, hgb, unread("wbc", "9", NO_RANGE)]))
    assert "\n" in alone and "其余" not in alone and "均" not in alone
    assert "Within the reference range: all 2." in conclusion(in_english(case(results=[k, hgb])))


@pytest.mark.requirement("DX-REP-23")
def test_a_rule_that_names_no_value_gets_the_values_of_the_patient() -> None:
    troponin, k = result("tnt", "1250", H), result("k", "3.4", L)
    said = conclusion(case(results=[k, troponin], risks=[risk("≥52 ng/L：很可能。", "tnt-1250")]))
    assert "风险提示：高敏肌钙蛋白T 1250 ng/L↑：≥52 ng/L：很可能。" in said
    named = risk("钾 3.4 mmol/L，偏低。", "k-3.4")
    assert "风险提示：钾 3.4 mmol/L，偏低。" in conclusion(case(results=[k], risks=[named]))
    score = labs.Score(score_id="fib-4", display_zh="FIB-4", value="6.21")
    of_score = risk("FIB-4 6.21：升高。", "k-3.4", "fib-4")
    assert "风险提示：FIB-4 6.21：升高。" in conclusion(
        case(results=[k], scores=[score], risks=[of_score])
    )
    other = risk("高于13.4者。", "k-3.4")
    assert "钾 3.4 mmol/L↓：高于13.4者。" in conclusion(case(results=[k], risks=[other]))


@pytest.mark.requirement("DX-REP-22")
def test_sentences_of_rules_and_results_have_units_as_people_write_them() -> None:
    creatinine = result("creatinine", "412", HH)
    draft = case(
        results=[creatinine], risks=[risk("肌酐 412 umol/L，10*9/L，x10^9/L。", "creatinine-412")]
    )
    said = conclusion(draft)
    assert "umol" not in said and "412 µmol/L，×10^9/L，×10^9/L" in said
    [made] = coded(draft, "risk")["r"]
    assert "412 µmol/L" in made["valueString"]


@pytest.mark.requirement("DX-REP-23")
def test_what_the_results_say_against_a_rule_stands_in_its_line() -> None:
    shown = labs.Counterpoint(text_zh="肌酐正在变化。", text_en="It rises.", evidence_ids=["k-3.4"])
    caveat = labs.Counterpoint(text_zh="总是如此。", text_en="Always.")
    made = risk("钾 3.4。", "k-3.4", against=[shown, caveat])
    said = conclusion(case(results=[result("k", "3.4", L)], risks=[made]))
    assert "钾 3.4。但肌酐正在变化。" in said and "总是如此" not in said


@pytest.mark.requirement("DX-REP-23")
def test_a_vital_sign_that_results_and_note_have_is_told_once() -> None:
    pressure = labs.LabResult(
        observation_id="sbp",
        loinc_code="8480-6",
        display_zh="收缩压",
        value_text="88",
        unit_text="mm[Hg]",
        canonical_value="88",
        canonical_unit="mm[Hg]",
        category="vital-signs",
    )
    draft = case("现病史：黑便2天，呕血1次。查体：BP 88/52mmHg。", results=[pressure])
    [made] = coded(draft, "suggestion")["upper-gastrointestinal-bleeding"]
    assert made["valueString"].count("88") == 1
