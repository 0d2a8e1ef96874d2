"""What leads a list and what leaves it: red flags that many share lift nothing of their own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from dxmesh.labs.v1 import lab_findings_pb2 as labs

from services.reporting.reconcile import medicines
from services.reporting.suggestions import catalogue
from services.reporting.suggestions.features import fact
from services.reporting.suggestions.model import Facts, Weight
from tests.reporting.told import H, case, coded, result

ENGINE = catalogue.engine()
SHOCK = ["vital:sbp = 78", "vital:spo2 = 88", "vital:respiratory-rate = 30"]


def facts(keys: Sequence[str]) -> Facts:
    made = Facts()
    for each in keys:
        made.add(fact(each))
    return made


def suggested(keys: Sequence[str]) -> list[str]:
    return [each.condition.id for each in ENGINE.weigh(facts(keys)).suggested]


@pytest.mark.requirement("DX-SUG-04")
def test_red_flags_alone_neither_suggest_nor_lead() -> None:
    wheezing = [*SHOCK, "vital:heart-rate = 132", "note:Urticaria", "note:Wheezing", "note:Dyspnea"]
    names = suggested(wheezing)
    assert names[0] == "anaphylaxis"
    assert not {"community-acquired-pneumonia", "acute-heart-failure", "sepsis"} & set(names)
    assert suggested([*SHOCK, "note:Cough"]) == []


@pytest.mark.requirement("DX-SUG-04")
def test_a_red_flag_presses_only_beside_a_strong_feature() -> None:
    for weighed in ENGINE.weigh(
        facts([*SHOCK, "note:Melena", "note:Fever", "note:Dyspnea"])
    ).suggested:
        strong = any(e.weight >= Weight.STRONG for e in weighed.supports if not e.red)
        assert weighed.pressing == (bool(weighed.red_flags) and strong)
    unpressed = facts(["vital:spo2 = 88", "note:Dyspnea", "note:Pleuritic chest pain"])
    unpressed.add(fact("vital:heart-rate = 120"))
    [embolism] = [
        w for w in ENGINE.weigh(unpressed).suggested if w.condition.id == "pulmonary-embolism"
    ]
    assert embolism.red_flags and not embolism.pressing


@pytest.mark.requirement("DX-SUG-04")
@pytest.mark.parametrize(
    ("absent", "keys"),
    [
        ("primary-aldosteronism", ["history:Hypertension", "lab:k = 3.4", "risk:troponin-rising"]),
        (
            "primary-aldosteronism",
            ["history:Hypertension", "lab:k = 3.4", "risk:hypercalcaemia-severe"],
        ),
        ("encephalitis", ["note:Confusion", "note:Fever", "note:Pneumonia"]),
        ("acute-ischaemic-stroke", ["note:Dysarthria", "lab:plt = 9 low", "risk:tma-possible"]),
        (
            "hyponatraemia-symptomatic",
            [
                *("risk:dka", "lab:na = 129 low", "note:Confusion", "note:Nausea"),
                *("score:corrected-sodium = 139",),
            ],
        ),
        (
            "diabetic-ketoacidosis",
            ["history:Type II diabetes mellitus", "note:Nausea", "lab:glucose = 13.2 high"],
        ),
        ("hypercalcaemia", ["risk:hypercalcaemia", "note:Confusion"]),
        (
            "haemorrhagic-fever-with-renal-syndrome",
            ["note:Fever", "lab:plt = 92 low", "risk:aki-stage-1", "note:Pneumonia"],
        ),
        (
            "acute-cholangitis",
            ["note:Fever", "note:Jaundice", "lab:schistocytes positive", "risk:tma-possible"],
        ),
        (
            "perforated-viscus",
            ["note:Guarding", "note:Upper abdominal pain", "risk:pancreatitis-acute", "note:Fever"],
        ),
        ("hypertensive-emergency", ["vital:dbp = 112", "note:Headache", "person:pregnant"]),
        (
            "severe-fever-with-thrombocytopenia",
            [
                "note:Fever",
                "lab:plt = 42 low",
                "lab:wbc = 0.6 low",
                "history:Lymphoma",
                "risk:neutropenia-severe",
            ],
        ),
    ],
)
def test_what_something_else_explains_is_not_suggested(absent: str, keys: list[str]) -> None:
    assert absent not in suggested(keys)


@pytest.mark.requirement("DX-SUG-01")
@pytest.mark.parametrize(
    ("first", "keys"),
    [
        (
            "ectopic-pregnancy",
            [
                *(
                    "risk:pregnancy-possible",
                    "note:Lower abdominal pain",
                    "note:Rebound tenderness",
                ),
                *(
                    "vital:sbp = 82",
                    "note:Syncope",
                    "lab:wbc = 12 high",
                ),
            ],
        ),
        (
            "pulmonary-embolism",
            [
                *("note:Dyspnea", "note:Pleuritic chest pain", "vital:spo2 = 89", "note:Syncope"),
                *(
                    "lab:d-dimer-feu = 6.8",
                    "risk:heart-failure-acute",
                    "lab:nt-probnp = 1450 high",
                ),
            ],
        ),
        (
            "paracetamol-poisoning",
            ["note:Drug overdose", "med:Paracetamol", "lab:alt = 8420 high", "lab:inr = 2.4"],
        ),
        ("paracetamol-poisoning", ["lab:acetaminophen = 1100", "note:Nausea"]),
    ],
)
def test_what_explains_the_case_comes_first(first: str, keys: list[str]) -> None:
    assert suggested(keys)[0] == first


@pytest.mark.requirement("DX-SUG-10")
@pytest.mark.parametrize(
    ("check", "keys", "holds"),
    [
        ("hypoglycaemic-glucose", ["med:Glibenclamide", "lab:glucose = 3.4"], True),
        ("hypoglycaemic-glucose", ["med:Insulin", "risk:hypoglycaemia-level-2"], True),
        ("hypoglycaemic-glucose", ["med:Insulin", "lab:glucose = 3.9"], False),
        ("hypoglycaemic-glucose", ["med:Metformin", "lab:glucose = 3.4"], False),
        ("glibenclamide-kidney", ["med:Glibenclamide", "score:egfr-ckd-epi-2021 = 41"], True),
        ("glibenclamide-kidney", ["med:Glibenclamide", "score:egfr-ckd-epi-2021 = 56"], False),
    ],
)
def test_medicines_that_lower_glucose_are_checked(check: str, keys: list[str], holds: bool) -> None:
    feature = next(each.feature for each in medicines.checks() if each.id == check)
    assert bool(feature.found(facts(keys))) is holds


@pytest.mark.requirement("DX-SUG-07")
def test_a_rule_that_covers_others_answers_for_them() -> None:
    failing = labs.Risk(
        risk_id="liver-failure-transplant-criteria",
        text_zh="INR 6.2。",
        evidence_ids=["inr-6.2"],
        covers=["acute-liver-failure", "liver-severe-injury"],
    )
    draft = case("主诉：黄疸。", results=[result("inr", "6.2", H)], risks=[failing])
    assert "acute-liver-failure" in coded(draft, "suggestion")
