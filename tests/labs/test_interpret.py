"""Every result comes back once, interpreted or with the reason why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.labs import panel
from services.labs.findings import findings
from services.labs.interpret import Flag, Result, interpret

SAMPLES = Path(__file__).parents[2] / "samples" / "labs"


MAN_62 = {"sex": "male", "age_years": 62, "pregnant": None}


UCUM = "http://unitsofmeasure.org"


def observation(loinc: str = "2823-3", **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "valueQuantity": {"value": 4.1, "unit": "mmol/L", "system": UCUM, "code": "mmol/L"},
    }
    return {key: value for key, value in (fields | changes).items() if value is not None}


def value(number: object, unit: str = "mmol/L", **more: Any) -> dict[str, Any]:
    return {"value": number, "unit": unit, **more}


def run(*observations: object, subject: object = MAN_62) -> list[Result]:
    content = json.dumps({"subject": subject, "observations": observations}).encode()
    part = panel.read(content)
    return interpret(part.measured, part.subject)


def one(*observations: object, subject: object = MAN_62) -> Result:
    (result,) = run(*observations, subject=subject)
    return result


def reason_of(result: Result) -> str:
    return result.reason.reason if result.reason else ""


@pytest.mark.requirement("DX-LAB-01")
@pytest.mark.parametrize(
    ("number", "flag"),
    [
        (2.7, Flag.CRITICAL_LOW),
        (2.8, Flag.LOW),
        (3.5, Flag.NORMAL),
        (5.3, Flag.NORMAL),
        (5.4, Flag.HIGH),
        (6.2, Flag.HIGH),
        (6.3, Flag.CRITICAL_HIGH),
    ],
)
def test_flag_at_and_beside_each_limit(number: float, flag: Flag) -> None:
    result = one(observation(valueQuantity=value(number)))
    assert (result.flag, result.reason) == (flag, None)
    assert bool(result.critical_source) == result.critical


@pytest.mark.requirement("DX-LAB-03")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"valueQuantity": None, "valueString": "5.1"}, "MISSING_UNIT"),
        ({"valueQuantity": None, "valueString": "see comment"}, "VALUE_NOT_NUMERIC"),
        ({"valueQuantity": None, "valueString": "1:80"}, "VALUE_NOT_NUMERIC"),
        ({"valueQuantity": None, "valueString": "待复检"}, "ANSWER_PENDING"),
        ({"valueQuantity": value(4.1, comparator="~")}, "VALUE_NOT_NUMERIC"),
        ({"valueQuantity": value(-4.1)}, "NEGATIVE_VALUE"),
        ({"valueQuantity": {"value": 4.1}}, "MISSING_UNIT"),
        ({"valueQuantity": None, "valueInteger": 4}, "MISSING_UNIT"),
        ({"valueQuantity": value(4.1, "bananas")}, "UNKNOWN_UNIT"),
        ({"valueQuantity": value(4.1, "mg/dL")}, "WRONG_DIMENSION"),
        ({"valueQuantity": value(4.1, "mg/L", code="mmol/L")}, "UNIT_CONFLICT"),
        ({"valueQuantity": value(4.1, "mmol/dL", code="mmol/L")}, "UNIT_CONFLICT"),
        ({"valueQuantity": value(10**40)}, "VALUE_OUT_OF_SCALE"),
        ({"valueQuantity": None}, "NO_VALUE"),
        ({"valueQuantity": None, "hasMember": [{"reference": "#x"}]}, "PANEL"),
        ({"code": {"text": "血清某物"}}, "UNKNOWN_CODE"),
        ({"code": {"coding": [{"system": "urn:local", "code": "2823-3"}]}}, "UNKNOWN_CODE"),
        (
            {
                "code": {
                    "coding": [
                        {"system": "http://loinc.org", "code": code}
                        for code in ("2823-3", "2951-2")
                    ]
                }
            },
            "CODE_CONFLICT",
        ),
        ({"status": "entered-in-error"}, "STATUS_ENTERED_IN_ERROR"),
        ({"status": "cancelled"}, "STATUS_CANCELLED"),
        ({"status": None}, "STATUS_UNKNOWN"),
    ],
)
def test_what_is_not_certain_is_not_interpreted(changes: dict[str, Any], reason: str) -> None:
    result = one(observation(**changes))
    assert (result.flag, result.canonical, reason_of(result)) == (None, None, reason)


@pytest.mark.requirement("DX-LAB-03")
def test_value_comes_back_digit_for_digit() -> None:
    content = b'{"observations": [{"status": "final", "valueQuantity": {"value": %s}}]}'
    for written in (b"4.10", b"0.0100", b"1E1", b"7"):
        message = findings(panel.read(content % written))
        assert message.results[0].value_text == written.decode()
    limit = findings(
        panel.read(
            json.dumps(
                {"observations": [observation(valueQuantity=value(4.0, comparator="<"))]}
            ).encode()
        )
    )
    assert limit.results[0].value_text == "<4.0"
    assert (limit.results[0].comparator, limit.results[0].canonical_high) == ("<", "4")
    assert limit.results[0].canonical_value == ""
    assert limit.results[0].not_interpreted.reason == "AGE_UNKNOWN"


@pytest.mark.requirement("DX-LAB-02")
def test_converted_value_is_not_shorter_than_it_came() -> None:
    result = one(observation("2160-0", valueQuantity=value(1.4, "mg/dL")))
    assert result.shown == "123.8"


@pytest.mark.requirement("DX-LAB-02")
def test_quantity_of_scale_one_needs_no_unit_and_base_excess_may_be_negative() -> None:
    assert one(observation("6301-6", valueQuantity={"value": 1.1})).shown == "1.1"
    assert one(observation("2744-1", valueQuantity={"value": 7.1})).flag is Flag.CRITICAL_LOW
    assert one(observation("11555-0", valueQuantity=value(-6))).shown == "-6"


@pytest.mark.requirement("DX-LAB-01")
def test_sample_panel_is_interpreted() -> None:
    found = [json.loads(path.read_text("utf-8")) for path in sorted(SAMPLES.glob("*.json"))]
    results = run(*found)
    assert len(results) == 23
    flags = {r.analyte.analyte_id: r.flag.value for r in results if r.analyte and r.flag}
    assert flags["k"] == "HH" and flags["na"] == "N" and flags["hgb"] == "L"
    refused = {r.measured.observation_id: reason_of(r) for r in results if r.reason}
    assert refused == {
        "demo-lab-troponin-i": "NO_RANGE",
        "demo-lab-cea": "SPECIMEN_UNUSABLE",
    }
