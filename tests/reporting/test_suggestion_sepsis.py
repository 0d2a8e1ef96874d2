"""Sepsis: pressing where an infection is beside low pressure or lactate; no limits of adults."""

from __future__ import annotations

import pytest

from services.reporting.suggestions import catalogue
from services.reporting.suggestions.features import fact
from services.reporting.suggestions.model import Facts, Weighed
from tests.reporting.told import H, case, coded, result


def weigh(*keys: str) -> dict[str, Weighed]:
    facts = Facts()
    for each in keys:
        facts.add(fact(each))
    return {each.condition.id: each for each in catalogue.engine().weigh(facts).suggested}


@pytest.mark.requirement("DX-SUG-04")
@pytest.mark.parametrize(
    "signs",
    [
        ["note:Pneumonia", "vital:sbp = 88", "vital:temperature = 39.1"],
        ["note:Pneumonia", "lab:lactate = 5.4 high", "note:Fever"],
        ["note:Pyelonephritis", "vital:sbp = 88", "lab:lactate = 5.4 high"],
        ["note:Fever", "vital:sbp = 88", "lab:lactate = 5.4 high"],
    ],
)
def test_an_infection_with_low_pressure_or_lactate_is_a_red_flag(signs: list[str]) -> None:
    assert weigh(*signs, "vital:respiratory-rate = 26")["sepsis"].pressing


@pytest.mark.requirement("DX-SUG-13")
@pytest.mark.parametrize(("age", "there"), [(2, False), (17, False), (18, True), (None, True)])
def test_how_fast_a_child_breathes_is_not_held_to_an_adult(age: int | None, there: bool) -> None:
    keys = ["note:Fever", "lab:wbc = 13.2 high", "vital:respiratory-rate = 28"]
    made = weigh(*keys, *([f"person:age = {age}"] if age else []))
    assert ("sepsis" in made) is there


@pytest.mark.requirement("DX-SUG-13")
@pytest.mark.parametrize(("age", "there"), [(2, False), (9, False), (10, True), (70, True)])
def test_the_pressure_of_a_young_child_is_not_held_to_an_adult(age: int, there: bool) -> None:
    made = weigh("note:Sepsis", "vital:sbp = 85", f"person:age = {age}")
    assert made["sepsis"].pressing is there


@pytest.mark.requirement("DX-SUG-13")
def test_a_cold_of_a_child_is_no_sepsis() -> None:
    note = "患儿，男，2岁6月。\n主诉：发热2天，伴流涕。\n查体：T 38.2℃，P 120次/分，R 28次/分。"
    made = coded(case(note, results=[result("wbc", "13.2", H)]), "suggestion")
    assert "sepsis" not in made
