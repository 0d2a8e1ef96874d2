"""Which range and which critical limits a flag rests on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.kernel.errors import InvalidInput
from services.labs import critical, panel
from services.labs.analytes import ANALYTES, CODES
from services.labs.interpret import Flag, Result, interpret
from services.labs.panel import Subject
from services.labs.ranges import BUILT_IN

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
def test_at_least_forty_analytes_have_names_units_and_ranges() -> None:
    assert len(BUILT_IN) >= 40
    assert all(a.name_zh and a.name_en and a.unit for a in ANALYTES.values())
    assert {code.analyte.analyte_id for code in CODES.values()} <= set(ANALYTES)


@pytest.mark.requirement("DX-LAB-01")
@pytest.mark.parametrize(
    ("sex", "age", "high"),
    [("male", 59, "97"), ("male", 60, "111"), ("female", 45, "73"), ("female", 79.9, "81")],
)
def test_range_follows_sex_and_age(sex: str, age: float, high: str) -> None:
    creatinine = observation("14682-9", valueQuantity=value(60, "umol/L"))
    result = one(creatinine, subject={"sex": sex, "age_years": age})
    assert result.range and str(result.range.high) == high
    assert "transcribed from secondary sources" in result.range.source


@pytest.mark.requirement("DX-LAB-05")
@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ({"sex": "male", "age_years": 0.0}, "NO_RANGE_FOR_AGE"),
        ({"sex": "male", "age_years": 85}, "NO_RANGE_FOR_AGE"),
        ({"sex": "unknown", "age_years": 40}, "NO_RANGE_FOR_SEX"),
        ({"sex": "male", "age_years": None}, "AGE_UNKNOWN"),
        ({"sex": "male", "age_years": 210}, "AGE_UNKNOWN"),
        ({"sex": "female", "age_years": 30, "pregnant": True}, "NO_RANGE_IN_PREGNANCY"),
        ("nonsense", "AGE_UNKNOWN"),
    ],
)
def test_no_range_for_this_person_leaves_the_value_without_a_flag(
    subject: object, reason: str
) -> None:
    result = one(observation("14682-9", valueQuantity=value(60, "umol/L")), subject=subject)
    assert (result.flag, result.shown, reason_of(result)) == (None, "60", reason)


@pytest.mark.requirement("DX-LAB-05")
def test_child_is_flagged_by_its_own_range_only() -> None:
    child = {"sex": "female", "age_years": 3}
    plain = observation(valueQuantity=value(6.3))
    assert one(plain, subject=child).flag is None
    ranged = observation(
        valueQuantity=value(6.3), referenceRange=[{"low": {"value": 3.4}, "high": {"value": 4.7}}]
    )
    assert one(ranged, subject=child).flag is Flag.HIGH


@pytest.mark.requirement("DX-LAB-05")
def test_unknown_age_is_held_to_adult_critical_limits_and_says_so() -> None:
    result = one(observation(valueQuantity=value(7.0)), subject={})
    assert result.flag is Flag.CRITICAL_HIGH
    assert result.critical_source.endswith("age not stated")


@pytest.mark.requirement("DX-LAB-05")
def test_own_range_goes_first_in_its_own_unit() -> None:
    own = {"low": value(13.5, "g/dL"), "high": value(17.5, "g/dL")}
    result = one(
        observation("718-7", valueQuantity=value(134, "g/L"), referenceRange=[own]),
    )
    assert result.flag is Flag.LOW  # the built-in range begins at 130 g/L
    assert result.range and result.range.source == "the laboratory's own range"


@pytest.mark.requirement("DX-LAB-05")
def test_of_several_own_ranges_the_fitting_one_is_used() -> None:
    def entry(low: float, sex: str, years: tuple[int, int]) -> dict[str, Any]:
        ends = dict(zip(("low", "high"), ({"value": y, "unit": "a"} for y in years), strict=True))
        return {"low": {"value": low}, "age": ends, "appliesTo": [{"coding": [{"code": sex}]}]}

    entries = [
        entry(1, "female", (18, 99)),
        entry(2, "male", (18, 59)),
        entry(3, "male", (60, 99)),
        {"low": {"value": 4}, "type": {"coding": [{"code": "therapeutic"}]}},
    ]
    result = one(observation(referenceRange=entries))
    assert result.range and result.range.low == 3
    two = [{"low": {"value": 1}}, {"low": {"value": 2}}]
    ambiguous = one(observation(referenceRange=two))
    assert ambiguous.range and ambiguous.range.source.startswith("WS/T")


@pytest.mark.requirement("DX-LAB-05")
@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("3.9-5.0", True),
        ("3.9 ～ 5.0", True),
        ("<5.0", True),
        ("≤5.0", True),
        ("＞4.0", True),
        ("3.9-5.0 mg/dL", False),
        ("5.0-3.9", False),
        ("阴性", False),
        ("-", False),
    ],
)
def test_own_range_written_as_text_is_read_only_when_it_is_plain(text: str, own: bool) -> None:
    result = one(observation(valueQuantity=value(5.2), referenceRange=[{"text": text}]))
    high = own and not text.startswith("＞")
    assert result.flag is (Flag.HIGH if high else Flag.NORMAL)
    assert result.range and (result.range.source == "the laboratory's own range") is own


@pytest.mark.requirement("DX-LAB-06")
def test_tenant_limits_replace_the_default_row() -> None:
    table = {
        **critical.DEFAULTS,
        **critical.load(
            [{"analyte": "k", "unit": "mmol/L", "low": "", "high": "5.9", "source": ""}]
        ),
    }
    part = panel.read(
        json.dumps(
            {"subject": MAN_62, "observations": [observation(valueQuantity=value(6.0))]}
        ).encode()
    )
    (result,) = interpret(part.measured, part.subject, table)
    assert result.flag is Flag.CRITICAL_HIGH
    assert result.critical_source == "the tenant's table"


@pytest.mark.requirement("DX-LAB-06")
@pytest.mark.parametrize(
    "row",
    [
        {"analyte": "nothing", "unit": "mmol/L", "low": "1", "high": "2"},
        {"analyte": "k", "unit": "s", "low": "1", "high": "2"},
        {"analyte": "k", "unit": "mmol/L", "low": "x", "high": "2"},
        {"analyte": "k", "unit": "mmol/L", "low": "3", "high": "2"},
    ],
)
def test_table_with_a_wrong_row_is_refused(row: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        critical.load([row])
    assert refused.value.violations[0].path == "row 1"


def test_adult_begins_at_eighteen() -> None:
    assert Subject(age_years=18).adult and not Subject(age_years=17.99).adult
