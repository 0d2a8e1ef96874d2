"""What sentences say of a mention, by category: the sets in `data`, and what they do not hold.

The rules were written with the errors of the `dev` half in view; of the other half only the
figures were looked at.
"""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from services.nlp import acts, tables
from services.nlp.context import Certainty
from services.nlp.reading import Mention
from services.nlp.terms import Kind
from tests.nlp.reading_of import measure_context, mentions

pytestmark = pytest.mark.requirement("DX-NLP-05")


@pytest.fixture(scope="module")
def measure() -> ModuleType:
    return measure_context()


@pytest.mark.parametrize(
    ("name", "half", "accuracy", "least"),
    [
        ("zh", "dev", 0.97, 0.9),
        ("zh", "held-out", 0.93, 0.75),
        ("en", "dev", 0.95, 0.8),
        ("en", "held-out", 0.9, 0.7),
    ],
)
def test_categories_of_a_set(
    measure: ModuleType, name: str, half: str, accuracy: float, least: float
) -> None:
    figures = measure.measure(measure.DATA / f"context_{name}.tsv", half)
    assert figures.pop("all")["accuracy"] >= accuracy
    assert set(figures) == set(measure.CATEGORIES)
    for category, found in figures.items():
        assert found["items"] >= 4, category
        assert min(found["precision"], found["recall"]) >= least, category


def test_chinese_set_is_large_balanced_and_names_each_mention_once(measure: ModuleType) -> None:
    found = list(measure.cases(measure.DATA / "context_zh.tsv"))
    assert len({case.sentence for case in found}) >= 300
    assert all(case.sentence.count(case.mention) == 1 for case in found)
    for category in measure.CATEGORIES:
        assert sum(category in case.expected for case in found) >= 40, category


def test_no_brace_of_a_group_is_left_in_a_phrase() -> None:
    for language in ("zh", "en"):
        for row in tables.rows(f"triggers_{language}"):
            assert not re.search(r"\{[^}]*\{", row["phrase"]), row["phrase"][:40]
            assert row["phrase"].count("{") == row["phrase"].count("}")


def the(text: str, written: str) -> Mention:
    (found,) = [each for each in mentions(text) if each.written == written]
    return found


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("拟行冠状动脉造影，建议口服阿托伐他汀。", "阿托伐他汀"),
        ("We will start metformin.", "metformin"),
        ("若血压升高，加用氨氯地平。", "氨氯地平"),
        ("If fever recurs, take ibuprofen.", "ibuprofen"),
        ("如出现胸痛，立即就诊。", "胸痛"),
        ("Monitor for bleeding.", "bleeding"),
    ],
)
def test_what_is_planned_or_conditional_is_never_affirmed(text: str, written: str) -> None:
    said = the(text, written).said
    assert said.planned is not said.hypothetical
    assert said.certainty is Certainty.UNCERTAIN


@pytest.mark.parametrize(
    ("text", "written", "is_watched"),
    [
        ("鉴别诊断：\n肺结核", "肺结核", False),
        ("Differential Diagnosis:\n- pneumonia", "pneumonia", False),
        ("Return precautions: chest pain", "chest pain", True),
        ("注意事项：发热", "发热", True),
    ],
)
def test_what_stands_under_a_heading_of_doubt_or_watch_is_not_there(
    text: str, written: str, is_watched: bool
) -> None:
    said = the(text, written).said
    assert said.certainty is Certainty.UNCERTAIN
    assert said.hypothetical is is_watched


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("拟行手术治疗胆囊结石。", "胆囊结石"),
        ("We will start metformin for diabetes.", "diabetes"),
        ("继续口服阿司匹林。", "阿司匹林"),
        ("We will continue aspirin.", "aspirin"),
        ("We will increase her lisinopril to 40 mg.", "lisinopril"),
        ("Ibuprofen 800 mg twice daily as needed.", "Ibuprofen"),
        ("Follow up with me for asthma.", "asthma"),
        ("Takes citalopram 10 mg once daily for depression.", "depression"),
        ("His mother has described a cough.", "cough"),
    ],
)
def test_disease_that_is_there_and_medicine_that_is_taken_are_not_planned(
    text: str, written: str
) -> None:
    assert the(text, written).said.certainty is Certainty.AFFIRMED


def test_medicine_to_be_stopped_is_over_and_not_planned() -> None:
    said = the("I advised the patient to discontinue ibuprofen.", "ibuprofen").said
    assert (said.historical, said.planned) == (True, False)


def test_question_mark_right_before_a_name_doubts_that_name() -> None:
    found = {each.written: each.said.certainty for each in mentions("Gout, ?stroke and fever.")}
    assert (found["Gout"], found["stroke"]) == (Certainty.AFFIRMED, Certainty.UNCERTAIN)


def test_what_is_not_apparent_is_denied() -> None:
    assert the("Patient in no apparent distress.", "distress").said.certainty is Certainty.NEGATED


@pytest.mark.parametrize(
    ("written", "expected"),
    [("胆囊切除术", True), ("colonoscopies", False), ("CT scan", True), ("胆囊结石", False)],
)
def test_act_is_known_by_how_its_name_ends(written: str, expected: bool) -> None:
    assert acts.is_act(Kind.PROBLEM, written) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("否認高血壓、糖尿病，無頭暈。", {"高血壓": "-", "糖尿病": "-", "頭暈": "-"}),
        ("３天前無明顯誘因出現咳嗽。", {"咳嗽": "+"}),
        ("患者 no fever，有胸痛。", {"fever": "-", "胸痛": "+"}),
        ("Patient 否认 chest pain and dyspnea, reports cough.", {
            "chest pain": "-", "dyspnea": "-", "cough": "+"}),
        ("No\u200f fever\u200b, has\u00a0cough 😀.", {"fever": "-", "cough": "+"}),
        ("无\x00发\u200b热，伴咳\ufeff嗽。", {"发\u200b热": "-", "咳\ufeff嗽": "+"}),
    ],
)  # fmt: skip
@pytest.mark.requirement("DX-NLP-11")
def test_traditional_mixed_and_unseen_characters(text: str, expected: dict[str, str]) -> None:
    marks = {Certainty.AFFIRMED: "+", Certainty.NEGATED: "-", Certainty.UNCERTAIN: "?"}
    found = {each.written: marks[each.said.certainty] for each in mentions(text, "zh")}
    assert {name: found.get(name) for name in expected} == expected
