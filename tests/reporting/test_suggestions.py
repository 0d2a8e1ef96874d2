"""Conditions to consider: each with examples, ranked by the stated rule, never without evidence."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.errors import InvalidInput
from services.labs.analytes import ANALYTES
from services.labs.qualitative import BY_ID as ORDINALS
from services.labs.rules import engine as labs_rules
from services.labs.scores.catalogue import CATALOGUE as SCORES
from services.nlp import tables as nlp_tables
from services.reporting import analytes
from services.reporting import tables as reporting_tables
from services.reporting.suggestions import catalogue, features, schema
from services.reporting.suggestions.facts import REMARKS
from services.reporting.suggestions.model import (
    POINTS_MIN,
    Condition,
    Fact,
    Facts,
    Outcome,
    Weighed,
    Weight,
)

ROOT = Path(__file__).parents[2]
ENGINE = catalogue.engine()
CONDITIONS = {condition.id: condition for condition in ENGINE.conditions}


def known(texts: Iterable[str]) -> Facts:
    """Facts of examples; what a note says of now is in the history as well."""
    facts = Facts()
    for text in texts:
        fact = features.fact(text)
        facts.add(fact)
        if fact.key.startswith("note:"):
            facts.add(replace(fact, key="history:" + fact.key.removeprefix("note:")))
    return facts


def found(outcome: Outcome, condition: Condition) -> Weighed | None:
    return next((w for w in outcome.suggested if w.condition.id == condition.id), None)


@pytest.mark.requirement("DX-SUG-01")
def test_there_are_conditions_of_every_field() -> None:
    assert len(CONDITIONS) >= 60
    fields = {"emergency", "respiratory", "cardiac", "neurological", "abdominal", "renal"}
    assert fields | {"endocrine", "haematological", "infectious"} == {
        topic.topic for topic in catalogue.topics()
    }


@pytest.mark.requirement("DX-SUG-01")
@pytest.mark.parametrize("name", CONDITIONS)
def test_each_condition_is_suggested_by_its_example_and_not_by_the_other(name: str) -> None:
    condition = CONDITIONS[name]
    weighed = found(ENGINE.weigh(known(condition.positive)), condition)
    assert weighed is not None and weighed.points >= POINTS_MIN
    assert all(each.facts for each in weighed.evidence)
    assert found(ENGINE.weigh(known(condition.negative)), condition) is None


def every_key() -> set[str]:
    return {
        key
        for condition in ENGINE.conditions
        for feature in (*condition.red, *condition.core, *(f for _, f in condition.weighed))
        for key in feature.asked()
    }


@pytest.mark.requirement("DX-SUG-02")
def test_every_feature_names_something_that_can_be_found() -> None:
    problems = {row["en"] for table in ("problems", "hpo") for row in nlp_tables.rows(table)}
    medicines = {row["en"] for row in nlp_tables.rows("medications")}
    mentioned = dict.fromkeys(("note", "denied", "possible", "history", "family"), problems)
    rules = {rule.risk_id for rule in labs_rules.default().rules}
    tables = mentioned | {
        "med": medicines,
        "lab": set(ANALYTES) | set(ORDINALS),
        "risk": rules,
        "score": set(SCORES),
        "vital": set(analytes.VITALS.values()),
        "person": {"age", "M", "F", "pregnant"},
        "remark": {f"{name}-{each}" for name in REMARKS.values() for each in ANALYTES},
    }
    lost = []
    for key in every_key():
        kind, _, name = key.partition(":")
        if kind != "image" and name not in tables[kind]:
            lost.append(key)
    assert lost == []
    broad = [(row["specific"], row["broader"]) for row in reporting_tables.rows("broader")]
    assert [pair for pair in broad if not set(pair) <= problems] == []
    images = {k.split(":")[1].split("/")[0] for k in every_key() if k.startswith("image:")}
    assert images <= {"nodule", "haemorrhage", "fracture", "tumour", "no-haemorrhage"}


@pytest.mark.requirement("DX-SUG-02")
def test_codes_and_units_of_results_are_those_of_the_laboratory_service() -> None:
    rows = [
        line.split("\t")
        for table in ("loinc", "qualitative")
        for line in files("services.labs").joinpath("data", f"{table}.tsv").read_text().splitlines()
        if line and line[0] != "#"
    ]
    theirs = {row[0]: row[1] for row in rows}
    for code, analyte in analytes.BY_LOINC.items():
        assert theirs.get(code) == analyte
    for each in analytes.ANALYTES.values():
        if each.id in ANALYTES:
            assert each.unit == ANALYTES[each.id].unit.ucum
        else:
            assert each.id in ORDINALS and not each.unit


@pytest.mark.requirement("DX-SUG-03")
def test_without_evidence_nothing_is_suggested() -> None:
    assert ENGINE.weigh(Facts()) == Outcome([], [])
    everybody = ["person:age = 70", "person:M", "denied:Fever", "denied:Chest pain"]
    assert not ENGINE.weigh(known(everybody)).suggested


@pytest.mark.requirement("DX-SUG-03")
def test_too_little_evidence_is_told_and_not_suggested() -> None:
    outcome = ENGINE.weigh(known(["note:Headache"]))
    assert not outcome.suggested
    assert all(each.points + 10 > 0 and each.points < POINTS_MIN for each in outcome.insufficient)


def test_points_without_a_core_feature_suggest_nothing() -> None:
    around = ["vital:heart-rate = 120", "note:Immobilization", "history:Lung cancer"]
    assert found(ENGINE.weigh(known(around)), CONDITIONS["pulmonary-embolism"]) is None
    with_core = ENGINE.weigh(known([*around, "note:Dyspnea"]))
    assert found(with_core, CONDITIONS["pulmonary-embolism"]) is not None


def support() -> list[tuple[str, str]]:
    """Return (condition, key) of every feature of one plain key that speaks for a condition."""
    return [
        (condition.id, feature.either[0][0].keys[0])
        for condition in ENGINE.conditions
        for weight, feature in condition.weighed
        if weight > 0 and len(feature.either) == 1 and len(feature.either[0]) == 1
        if not (feature.either[0][0].state or feature.either[0][0].operator)
    ]


SUPPORT = support()
KEYS = sorted(key for key in every_key() if key.split(":")[0] in ("note", "risk", "denied"))


def facts_of(keys: Iterable[str]) -> Facts:
    facts = Facts()
    for key in keys:
        facts.add(Fact(key, key, key, places=(key,)))
    return facts


@pytest.mark.requirement("DX-SUG-04")
@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(KEYS), max_size=15), st.sampled_from(SUPPORT))
def test_more_that_supports_a_condition_never_lowers_it(
    keys: set[str], added: tuple[str, str]
) -> None:
    name, key = added
    opposing = {k for w, f in CONDITIONS[name].weighed if w < 0 for k in f.asked()}
    if key in opposing:
        return
    before, after = ENGINE.weigh(facts_of(keys)), ENGINE.weigh(facts_of(keys | {key}))
    one, other = found(before, CONDITIONS[name]), found(after, CONDITIONS[name])
    if one is None:
        return
    assert other is not None and other.rank() <= one.rank()
    unmoved = {w.condition.id: w.rank() for w in before.suggested}
    for each in after.suggested:  # nothing that the new fact does not touch overtakes it
        if unmoved.get(each.condition.id) == each.rank() and each.rank() < other.rank():
            assert unmoved[each.condition.id] < one.rank()


@pytest.mark.requirement("DX-SUG-04")
@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(KEYS), max_size=25))
def test_every_statement_rests_on_a_fact_and_red_flags_come_first(keys: set[str]) -> None:
    outcome = ENGINE.weigh(facts_of(keys))
    ranks = [each.rank() for each in outcome.suggested]
    assert ranks == sorted(ranks)
    pressing = [each.pressing for each in outcome.suggested]
    assert pressing == sorted(pressing, reverse=True)
    for weighed in outcome.suggested:
        assert weighed.supports
        assert weighed.points == sum(each.weight for each in weighed.evidence)
        result = any(each.results for each in weighed.evidence if each.weight == Weight.DECISIVE)
        assert weighed.points >= (1 if weighed.pressing and result else POINTS_MIN)
        for evidence in weighed.evidence:
            assert evidence.facts and {fact.key for fact in evidence.facts} <= keys
        firsts = [each.red for each in weighed.evidence]
        assert firsts == sorted(firsts, reverse=True)


@pytest.mark.requirement("DX-SUG-04")
@pytest.mark.parametrize(
    ("first", "facts"),
    [
        (
            "upper-gastrointestinal-bleeding",
            [
                *("note:Melena", "note:Atrial fibrillation", "note:Palpitations"),
                *("note:Syncope", "vital:sbp = 88", "vital:heart-rate = 118"),
            ],
        ),
        (
            "diabetic-ketoacidosis",
            ["risk:dka", "lab:na = 129 low", "note:Confusion", "note:Vomiting", "note:Nausea"],
        ),
        (
            "thrombotic-thrombocytopenic-purpura",
            [
                "risk:tma-possible",
                "lab:plt = 9 low",
                "note:Jaundice",
                "note:Fever",
                "note:Dysarthria",
            ],
        ),
    ],
)
def test_what_kills_first_is_named_first(first: str, facts: list[str]) -> None:
    names = [each.condition.id for each in ENGINE.weigh(known(facts)).suggested]
    assert names[0] == first


@pytest.mark.requirement("DX-SUG-05")
def test_no_words_of_a_condition_make_a_diagnosis() -> None:
    for condition in ENGINE.conditions:
        for text in (*condition.next, *condition.ask, condition.zh, condition.en):
            assert not any(word in text for word in ("确诊为", "诊断为", "is diagnosed", "has the"))
        assert condition.sources and all(s.link.startswith("https://") for s in condition.sources)


def test_a_file_that_cannot_be_used_is_refused_by_name() -> None:
    bad = """
topic = "x"
zh = "x"
en = "x"
sources = {}
[[condition]]
id = "one"
zh = "一"
en = "one"
strong = ["note:@nobody", "lab:k", "fish:x"]
source = ["none"]
next_zh = "一"
positive = ["note:Fever >= 2"]
negative = ["note:Cough"]
surprise = 1
"""
    with pytest.raises(InvalidInput) as refused:
        schema.read(bad, "bad.toml", catalogue.groups())
    said = "\n".join(f"{each.path} {each.problem}" for each in refused.value.violations)
    for part in ("surprise", "next_en", "strong[1]", "strong[2]", "strong[3]", "none is not among"):
        assert part in said, part


def test_the_catalogue_is_current() -> None:
    path = ROOT / "docs" / "make_suggestions.py"
    spec = importlib.util.spec_from_file_location("make_suggestions", path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.PAGE.read_text("utf-8") == made.page(), "run python docs/make_suggestions.py"
