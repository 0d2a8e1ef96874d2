"""The rules of disease risks: each one's examples, what they rest on, and what opposes them."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.kernel.errors import InvalidInput
from services.labs import panel, worker
from services.labs.findings import findings
from services.labs.history import facts as history
from services.labs.rules import engine, examples, heading, schema
from services.labs.rules.model import Rule
from services.labs.scores import catalogue

RULES = engine.default()
BEFORE = frozenset(
    "egfr-g3a egfr-g3b egfr-g4 egfr-g5 hyperkalaemia-moderate hyperkalaemia-severe "  # noqa: SIM905
    "hyponatraemia-moderate hyponatraemia-profound anaemia-mild-m anaemia-mild-f anaemia-moderate "
    "anaemia-severe glucose-impaired-fasting glucose-diabetes-fasting hba1c-diabetes fib4-high "
    "albuminuria-a2 albuminuria-a3".split()
)
TOPIC = """
topic = "t"
name_en = "T"
name_zh = "题"
[thresholds]
low = { value = 100, unit = "g/L" }
[sources]
s = { text = "A source" }
[[rule]]
id = "r"
kind = "finding"
priority = "routine"
strength = "weak"
all = ["hgb < $low"]
en = "Haemoglobin {value}."
zh = "血红蛋白 {value}。"
source = "s"
positive = { hgb = 90 }
negative = { hgb = 110 }
"""


def result(loinc: str, value: Any, unit: str = "", **more: Any) -> dict[str, Any]:
    kind = (
        {"valueString": value}
        if isinstance(value, str)
        else {"valueQuantity": {"value": value, "unit": unit}}
    )
    coding = {"system": "http://loinc.org", "code": loinc}
    return {
        "id": loinc,
        "status": "final",
        "code": {"coding": [coding]},
        "effectiveDateTime": "2026-11-20T08:00:00Z",
        **kind,
        **more,
    }


def run(*observations: object, **subject: object) -> dict[str, pb.Risk]:
    document = {
        "subject": {"sex": "male", "age_years": 50, **subject},
        "observations": observations,
    }
    found = findings(panel.read(json.dumps(document).encode()))
    return {risk.risk_id: risk for risk in found.risks}


def asked(rule: Rule, example: str) -> dict[str, engine.Risk]:
    found = RULES.find(*examples.panel(getattr(rule, example)))
    return {risk.risk_id: risk for risk in found}


@pytest.mark.requirement("DX-LAB-12")
def test_every_rule_holds_of_its_own_example_and_not_of_the_other() -> None:
    wrong = []
    for rule in RULES.rules:
        if rule.risk_id not in asked(rule, "positive"):
            wrong.append(f"{rule.risk_id} does not hold of its positive example")
        if rule.risk_id in asked(rule, "negative"):
            wrong.append(f"{rule.risk_id} holds of its negative example")
    assert not wrong


@pytest.mark.requirement("DX-LAB-12")
def test_every_statement_is_whole_and_rests_on_evidence() -> None:
    for rule in RULES.rules:
        risk = asked(rule, "positive")[rule.risk_id]
        for text in (risk.text_en, risk.text_zh, risk.next_en, risk.next_zh):
            assert "{" not in text, rule.risk_id
        assert risk.evidence_ids, rule.risk_id
        assert risk.source_url.startswith("https://"), rule.risk_id
        assert any("\u4e00" <= letter <= "\u9fff" for letter in risk.text_zh), rule.risk_id
        assert rule.next_en or rule.priority == "routine", rule.risk_id


@pytest.mark.requirement("DX-LAB-12")
def test_the_rules_cover_every_topic_and_keep_the_ids_of_before() -> None:
    assert len(RULES.rules) >= 80
    assert {rule.risk_id for rule in RULES.rules} >= BEFORE
    assert {topic.topic for topic in RULES.topics} >= {
        *("anaemia", "white_cells", "coagulation", "liver", "hepatitis", "kidney"),
        *("electrolytes", "acid_base", "diabetes", "lipids", "thyroid", "cardiac", "infection"),
        *("oncology", "pancreas_muscle", "pregnancy"),
    }


@pytest.mark.requirement("DX-LAB-12")
def test_every_threshold_is_used() -> None:
    for topic in RULES.topics:
        used = {
            name for rule in topic.rules for leaf in rule.when.leaves() for name in leaf.thresholds
        }
        used |= {
            n for rule in topic.rules for a in rule.against if a.when for n in a.when.thresholds
        }
        assert set(topic.thresholds) == used, topic.topic


@pytest.mark.requirement("DX-LAB-13")
def test_rules_that_contradict_show_both_sides() -> None:
    found = run(
        result("787-2", 66, "fL"),
        result("789-8", 6.1, "10*12/L"),
        result("718-7", 101, "g/L"),
        result("2276-4", 9, "ug/L"),
    )
    assert list(found["thalassaemia-trait"].contradicts) == ["iron-deficiency-anaemia"]
    assert list(found["iron-deficiency-anaemia"].contradicts) == ["thalassaemia-trait"]
    shown = found["thalassaemia-trait"].against[0]
    assert "9 µg/L" in shown.text_en and list(shown.evidence_ids) == ["2276-4"]


@pytest.mark.requirement("DX-LAB-12")
def test_every_score_that_a_rule_asks_for_exists() -> None:
    asked_for = {name for rule in RULES.rules for name in rule.names}
    asked_for |= {n for rule in RULES.rules for a in rule.against if a.when for n in a.when.names}
    known = {f"score:{score_id}" for score_id in (*catalogue.CATALOGUE, *history.FIGURES)}
    assert {name for name in asked_for if name.startswith("score:")} <= known


@pytest.mark.requirement("DX-LAB-13")
def test_what_the_results_show_against_a_risk_comes_before_what_always_holds() -> None:
    found = run(result("2823-3", 6.8, "mmol/L"), result("777-3", 1600, "10*9/L"))
    first, *rest = found["hyperkalaemia-severe"].against
    assert "1600" in first.text_en and list(first.evidence_ids) == ["777-3"]
    assert rest and not any(point.evidence_ids for point in rest)


@pytest.mark.requirement("DX-LAB-12")
def test_the_most_pressing_come_first() -> None:
    found = run(
        result("718-7", 120, "g/L"),
        result("2823-3", 6.9, "mmol/L"),
        result("2951-2", 127, "mmol/L"),
    )
    assert list(found) == ["hyperkalaemia-severe", "hyponatraemia-moderate", "anaemia-mild-m"]


@pytest.mark.requirement("DX-LAB-12")
def test_serology_is_read_from_words_and_codes() -> None:
    found = run(
        result("5196-1", "阳性(+)"),
        result("24113-3", "Non-reactive"),
        result("42595-9", 260000, "[IU]/mL"),
        result("1742-6", 120, "U/L"),
    )
    assert set(found) >= {"hbv-infection", "hbv-treatment-due"}
    assert "hbv-acute" not in found
    assert list(found["hbv-treatment-due"].evidence_ids) == ["5196-1", "42595-9", "1742-6"]
    assert not run(result("5196-1", "HBsAg 见备注"))


@pytest.mark.requirement("DX-LAB-12")
def test_a_blood_gas_is_read_step_by_step() -> None:
    found = run(
        result("2744-1", 7.12, "[pH]"),
        result("2019-8", 22, "mm[Hg]"),
        result("1960-4", 7, "mmol/L"),
        result("2951-2", 140, "mmol/L"),
        result("2075-0", 100, "mmol/L"),
    )
    text = found["gas-acidosis-high-gap"].text_en
    assert "expected 16-20" in text and "anion gap 33" in text
    assert "respiratory acidosis in addition" in text
    assert set(found["gas-acidosis-high-gap"].evidence_ids) == {
        *("2744-1", "2019-8", "1960-4", "2951-2", "2075-0")
    }


@pytest.mark.requirement("DX-LAB-12")
def test_kidney_injury_is_told_from_values_over_time() -> None:
    early = result("14682-9", 70, "umol/L", id="a", effectiveDateTime="2026-11-18T08:00:00Z")
    late = result("14682-9", 168, "umol/L", id="b", effectiveDateTime="2026-11-20T08:00:00Z")
    found = run(early, late)
    assert "2.4 times" in found["aki-stage-2"].text_en
    assert not {"aki-stage-1", "aki-stage-3"} & found.keys()
    timeless = {k: v for k, v in early.items() if k != "effectiveDateTime"}
    assert "aki-stage-2" not in run(timeless, late)


@pytest.mark.requirement("DX-LAB-12")
def test_inputs_that_lie_too_far_apart_are_not_put_together() -> None:
    glucose = result("14749-6", 28, "mmol/L")
    ketones = result("6873-4", 6, "mmol/L")
    gas = result("2744-1", 7.1, "[pH]")
    assert "dka" in run(glucose, ketones, gas)
    assert "dka" not in run({**glucose, "effectiveDateTime": "2026-11-17T08:00:00Z"}, ketones, gas)


@pytest.mark.requirement("DX-LAB-09")
def test_an_earlier_value_still_speaks_and_the_later_one_stands_against_it() -> None:
    first = result("2823-3", 6.9, "mmol/L", id="a", effectiveDateTime="2026-11-20T08:00:00Z")
    later = result("2823-3", 4.4, "mmol/L", id="b", effectiveDateTime="2026-11-20T12:00:00Z")
    found = run(first, later)["hyperkalaemia-severe"]
    assert list(found.evidence_ids) == ["a"] and found.text_en.startswith("Potassium 6.9")
    assert list(found.against[0].evidence_ids) == ["b"]


@pytest.mark.requirement("DX-LAB-09")
@pytest.mark.parametrize(
    "subject",
    [{"age_years": 12}, {"pregnant": True, "sex": "female"}, {"age_years": None}],
)
def test_rules_about_adults_are_silent_about_others(subject: dict[str, object]) -> None:
    assert "hyperkalaemia-mild" not in run(result("2823-3", 5.7, "mmol/L"), **subject)


@pytest.mark.requirement("DX-LAB-14")
def test_an_owner_replaces_a_threshold_by_name() -> None:
    own = engine.load(heading.thresholds("[electrolytes]\nk_severe = 6.2", "hospital.toml"))
    asked_own = {r.risk_id for r in own.find(*examples.panel({"k": 6.3}))}
    assert "hyperkalaemia-severe" in asked_own
    assert "hyperkalaemia-severe" not in {
        r.risk_id for r in RULES.find(*examples.panel({"k": 6.3}))
    }
    for wrong in ("[electrolytes]\nk_sever = 6", "[no_topic]\nx = 1", "[a]\nb = 'c'", "= ="):
        with pytest.raises(InvalidInput):
            engine.load(heading.thresholds(wrong, "hospital.toml"))


@pytest.mark.requirement("DX-LAB-14")
def test_each_tenant_has_its_own_thresholds(tmp_path: Path) -> None:
    (tmp_path / "north.toml").write_text("[electrolytes]\nk_severe = 6.2\n", "utf-8")
    own = worker.read_rules(tmp_path)
    assert set(own) == {"north"} and not worker.read_rules(None)
    part = panel.LabPart(panel.Subject("male", 50.0), ())
    assert not findings(part, rules=own["north"]).risks
    topic = next(t for t in own["north"].topics if t.topic == "electrolytes")
    assert topic.thresholds["k_severe"].value == 6.2


@pytest.mark.requirement("DX-LAB-14")
@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('all = ["hgb < $low"]', 'all = ["hgbb < $low"]', "rule r: all[1]"),
        ('all = ["hgb < $low"]', 'all = ["hgb < $lower"]', "rule r: all[1]"),
        ('all = ["hgb < $low"]', "", "rule r: all"),
        ('all = ["hgb < $low"]', 'any = [{ every = ["hgb < 1"] }]', "rule r: any[1].every"),
        ('kind = "finding"', 'kind = "rumour"', "rule r: kind"),
        ('strength = "weak"', "", "rule r: strength"),
        ('source = "s"', 'source = "t"', "rule r: source"),
        ('zh = "血红蛋白 {value}。"', 'zh = "血红蛋白 {valu}。"', "rule r: zh"),
        ("negative = { hgb = 110 }", "", "rule r: negative"),
        ("negative = { hgb = 110 }", "negative = 3", "rule r: negative"),
        ('priority = "routine"', 'priority = "routine"\ncolour = "red"', "rule r: colour"),
        ("low = { value = 100", 'low = { value = "100"', "thresholds.low"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(old: str, new: str, path: str) -> None:
    assert schema.read(TOPIC, "t.toml").rules
    with pytest.raises(InvalidInput) as caught:
        schema.read(TOPIC.replace(old, new), "t.toml")
    assert f"t.toml: {path}" in [violation.path for violation in caught.value.violations]


@pytest.mark.requirement("DX-LAB-14")
def test_a_file_that_is_not_toml_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not TOML"):
        schema.read("topic = ", "t.toml")


@pytest.mark.requirement("DX-LAB-12")
def test_the_page_of_the_rules_is_current() -> None:
    path = Path(__file__).parents[2] / "docs" / "make_rules.py"
    spec = importlib.util.spec_from_file_location("make_rules", path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.PAGE.read_text("utf-8") == made.page(), "run python docs/make_rules.py"


@pytest.mark.requirement("DX-LAB-14")
def test_every_limit_of_a_condition_has_a_name() -> None:
    bare = [
        (rule.risk_id, leaf.text)
        for rule in RULES.rules
        for leaf in rule.when.leaves()
        if re.search(r"[<>]=? [1-9][\d.]*$|^[1-9][\d.]* <", leaf.text) and "age" not in leaf.text
    ]
    assert not bare


@pytest.mark.requirement("DX-LAB-12")
@pytest.mark.parametrize(
    ("groups", "example", "holds"),
    [
        ('all = ["hgb < $low", "mcv < 80"]', {"hgb": 90, "mcv": 70}, True),
        ('all = ["hgb < $low", "mcv < 80"]', {"hgb": 90}, False),
        ('any = ["hgb < $low", "mcv < 80"]', {"hgb": 90}, True),
        ('any = ["hgb < $low", "mcv < 80"]', {"hgb": 120}, False),
        ('all = ["hgb < $low"]\nnot = ["crp > 5"]', {"hgb": 90, "crp": 1}, True),
        ('all = ["hgb < $low"]\nnot = ["crp > 5"]', {"hgb": 90, "crp": 9}, False),
        ('all = ["hgb < $low"]\nnot = ["crp > 5"]', {"hgb": 90}, False),
        ('all = ["hgb < $low"]\nunless = ["crp > 5"]', {"hgb": 90, "crp": 1}, True),
        ('all = ["hgb < $low"]\nunless = ["crp > 5"]', {"hgb": 90, "crp": 9}, False),
        ('all = ["hgb < $low"]\nunless = ["crp > 5"]', {"hgb": 90}, True),
        ('any = [{ all = ["hgb < $low", "mcv < 80"] }, "crp > 5"]', {"hgb": 90, "crp": 9}, True),
        ('any = [{ all = ["hgb < $low"], not = ["mcv < 80"] }]', {"hgb": 90, "mcv": 70}, False),
    ],
)
def test_groups_of_conditions(groups: str, example: dict[str, float], holds: bool) -> None:
    topic = schema.read(TOPIC.replace('all = ["hgb < $low"]', groups), "t.toml")
    found = engine.RuleSet([topic]).find(*examples.panel(example))
    assert [risk.risk_id for risk in found] == (["r"] if holds else [])


@pytest.mark.requirement("DX-LAB-12")
def test_what_another_risk_covers_is_left_out() -> None:
    found = asked(next(r for r in RULES.rules if r.risk_id == "hellp"), "positive")
    assert "hellp" in found and "preeclampsia-organ" not in found
