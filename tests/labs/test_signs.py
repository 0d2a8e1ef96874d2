"""Vital signs, scales and examination: inputs of scores, never flagged as laboratory results."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.labs import panel
from services.labs.findings import findings

SYSTEM = "http://loinc.org"
AT = "2026-03-01T08:00:00Z"


def sign(code: str, value: object, unit: str = "", category: str = "vital-signs") -> dict[str, Any]:
    coded = isinstance(value, str)
    kind = (
        {"valueCodeableConcept": {"coding": [{"code": value}], "text": "清醒"}}
        if coded
        else {"valueQuantity": {"value": value, "unit": unit, "code": unit}}
    )
    return {
        "id": code,
        "status": "final",
        "category": [{"coding": [{"code": category}]}],
        "code": {"coding": [{"system": SYSTEM, "code": code}]},
        "effectiveDateTime": AT,
        **kind,
    }


def lab(code: str, value: float, unit: str) -> dict[str, Any]:
    made = sign(code, value, unit)
    del made["category"]
    return made


PRESSURE = {
    "id": "bp",
    "status": "final",
    "category": [{"coding": [{"code": "vital-signs"}]}],
    "code": {"coding": [{"system": SYSTEM, "code": "85354-9"}]},
    "effectiveDateTime": AT,
    "component": [
        {
            "code": {"coding": [{"system": SYSTEM, "code": code}]},
            "valueQuantity": {"value": value, "unit": "mmHg", "code": "mm[Hg]"},
        }
        for code, value in (("8480-6", 95), ("8462-4", 60))
    ],
}
BREATH, PULSE = sign("9279-1", 26, "/min"), sign("8867-4", 118, "/min")
WARM, SATURATION = sign("8310-5", 101.3, "[degF]"), sign("59408-5", 93, "%")
GCS, OXYGEN = sign("9269-2", 14, "{score}", "survey"), sign("3151-8", 2, "L/min", "exam")
ALL = (BREATH, PULSE, WARM, SATURATION, GCS, OXYGEN, PRESSURE)


def read(*observations: object, **subject: object) -> pb.LabFindings:
    person = {"sex": "male", "age_years": 62, **subject}
    return findings(
        panel.read(json.dumps({"subject": person, "observations": observations}).encode())
    )


def scores(found: pb.LabFindings) -> dict[str, str]:
    return {each.score_id: each.value for each in found.scores if each.value}


@pytest.mark.requirement("DX-LAB-65")
def test_signs_are_shown_as_what_they_are_and_carry_no_flag() -> None:
    found = read(*ALL)
    by_id = {each.observation_id: each for each in found.results}
    assert {"bp#1", "bp#2"} <= by_id.keys() and "bp" not in by_id
    for each in found.results:
        assert not each.flag and not each.range_low and not each.HasField("not_interpreted")
    warm = by_id["8310-5"]
    assert (warm.category, warm.value_text, warm.display_zh) == ("vital-signs", "101.3", "体温")
    assert (warm.canonical_value, warm.canonical_unit) == ("38.5", "Cel")
    assert by_id["9269-2"].category == "survey" and by_id["3151-8"].category == "exam"


@pytest.mark.requirement("DX-LAB-65")
def test_an_oximeter_is_no_blood_gas() -> None:
    (result,) = read(sign("2708-6", 85, "%")).results
    assert result.category == "vital-signs" and not result.flag
    (result,) = read(lab("2708-6", 85, "%")).results
    assert not result.category


@pytest.mark.requirement("DX-LAB-65")
def test_the_scores_that_signs_complete_are_in_the_findings() -> None:
    labs = [lab("6690-2", 14.2, "10*9/L"), lab("22664-7", 9.1, "mmol/L")]
    found = read(*ALL, *labs, sign("29463-7", 70, "kg"), sign("8302-2", 175, "cm"))
    known = scores(found)
    # By hand, NEWS2: breathing 3, saturation 2, oxygen 2, pressure 2, pulse 2, GCS 14 3, 38.5 1.
    assert (known["news2"], known["qsofa"], known["sirs"]) == ("15", "3", "4")
    news = next(each for each in found.scores if each.score_id == "news2")
    inputs = {each.name: (each.value, each.observation_id) for each in news.inputs}
    assert inputs["not-alert"] == ("yes", "9269-2") and inputs["oxygen"] == ("yes", "3151-8")
    assert inputs["hypercapnic-scale"] == ("no", "59408-5")
    assert inputs["sbp"] == ("95", "bp#1")


@pytest.mark.requirement("DX-LAB-65")
@pytest.mark.parametrize(
    ("signs", "score"),
    [
        ((sign("29463-7", 70, "kg"), lab("14682-9", 88, "umol/L")), "cockcroft-gault"),
        ((sign("9270-0", 4, "{score}", "survey"), BREATH, PRESSURE, lab("22664-7", 9.1, "mmol/L")),
         "curb-65"),
        ((sign("3150-0", 40, "%", "exam"), lab("2703-7", 70, "mm[Hg]")), "pao2-fio2"),
    ],
)  # fmt: skip
def test_other_scores_with_signs(signs: tuple[object, ...], score: str) -> None:
    assert score in scores(read(*signs))


@pytest.mark.requirement("DX-LAB-65")
@pytest.mark.parametrize(("answer", "points"), [("248234008", "12"), ("450847001", "15")])
def test_alertness_may_come_as_a_coded_answer(answer: str, points: str) -> None:
    awake = sign("67775-7", answer, category="exam")
    found = read(BREATH, PULSE, WARM, SATURATION, OXYGEN, PRESSURE, awake)
    assert scores(found)["news2"] == points
    shown = next(each for each in found.results if each.observation_id == "67775-7")
    assert shown.value_text == "清醒" and not shown.HasField("not_interpreted")


@pytest.mark.requirement("DX-LAB-65")
def test_a_sign_taken_back_or_in_a_wrong_unit_is_no_input() -> None:
    gone = GCS | {"status": "entered-in-error"}
    assert "qsofa" not in scores(read(BREATH, gone, PRESSURE))
    assert "qsofa" not in scores(read(sign("9279-1", 26, "kg"), GCS, PRESSURE))
