"""Emergencies that must not be missed, and what must not be made of harmless results."""

from __future__ import annotations

from typing import Any

import pytest

from services.labs.panel import Subject
from services.labs.rules import engine, examples
from services.labs.scores import catalogue, meanings

RULES = engine.default()
KETOACIDOSIS = {"glucose": 26, "hco3": 12, "ph": 7.15}
PREGNANT = {"sex": "female", "age": 31, "pregnant": True}


def found(example: dict[str, Any], subject: Subject | None = None) -> dict[str, engine.Risk]:
    results, scores, own = examples.panel(example)
    return {risk.risk_id: risk for risk in RULES.find(results, scores, subject or own)}


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize(
    ("risk_id", "example"),
    [
        ("preeclampsia-organ", {"plt": 82, "ldh": 700, **PREGNANT}),
        ("preeclampsia-organ", {"alt": 120, **PREGNANT}),
        ("preeclampsia-organ", {"ast": 120, **PREGNANT}),
        ("glucose-very-high", {"glucose": 33.3}),
        ("glucose-very-high", {"glucose-fasting": 40}),
        ("dka", {**KETOACIDOSIS, "urine-ketones": "2+"}),
        ("dka", {**KETOACIDOSIS, "urine-ketones": "强阳性"}),
        ("dka-severe", {"glucose": 26, "co2": 8, "urine-ketones": "3+"}),
        ("dka-euglycaemic", {"glucose": 9, "ph-venous": 7.2, "urine-ketones": "3+"}),
        ("troponin-high-once", {"hs-troponin-t": [[0, 38], [1, 39]]}),
        ("troponin-high-once", {"hs-troponin-t": [[0, 38], [200, 39]]}),
        ("troponin-rising", {"hs-troponin-t": [[0, 90], [6, 12]]}),
        ("troponin-rising", {"hs-troponin-i": [[0, 90], [6, 20]], "uln(hs-troponin-i)": 26}),
        ("troponin-rising", {"hs-troponin-t": [[0, 20], [8, 68]]}),
        ("troponin-very-high", {"hs-troponin-i": 140, "uln(hs-troponin-i)": 26}),
        ("hypocalcaemia-severe", {"ca": 1.7}),
        ("hypercalcaemia-severe", {"ca": 3.6}),
        ("calcium-ionized-high", {"ca-ionized": 1.6}),
        ("hbsag-borderline", {"hbsag": "±", **PREGNANT}),
        ("hiv-screen-reactive", {"hiv-screen": "可疑"}),
        ("pregnancy-possible", {"hcg-serum": "弱阳性", "sex": "female", "age": 30}),
        ("aki-stage-3", {"creatinine": [[0, 240], [120, 370]]}),
        ("crp-marked", {"hs-crp": 150}),
        ("tumour-lysis-laboratory", {"urate": 500, "phosphate": 1.5, "ldh": 900}),
        ("tumour-lysis-laboratory", {"urate": 500, "k": 6.1}),
        (
            "tumour-lysis-laboratory",
            {"urate": 500, "k": 6.1, "blasts-pct": 40, "score:egfr-ckd-epi-2021": 20},
        ),
        ("tumour-lysis-child", {"urate": 560, "ca": 1.6, "age": 6}),
        ("tumour-lysis-child", {"k": 6.4, "ca": 1.6, "age": 6}),
        ("hhs", {"glucose": 40, "na": 135}),
        ("hbv-treatment-china", {"hbsag": "positive", "hbv-dna": 600, "alt": 20, "age": 45}),
        ("bile-acids-fasting-pregnancy", {"bile-acids": 12, **PREGNANT}),
        ("pregnancy-anaemia-by-trimester", {"hgb": 107, **PREGNANT}),
        ("iron-overload", {"ferritin": 250, "tsat": 47, "sex": "female", "age": 30}),
        ("hypothyroidism-overt", {"tsh": 3.9, "uln(tsh)": 3.5, "ft4": 5, "lln(ft4)": 10}),
    ],
)
def test_it_is_not_missed(risk_id: str, example: dict[str, Any]) -> None:
    assert risk_id in found(example)


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize(
    ("risk_id", "example"),
    [
        ("preeclampsia-organ", {"alt": 30, "ast": 30, "ldh": 700, **PREGNANT}),
        ("glucose-very-high", {"glucose": 36, "osmolality": 350}),
        ("dka", {**KETOACIDOSIS, "urine-ketones": "1+"}),
        ("dka", {**KETOACIDOSIS, "urine-ketones": "弱阳性"}),
        ("dka-severe", {"glucose": 26, "ph": 7.2, "hco3": 14, "urine-ketones": "3+", "k": 3.1}),
        ("troponin-stable", {"hs-troponin-t": [[0, 38], [1, 39]]}),
        ("troponin-stable", {"hs-troponin-t": [[0, 38], [200, 39]]}),
        ("troponin-rising", {"hs-troponin-t": [[0, 12], [6, 5]]}),
        ("hypocalcaemia-severe", {"ca": 1.75, "score:corrected-calcium": 2.2}),
        ("hypocalcaemia-severe", {"ca": 1.75, "ca-ionized": 1.2}),
        ("hiv-screen-reactive", {"hiv-screen": "阴性"}),
        ("crp-raised", {"hs-crp": 6}),
        ("tumour-lysis-laboratory", {"urate": 500, "phosphate": 1.5}),
        ("tumour-lysis-clinical", {"urate": 500, "phosphate": 1.6, "creatinine": 300}),
        ("hhs", {"glucose": 34, "na": 128}),
        ("iron-overload", {"ferritin": 250, "tsat": 60, "sex": "female", "age": 60}),
        ("iron-overload", {"ferritin": 400, "tsat": 47, "sex": "male"}),
        ("hypothyroidism-overt", {"tsh": 4.5, "uln(tsh)": 5.5, "ft4": 5, "lln(ft4)": 10}),
        ("hbv-treatment-china", {"hbsag": "positive", "hbv-dna": 90000, "alt": 120}),
    ],
)
def test_nothing_is_made_of_it(risk_id: str, example: dict[str, Any]) -> None:
    assert risk_id not in found(example)


EMERGENCIES = [
    ("hyperkalaemia-severe", {"k": 6.8}),
    ("hyponatraemia-profound", {"na": 118}),
    ("acidaemia-severe", {"ph": 7.0}),
    ("hypoxaemia", {"po2": 48}),
    ("lactate-shock", {"lactate": 6}),
    ("procalcitonin-severe", {"procalcitonin": 20}),
    ("inr-bleeding-risk", {"inr": 6}),
    ("acute-liver-failure", {"inr": 2, "alt": 900, "bilirubin": 180}),
    ("pancreatitis-acute", {"lipase": 900, "uln(lipase)": 60}),
    ("rhabdomyolysis-kidney-risk", {"ck": 9000}),
    ("troponin-very-high", {"hs-troponin-t": 80}),
]


@pytest.mark.requirement("DX-LAB-09")
@pytest.mark.parametrize(("risk_id", "example"), EMERGENCIES)
def test_emergencies_are_those_of_the_pregnant_too(risk_id: str, example: dict[str, Any]) -> None:
    assert risk_id in found({**example, **PREGNANT})


@pytest.mark.requirement("DX-LAB-09")
@pytest.mark.parametrize(("risk_id", "example"), EMERGENCIES)
def test_without_an_age_emergencies_hold_and_say_so(risk_id: str, example: dict[str, Any]) -> None:
    risk = found(example, Subject("male", None))[risk_id]
    assert risk.against[-1].text_zh == "年龄未注明：按成人界值判断。"
    assert all("Age is not stated" not in p.text_en for p in found(example)[risk_id].against)


@pytest.mark.requirement("DX-LAB-09")
@pytest.mark.parametrize(("risk_id", "example"), EMERGENCIES)
def test_children_are_not_held_to_limits_of_adults(risk_id: str, example: dict[str, Any]) -> None:
    assert risk_id not in found({**example, "age": 3})


@pytest.mark.requirement("DX-LAB-09")
def test_every_urgent_rule_of_adults_is_one_of_the_pregnant_too() -> None:
    urgent = [rule for rule in RULES.rules if rule.priority == "urgent"]
    assert not [rule.risk_id for rule in urgent if rule.population == "adult"]


@pytest.mark.requirement("DX-LAB-12")
def test_a_statement_shows_the_value_that_it_rests_on() -> None:
    assert "3.6 mmol/L" in found({"ca": 3.6})["hypercalcaemia-severe"].text_en
    assert "150 mg/L" in found({"hs-crp": 150})["crp-marked"].text_zh


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize("score_id", ["anion-gap", "albumin-corrected-anion-gap"])
def test_an_anion_gap_of_14_is_not_called_raised(score_id: str) -> None:
    bands = catalogue.CATALOGUE[score_id].bands
    assert "16" in str(bands[-1]) and "raised" in str(bands[-1])


@pytest.mark.requirement("DX-LAB-10")
def test_gradient_is_held_against_its_expected_value_on_room_air_alone() -> None:
    assert "room air only" in meanings.a_a_gradient_category(300, [90, 40, 60, 50])[0]
    assert "above" in meanings.a_a_gradient_category(30, [90, 40, 21, 50])[0]
