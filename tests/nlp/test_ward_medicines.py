"""Medicines of ward notes: overdoses, doses behind a route, what is stopped; where it hurts."""

from __future__ import annotations

import pytest

from services.nlp.terms import Kind
from tests.nlp.reading_of import mentions
from tests.nlp.test_ward_summary import lines

pytestmark = pytest.mark.requirement("DX-NLP-06")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("3天前顿服对乙酰氨基酚片40片，昨日恶心。", "药物过量（3天前，40片）"),
        (
            "Took approx 40 tablets of acetaminophen 3 days ago.",
            "overdose (3 days ago, 40 tablets)",
        ),
        ("昨晚吞服艾司唑仑30余片。", "药物过量（昨晚，30片）"),
    ],
)
def test_an_overdose_is_told_with_how_many_and_when(text: str, line: str) -> None:
    found = " ".join(lines(text))
    for part in line.rstrip(")）").replace("(", "（").split("（"):
        for each in part.replace(", ", "，").split("，"):
            assert each.strip() in found, found
    (taken,) = (each for each in mentions(text) if each.kind is Kind.MEDICATION)
    assert taken.said.historical  # it is not in use


@pytest.mark.parametrize(
    "text",
    [
        "晨起顿服泼尼松12片。",
        "口服阿司匹林100片装。",
        "Took 2 tablets of ibuprofen.",
        "Take 10 tablets of methotrexate per week.",
    ],
)
def test_a_dose_is_no_overdose(text: str) -> None:
    assert not any(m.term and m.term.en == "Drug overdose" for m in mentions(text))


@pytest.mark.parametrize(
    ("text", "doses"),
    [
        ("呋塞米40mg静推bid。", ["40mg静推bid"]),
        ("乙酰半胱氨酸首剂150mg/kg静滴。", ["150mg/kg"]),
        ("she takes glipizide ten milligrams twice a day", ["ten milligrams twice a day"]),
    ],
)
def test_a_dose_goes_on_behind_its_route(text: str, doses: list[str]) -> None:
    assert [each.dose_written for each in mentions(text) if each.dose] == doses


def test_what_ran_out_or_is_held_is_stopped() -> None:
    found = lines("HPI: Ran out of torsemide. Morphine held d/t sedation.")
    assert any("Torsemide (stopped), Morphine (stopped)" in each for each in found), found


def test_a_vaccine_is_no_disease() -> None:
    assert mentions("Immunizations up to date except influenza.") == ()


@pytest.mark.parametrize(
    ("text", "en"),
    [
        ("Ext: L calf 3 cm > R, + tenderness.", "Tenderness"),
        ("Abdomen soft, mild tenderness.", "Abdominal tenderness"),
        ("右小腿压痛。", "Tenderness"),
        ("腹软，压痛。", "Abdominal tenderness"),
    ],
)
def test_tenderness_is_where_it_is(text: str, en: str) -> None:
    assert [each.term.en for each in mentions(text) if each.term] == [en]


def test_a_medicine_told_as_taken_and_as_stopped_says_both() -> None:
    found = lines("现病史：3天前自行停用胰岛素。\n既往史：糖尿病8年，平素注射胰岛素。")
    assert any("胰岛素（另处记载已停用）" in each for each in found), found
