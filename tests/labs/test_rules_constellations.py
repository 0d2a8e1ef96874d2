"""Rules of poisons, fluids, the newborn and others: what one result says, and what it must not."""

from __future__ import annotations

import re
from typing import Any

import pytest

from services.labs.rules import engine, examples, heading, schema
from services.labs.rules.anchors import Anchors
from services.labs.rules.facts import gather

RULES = engine.default()
PREGNANT = {"sex": "female", "age": 31, "pregnant": True}


def found(example: dict[str, Any]) -> dict[str, engine.Risk]:
    return {risk.risk_id: risk for risk in RULES.find(*examples.panel(example))}


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize(
    ("spoken", "silent", "example"),
    [
        ("lithium-severe", "lithium-toxic", {"lithium": 3.0}),
        ("digoxin-toxic", "digoxin-above-target", {"digoxin": 4.0}),
        ("salicylate-severe", "salicylate-toxic", {"salicylate": 7.5}),
        ("lead-severe", "lead-adult", {"lead": 2.4}),
        ("lead-child", "lead-adult", {"lead": 1.6, "age": 4}),
        ("lead-adult", "lead-child", {"lead": 1.6, "age": 40}),
        ("csf-bacterial", "csf-pleocytosis", {"csf-wbc": 900, "csf-glucose": 0.6}),
        ("csf-pleocytosis", "csf-bacterial", {"csf-wbc": 90, "csf-glucose": 3.2}),
        ("effusion-transudate", "effusion-exudate", {
            "fluid-protein": 12, "total-protein": 64, "fluid-ldh": 60, "ldh": 190}),
        ("ascites-peritonitis", "ascites-portal", {
            "albumin": 26, "fluid-albumin": 6, "fluid-wbc": 900}),
        ("ascites-not-portal", "ascites-peritonitis", {
            "albumin": 36, "fluid-albumin": 31, "fluid-wbc": 900}),
        ("light-chains-myeloma", "light-chains-skewed", {"free-light-chain-ratio": 300}),
        ("syphilis-both", "syphilis-antibody-only", {
            "syphilis-antibody": "positive", "rpr-titre": 16}),
        ("liver-failure-transplant-criteria", "acute-liver-failure", {
            "inr": 7, "alt": 9000, "bilirubin": 200, "creatinine": 360}),
        ("anca-kidney", "glomerular-urine", {
            "p-anca": "positive", "urine-blood-strip": "3+", "urine-protein-strip": "2+",
            "creatinine": 300}),
        ("hbv-inactive", "hbv-replicating-normal-alt", {
            "hbsag": "positive", "hbeag": "negative", "hbv-dna": 300, "alt": 20, "age": 25}),
        ("anaemia-moderate", "anaemia-mild-m", {"hgb": [[0, 120], [20, 92]]}),
        ("hyperkalaemia-severe", "hyperkalaemia-mild", {"k": [[0, 6.9], [4, 5.7]]}),
        ("iron-deficiency-anaemia", "anaemia-moderate", {"hgb": 88, "ferritin": 5}),
        ("tumour-lysis-clinical", "tumour-lysis-laboratory", {
            "urate": 820, "k": 6.6, "phosphate": 2.9, "creatinine": 190, "wbc": 120}),
        ("rhabdomyolysis-kidney-risk", "tumour-lysis-clinical", {
            "urate": 720, "k": 6.3, "phosphate": 2.2, "creatinine": 260, "ck": 46000, "ldh": 1600}),
        ("rhabdomyolysis-kidney-risk", "liver-severe-injury", {
            "ck": 46000, "ast": 900, "alt": 220}),
        ("upper-bleeding-ratio", "pre-renal-ratio", {"urea": 24, "creatinine": 130, "hgb": 70}),
        ("pancreatitis-acute", "cirrhosis-pattern", {
            "lipase": 900, "uln(lipase)": 60, "plt": 90, "albumin": 26, "inr": 1.5, "crp": 260}),
    ],
)  # fmt: skip
def test_the_one_speaks_and_the_other_does_not(
    spoken: str, silent: str, example: dict[str, Any]
) -> None:
    risks = found(example)
    assert spoken in risks and silent not in risks


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize(
    ("risk_id", "age", "example"),
    [
        ("newborn-bilirubin-severe", 0.01, {"bilirubin": 380}),
        ("hyperammonaemia-child", 0.01, {"ammonia": 260}),
        ("hyperammonaemia-child", 5, {"ammonia": 140}),
        ("infant-cholestasis", 0.1, {"bilirubin-direct": 60}),
        ("lead-child", 3, {"lead": 0.4}),
        ("iron-overdose", 3, {"iron": 120}),
        ("paracetamol-level", 3, {"acetaminophen": 900}),
        ("blasts-leukaemia", 3, {"blasts-pct": 60}),
        ("thrombocytopenia-severe", 3, {"plt": 9}),
        ("neutropenia-severe", 3, {"neut": 0.2}),
        ("hyperleukocytosis", 3, {"wbc": 240}),
        ("anaemia-child-severe", 3, {"hgb": 62}),
    ],
)
def test_children_are_seen(risk_id: str, age: float, example: dict[str, Any]) -> None:
    assert risk_id in found({**example, "age": age})


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize(
    ("risk_id", "age", "example"),
    [
        ("newborn-bilirubin-severe", 3, {"bilirubin": 380}),
        ("newborn-bilirubin-severe", 50, {"bilirubin": 380}),
        ("hyperammonaemia-child", 0.01, {"ammonia": 140}),
        ("infant-cholestasis", 0.01, {"bilirubin-direct": 60}),
        ("myeloma-pattern", 50, {"total-protein": 76, "albumin": 44, "hgb": 80}),
        ("hypoglycaemia-endogenous-insulin", 50, {"glucose": 5.0, "insulin": 9, "c-peptide": 2}),
        ("aldosteronism-screen", 50, {"aldosterone": 150, "renin-mass": 1}),
        ("tma-film-needed", 50, {"plt": 18, "hgb": 82, "ldh": 180, "haptoglobin": 0.1}),
        ("diabetes-two-tests", 50, {"hba1c": 7.4, "glucose-fasting": 5.2}),
    ],
)
def test_it_is_left_alone(risk_id: str, age: float, example: dict[str, Any]) -> None:
    assert risk_id not in found({**example, "age": age})


@pytest.mark.requirement("DX-LAB-13")
def test_an_inactive_carrier_above_thirty_shows_both_sides() -> None:
    carrier = {"hbsag": "positive", "hbeag": "negative", "hbv-dna": 300, "alt": 20, "age": 45}
    risks = found(carrier)
    assert risks["hbv-inactive"].contradicts == ("hbv-treatment-china",)


@pytest.mark.requirement("DX-LAB-14")
def test_a_statement_names_the_threshold_of_the_hospital() -> None:
    own = engine.load(heading.thresholds("[anaemia]\ntransfusion = 60", "hospital.toml"))
    risks = {risk.risk_id: risk for risk in own.find(*examples.panel({"hgb": 55}))}
    assert "below 60" in risks["anaemia-transfusion"].text_en
    assert "低于60" in risks["anaemia-transfusion"].text_zh
    assert "anaemia-transfusion" not in {r.risk_id for r in own.find(*examples.panel({"hgb": 65}))}
    assert "below 70" in found({"hgb": 55})["anaemia-transfusion"].text_en


@pytest.mark.requirement("DX-LAB-12")
def test_both_languages_show_the_same_values() -> None:
    shown = re.compile(r"\{[^}]+\}")
    for rule in RULES.rules:
        texts = [(rule.text_en, rule.text_zh), (rule.next_en, rule.next_zh)]
        texts += [(each.en, each.zh) for each in rule.against]
        for english, chinese in texts:
            assert sorted(shown.findall(english)) == sorted(shown.findall(chinese)), rule.risk_id


@pytest.mark.requirement("DX-LAB-12")
def test_no_statement_makes_the_diagnosis() -> None:
    """确诊 is what a further test does, never what these results do."""
    for rule in RULES.rules:
        assert "确诊" not in rule.text_zh, rule.risk_id
        assert "诊断为" not in rule.text_zh and "diagnosis of" not in rule.text_en, rule.risk_id


@pytest.mark.requirement("DX-LAB-12")
def test_no_rule_covers_itself_even_through_others() -> None:
    covers = {rule.risk_id: set(rule.covers) for rule in RULES.rules}
    for start in covers:
        seen: set[str] = set()
        waiting = list(covers[start])
        while waiting:
            each = waiting.pop()
            assert each != start, start
            if each not in seen:
                seen.add(each)
                waiting += covers[each]


@pytest.mark.requirement("DX-LAB-09")
def test_a_rule_that_holds_is_looked_up_by_something_that_is_there() -> None:
    anchors = Anchors(RULES.rules, RULES.derived)
    places: dict[str, set[str]] = {}
    for letter in ("M", "F"):
        for name, every in anchors.of(frozenset(schema.POPULATIONS), letter).items():
            for each in every:
                places.setdefault(each.rule.risk_id, set()).add(name)
    assert len(places) == len(RULES.rules)
    for about in RULES.rules[::4]:
        results, scores, subject = examples.panel(about.positive)
        facts, every_value = gather(results, scores, subject, RULES.derived)
        known = facts.names() | every_value.keys()
        for rule in RULES.rules:
            assert places[rule.risk_id] & known or not rule.when.holds(facts), rule.risk_id
