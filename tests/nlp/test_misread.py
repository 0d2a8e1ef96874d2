"""Sentences an earlier version misread, and others of their kind, are read rightly."""

from __future__ import annotations

from collections import Counter

import pytest

from services.nlp.context import Certainty
from services.nlp.tokens import tokenize
from tests.nlp.reading_of import measure_context, mentions, said

pytestmark = pytest.mark.requirement("DX-NLP-15")


def _wrong(name: str, half: str = "") -> tuple[list[str], int]:
    measure = measure_context()
    wrong, total = [], 0
    for case in measure.cases(measure.DATA / name):
        if half and case.half != half:
            continue
        start = case.sentence.index(case.mention)
        found = measure.said(case.sentence, start, start + len(case.mention))
        total += 1
        if found != case.expected:
            wrong.append(f"{case.group}: {case.mention} in {case.sentence!r} is {sorted(found)}")
    return wrong, total


def test_every_sentence_that_was_misread_is_read_rightly() -> None:
    wrong, total = _wrong("misread.tsv")
    assert total > 200
    assert wrong == []


@pytest.mark.parametrize("half", ["dev", "held-out"])
def test_sentences_like_them_are_read_rightly(half: str) -> None:
    wrong, total = _wrong("misread_alike.tsv", half)
    assert total > 200
    assert len(wrong) <= 0.02 * total, wrong
    groups = Counter(each.partition(":")[0] for each in wrong)
    assert max(groups.values(), default=0) <= 2


@pytest.mark.parametrize("half", ["dev", "held-out"])
def test_sentences_written_after_the_rules_are_read_rightly(half: str) -> None:
    wrong, total = _wrong("misread_fresh.tsv", half)
    assert total > 80
    assert len(wrong) <= 0.05 * total, wrong


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("hyper\u00adtension", ["hypertension"]),
        ("pa\u200btient", ["patient"]),
        ("\ufb01brillation", ["fibrillation"]),
        ("\u2f46\u53d1\u70ed", ["无", "发", "热"]),
        ("\uf967", ["不"]),
        ("a\u2212b\u2013c", ["a", "-", "b", "-", "c"]),
        ("\u00ad x", ["x"]),
    ],
)
@pytest.mark.requirement("DX-NLP-11")
def test_token_is_compared_by_its_plain_form_and_keeps_its_place(
    text: str, keys: list[str]
) -> None:
    tokens = tokenize(text)
    assert [token.key for token in tokens] == keys
    for token in tokens:
        assert text[token.start : token.end].strip("\u00ad ") != ""


@pytest.mark.requirement("DX-NLP-11")
def test_word_with_an_unseen_character_within_is_found_as_written() -> None:
    (found,) = mentions("He has hyper\u00adtension.")
    assert (found.written, found.term and found.term.en) == ("hyper\u00adtension", "Hypertension")


def test_what_is_chronic_is_under_control_and_not_gone() -> None:
    assert said("高血压已控制。")["高血压"] == "+"
    assert said("肺部感染已控制。")["肺部感染"] == "-h"


def test_family_history_may_say_what_the_patient_has() -> None:
    found = {
        each.written: (each.said.certainty, each.said.other_person)
        for each in mentions("家族史：父亲患高血压，患者本人有糖尿病。")
    }
    assert found == {
        "高血压": (Certainty.AFFIRMED, True),
        "糖尿病": (Certainty.AFFIRMED, False),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("高血压3级（很高危）。", {"高血压3级": "+"}),
        ("患者担心患胃癌，情绪焦虑。", {"胃癌": "?", "焦虑": "+"}),
        ("门诊以“热性惊厥、支气管肺炎？”收入院。", {"支气管肺炎": "?"}),
        ("最高血压180/110mmHg。", {"高血压": None}),
        ("He has a two week history of dizziness.", {"dizziness": "+"}),
        ("A history of knee pain for years, progressively worse.", {"pain": "+"}),
        ("Presented with post ictal fatigue.", {"fatigue": "+"}),
        ("She recalls that when her husband died her headaches became worse.", {"headaches": "+"}),
        ("Less likely pyelonephritis given a clean urine.", {"pyelonephritis": "?"}),
        ("Denies fever today, chills or nausea.", {"fever": "-", "chills": "-", "nausea": "-"}),
        ("Doubt pneumonia given clear lungs.", {"pneumonia": "-"}),
        ("Old left basal ganglia lacunar infarct.", {"lacunar infarct": "+h"}),
        ("No numbness, just some weakness in the left hand.", {"numbness": "-", "weakness": "+"}),
    ],
)
def test_what_reading_of_whole_notes_showed(text: str, expected: dict[str, str | None]) -> None:
    found = said(text)
    assert {name: found.get(name) for name in expected} == expected
