"""Values as ward notes write them: without stops, in capitals, with thousands, as limits."""

from __future__ import annotations

import pytest

from services.nlp.notes import Note
from services.nlp.reading import read

pytestmark = pytest.mark.requirement("DX-NLP-03")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Lipase was 4,850 U/L.", ["Lipase 4850"]),
        (
            "VS: T 37.4 HR 118 BP 104/68 RR 26 SpO2 89% RA.",
            [
                "Body temperature 37.4",
                "Heart rate 118",
                "Blood pressure 104",
                "Respiratory rate 26",
                "Oxygen saturation 89",
            ],
        ),
        (
            "查体：T36.5 P80 R18 BP120/80。",
            [
                "Body temperature 36.5",
                "Heart rate 80",
                "Respiratory rate 18",
                "Blood pressure 120",
            ],
        ),
        ("免疫组化：P63（-），P53（+）。", []),
        ("blood pressure is 162 over 88", ["Blood pressure 162"]),
        ("If temp > 103, go to ER.", []),
        ("LABS: CR 1.1, NA 130.", ["Creatinine 1.1", "Sodium 130"]),
        ("Labs: plt 68, Cr 1.2", ["Platelets 68", "Creatinine 1.2"]),
        ("G1P0 @ 34w2d.", ["Pregnancies 1", "Parity 0", "Gestational age 34w2d"]),
        ("LVEF 28%，NIHSS评分9分", ["Left ventricular ejection fraction 28", "NIH stroke scale 9"]),
    ],
)
def test_values(text: str, values: list[str]) -> None:
    found = read(Note("n", "zh", text)).measurements
    assert [f"{each.value.en} {each.value.value}" for each in found] == values


def test_how_often_somebody_was_pregnant_is_not_over() -> None:
    found = read(Note("n", "zh", "孕产史：G3P1，2022年行剖宫产术。")).measurements
    assert [each.historical for each in found] == [False, False]
