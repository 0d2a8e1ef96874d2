"""Complaints told as a measure are read as the problem they mean."""

from __future__ import annotations

import pytest

from tests.nlp.reading_of import mentions

pytestmark = pytest.mark.requirement("DX-NLP-13")


def problems(text: str) -> dict[str, str]:
    return {each.written: each.term.en for each in mentions(text) if each.term}


@pytest.mark.parametrize(
    ("text", "written", "name"),
    [
        ("He lost about 5 kg over two months.", "lost about 5 kg", "Weight loss"),
        ("She has lost 10-15 pounds since May.", "lost 10-15 pounds", "Weight loss"),
        ("Lost twenty lbs.", "Lost twenty lbs", "Weight loss"),
        ("Lost 8% of her body weight.", "Lost 8% of her body weight", "Weight loss"),
        ("Weight down 12 kg.", "Weight down 12 kg", "Weight loss"),
        ("Gained approximately 10 lb.", "Gained approximately 10 lb", "Increased body weight"),
        ("近2月体重在饮食正常下下降约5kg。", "体重在饮食正常下下降约5kg", "Weight loss"),
        ("体重由６５ｋｇ降至５８ｋｇ。", "体重由６５ｋｇ降至５８ｋｇ", "Weight loss"),
        ("半年来瘦了十余斤。", "瘦了十余斤", "Weight loss"),
        ("體重1月內減輕約3公斤。", "體重1月內減輕約3公斤", "Weight loss"),
        ("体重近3月增加5公斤。", "体重近3月增加5公斤", "Increased body weight"),
        ("体温最高39.2℃，伴咳嗽。", "体温最高39.2℃", "Fever"),
        ("T：38.5℃，P：90次/分。", "T：38.5℃", "Fever"),
        ("Temperature was 102.4 F.", "Temperature was 102.4 F", "Fever"),
        ("Coughed up 50 ml of fresh blood.", "Coughed up 50 ml of fresh blood", "Hemoptysis"),
        ("He has 8 watery stools a day.", "8 watery stools", "Diarrhea"),
        ("呕鲜红色血约200ml。", "呕鲜红色血约200ml", "Hematemesis"),
    ],
)
def test_measure_is_read_as_what_it_means(text: str, written: str, name: str) -> None:
    found = problems(text)
    assert found.get(written) == name


@pytest.mark.parametrize(
    "text",
    [
        "体温36.8℃。",
        "Temperature 98.6 F.",
        "T12 compression, 40 mg given.",
        "Lost 2 teeth.",
        "体重65kg。",
        "He lost contact 5 years ago.",
        "T4 9.5 pmol/L",
    ],
)
def test_measure_of_something_else_is_no_complaint(text: str) -> None:
    assert not {"Fever", "Weight loss", "Increased body weight"} & set(problems(text).values())
