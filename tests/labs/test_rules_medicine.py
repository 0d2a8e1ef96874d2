"""What rules say of real constellations: the patient's value, one voice for one thing, sources."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.labs import panel
from services.labs.findings import findings
from services.labs.rules import engine, examples, schema
from services.labs.scores.catalogue import CATALOGUE

RULES = engine.default()


def found(example: dict[str, Any]) -> dict[str, engine.Risk]:
    return {risk.risk_id: risk for risk in RULES.find(*examples.panel(example))}


@pytest.mark.requirement("DX-LAB-12")
def test_of_several_values_the_one_is_shown_that_the_rule_speaks_of() -> None:
    assert "150 mg/L" in found({"crp": 4, "hs-crp": 150})["crp-marked"].text_en


@pytest.mark.requirement("DX-LAB-12")
def test_troponin_that_was_below_the_limit_of_detection_has_risen() -> None:
    def troponin(value: object, hour: int) -> dict[str, object]:
        return {
            "id": f"t{hour}",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "67151-1"}]},
            "effectiveDateTime": f"2026-11-20T{hour:02}:00:00Z",
            "valueQuantity": value,
        }

    first = troponin({"comparator": "<", "value": 5, "unit": "ng/L"}, 8)
    later = troponin({"value": 1250, "unit": "ng/L"}, 11)
    part = {"subject": {"sex": "male", "age_years": 58}, "observations": [first, later]}
    risks = {r.risk_id: r for r in findings(panel.read(json.dumps(part).encode())).risks}
    assert "troponin-rising" in risks


@pytest.mark.requirement("DX-LAB-12")
def test_a_source_says_whether_it_was_opened() -> None:
    sources = [source for rule in RULES.rules for source in rule.sources]
    assert not [s for s in sources if s.opened and not s.opened.startswith("2026-")]
    assert not [d for d in CATALOGUE.values() if d.opened and not d.opened.startswith("2026-")]


@pytest.mark.requirement("DX-LAB-14")
def test_a_field_that_no_source_has_is_named() -> None:
    text = 'topic = "t"\nname_en = "T"\nname_zh = "题"\n[sources]\ns = { text = "A", url = "b" }\n'
    with pytest.raises(schema.InvalidInput) as caught:
        schema.read(text, "t.toml")
    assert "t.toml: sources.s" in [violation.path for violation in caught.value.violations]


PREGNANT = {"sex": "female", "age": 31, "pregnant": True}


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize(
    ("risk_id", "words", "example"),
    [
        ("troponin-very-high", "1250 ng/L", {"hs-troponin-t": 1250}),
        ("troponin-very-high", "0.9 ng/mL", {"troponin-i": 0.9, "uln(troponin-i)": 0.04}),
        ("troponin-high-once", "30 ng/L", {"hs-troponin-t": 30}),
        ("troponin-rising", "180 ng/L", {"hs-troponin-t": [[0, 30], [6, 180]]}),
        (
            "troponin-stable",
            "62 ng/L",
            {"hs-troponin-i": [[0, 60], [3, 62]], "uln(hs-troponin-i)": 26},
        ),
        ("hypoglycaemia-level-2", "2.2 mmol/L", {"glucose": 2.2}),
        ("hypoglycaemia-level-1", "3.5 mmol/L", {"glucose-fasting": 3.5}),
        ("hypocalcaemia-severe", "1.6", {"ca": 1.6}),
        ("pancreatitis-acute", "900 U/L", {"amylase": 900, "uln(amylase)": 120}),
        ("pancreatitis-severe-course", "14", {"lipase": 900, "uln(lipase)": 60, "urea": 14}),
        ("preeclampsia-organ", "130", {"creatinine": 130, **PREGNANT}),
        ("gestational-diabetes", "5.5 mmol/L", {"glucose-fasting": 5.5, **PREGNANT}),
        ("pregnancy-overt-diabetes", "8.2", {"glucose-fasting": 8.2, **PREGNANT}),
    ],
)
def test_a_statement_carries_the_patients_value(
    risk_id: str, words: str, example: dict[str, Any]
) -> None:
    risk = found(example)[risk_id]
    assert words in risk.text_en and words in risk.text_zh


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize(
    ("spoken", "silent", "example"),
    [
        ("dka-severe", "dka", {"glucose": 26, "urine-ketones": "3+", "ph": 6.9, "hco3": 5}),
        ("lactic-acidosis", "lactate-shock", {"lactate": 8, "ph": 7.1}),
        ("acute-liver-failure", "hys-law", {"inr": 2, "alt": 900, "bilirubin": 180, "alp": 90}),
        ("tma-possible", "thrombocytopenia-severe", {"plt": 14, "schistocytes": "+", "ldh": 1200}),
        ("dic-possible", "thrombocytopenia-moderate", {"plt": 42, "inr": 1.9, "fibrinogen": 0.8}),
        ("neutropenia-with-inflammation", "neutropenia-moderate", {"neut": 0.7, "crp": 160}),
        (
            "aki-stage-3",
            "egfr-g5",
            {"creatinine": [[0, 90], [48, 480]], "score:egfr-ckd-epi-2021": 11},
        ),
        (
            "hyponatraemia-by-glucose",
            "hyponatraemia-moderate",
            {"na": 126, "glucose": 40, "score:corrected-sodium": 140.8},
        ),
        (
            "hyponatraemia-beside-glucose",
            "hyponatraemia-profound",
            {"na": 118, "glucose": 38, "score:corrected-sodium": 131.9},
        ),
        ("diabetes-two-tests", "hba1c-diabetes", {"hba1c": 7.4, "glucose-fasting": 8.8}),
        ("anaemia-transfusion", "anaemia-severe", {"hgb": 52}),
    ],
)
def test_of_grades_only_the_highest_speaks(
    spoken: str, silent: str, example: dict[str, Any]
) -> None:
    risks = found(example)
    assert spoken in risks and silent not in risks


@pytest.mark.requirement("DX-LAB-12")
def test_sodium_stays_graded_where_glucose_does_not_explain_it() -> None:
    assert "hyponatraemia-profound" in found(
        {"na": 112, "glucose": 14, "score:corrected-sodium": 115.6}
    )
    assert "hyponatraemia-moderate" in found({"na": 126, "glucose": 40})
    assert "hyponatraemia-moderate" in found(
        {"na": 126, "glucose": 6, "score:corrected-sodium": 126.2}
    )


@pytest.mark.requirement("DX-LAB-13")
@pytest.mark.parametrize(
    ("one", "other", "example"),
    [
        ("pseudohyperkalaemia", "hyperkalaemia-severe", {"k": 6.8, "plt": 1400}),
        (
            "haemolysed-sample",
            "hyperkalaemia-moderate",
            {"k": 6.2, "ldh": 600, "ast": 80, "alt": 22},
        ),
        (
            "platelets-clumped",
            "platelet-fall",
            {"plt": [[0, 240], [24, 60]], "hgb": [[0, 130], [24, 128]]},
        ),
        ("pseudohyponatraemia", "hyponatraemia-moderate", {"na": 126, "triglycerides": 30}),
    ],
)
def test_both_sides_are_shown(one: str, other: str, example: dict[str, Any]) -> None:
    risks = found(example)
    assert other in risks[one].contradicts and one in risks[other].contradicts


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize(
    ("risk_id", "example"),
    [
        ("acidaemia-severe", {"ph-venous": 7.02}),
        ("hypercapnia-acidaemia", {"ph": 7.22, "pco2": 70, "po2": 80}),
        ("toxic-alcohol", {"score:anion-gap": 30, "score:osmolal-gap": 38, "osmolality": 340}),
        ("hiv-screen-reactive", {"hiv-antibody": "阳性"}),
        ("hiv-screen-reactive", {"hiv-p24": "阳性"}),
        ("nephrotic-range", {"albumin": 22, "urine-protein-24h": 6.1}),
        ("glomerular-urine", {"urine-rbc-casts": "+"}),
        ("gestational-diabetes", {"glucose-1h": 10.4, **PREGNANT}),
        ("hyperparathyroidism-primary", {"ca": 2.85, "pth": 95}),
        ("hypercalcaemia-not-pth", {"ca": 3.1, "pth": 7}),
        ("cortisol-low", {"cortisol-am": 60}),
        ("lipoprotein-a-high", {"lipoprotein-a-mass": 700}),
    ],
)
def test_it_is_seen_under_its_other_names_too(risk_id: str, example: dict[str, Any]) -> None:
    assert risk_id in found(example)


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize(
    ("risk_id", "example"),
    [
        ("hypocalcaemia-severe", {"score:corrected-calcium": 1.8, "ca": 1.7, "ca-ionized": 1.18}),
        ("hhs", {"glucose": 40, "na": 140, "ph": 7.1}),
        ("hypercapnia-acidaemia", {"ph": 7.1, "pco2": 22, "po2": 90}),
        ("anaemia-transfusion", {"hgb": 74}),
    ],
)
def test_it_is_not_said(risk_id: str, example: dict[str, Any]) -> None:
    assert risk_id not in found(example)


@pytest.mark.requirement("DX-LAB-12")
def test_a_category_of_filtration_does_not_call_an_acute_fall_chronic() -> None:
    for name in ("egfr-g4", "egfr-g5"):
        rule = next(rule for rule in RULES.rules if rule.risk_id == name)
        assert "acute" in rule.text_en and "急性" in rule.text_zh
