"""One result counts once, however many features ask for it; and what was wrong with its tube."""

from __future__ import annotations

import pytest
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.labs.v1 import lab_findings_pb2 as labs

from services.reporting.suggestions import catalogue
from services.reporting.suggestions.facts import facts_of
from services.reporting.suggestions.features import fact
from services.reporting.suggestions.known import Known
from services.reporting.suggestions.model import Facts, Weighed
from tests.reporting.told import HH, H, L, case, coded, result

RISK = labs.Risk(
    risk_id="hyperkalaemia-severe",
    text_zh="高钾。",
    text_en="Hyperkalaemia.",
    evidence_ids=["k-6.8"],
    covers=["hyperkalaemia-moderate"],
)
NOTE = "患者，男，70岁。主诉：乏力1天。"


def potassium(*reasons: str) -> labs.LabResult:
    made = result("k", "6.8", HH)
    assert made.observation_id == "k-6.8"
    made.remarks.extend([Refusal(reason=each, message=each) for each in reasons])
    return made


def weighed(*reasons: str) -> Weighed:
    draft = case(NOTE, results=[potassium(*reasons)], risks=[RISK])
    found = catalogue.engine().weigh(facts_of(Known(draft, frozenset()))).suggested
    [made] = [each for each in found if each.condition.id == "hyperkalaemia-emergency"]
    return made


@pytest.mark.requirement("DX-SUG-12")
def test_one_potassium_counts_once_with_its_heaviest_weight() -> None:
    made = weighed()
    of_results = [each for each in made.supports if each.results and not each.red]
    assert [each.weight for each in of_results] == [3]
    assert made.points == 4 and made.pressing  # the fatigue of the note is another fact


@pytest.mark.requirement("DX-SUG-12")
def test_a_haemolysed_tube_speaks_against_and_hides_nothing() -> None:
    made = weighed("SPECIMEN_HAEMOLYSED")
    assert [each.weight for each in made.opposes] == [-1]
    draft = case(NOTE, results=[potassium("SPECIMEN_HAEMOLYSED")], risks=[RISK])
    [shown] = coded(draft, "suggestion")["hyperkalaemia-emergency"]
    assert "检验科注明标本溶血" in shown["valueString"]
    assert shown["valueString"].count("6.8") == 1
    alone = case("患者，男，70岁。", results=[potassium("SPECIMEN_HAEMOLYSED")], risks=[RISK])
    assert "hyperkalaemia-emergency" in coded(alone, "suggestion")


@pytest.mark.requirement("DX-SUG-12")
def test_two_results_count_twice() -> None:
    facts = Facts()
    for each in ("risk:aki-stage-2", "lab:creatinine = 260 high", "note:Oliguria"):
        facts.add(fact(each))
    [made] = [
        each
        for each in catalogue.engine().weigh(facts).suggested
        if each.condition.id == "acute-kidney-injury"
    ]
    assert made.points == 5


@pytest.mark.requirement("DX-SUG-12")
def test_what_decides_is_named_however_many_red_flags_there_are() -> None:
    blasts = labs.LabResult(
        observation_id="blasts", loinc_code="26446-5", display_zh="原始细胞百分数"
    )
    blasts.value_text, blasts.unit_text = "62", "%"
    shown = [result("wbc", "180", HH), result("inr", "2.4", HH), result("hgb", "61", L)]
    shown += [result("d-dimer", "18", H), result("crp", "90", H), result("k", "6.1", H)]
    others = [each.observation_id for each in shown]
    risks = [
        labs.Risk(risk_id="blasts-leukaemia", text_zh="原始细胞。", evidence_ids=["blasts"]),
        labs.Risk(risk_id="hyperleukocytosis", text_zh="白细胞。", evidence_ids=others[:1]),
        labs.Risk(risk_id="dic-possible", text_zh="DIC。", evidence_ids=others[1:4]),
        labs.Risk(risk_id="tumour-lysis-laboratory", text_zh="溶瘤。", evidence_ids=others[4:]),
    ]
    draft = case("患者，女，30岁。牙龈出血1周。", results=[blasts, *shown], risks=risks)
    [made] = coded(draft, "suggestion")["acute-leukaemia"]
    assert "原始细胞百分数 62 %" in made["valueString"]
