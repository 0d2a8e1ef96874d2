"""Every result comes back once, interpreted or with the reason why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.errors import InvalidInput
from services.labs import critical, panel
from services.labs.analytes import ANALYTES, CODES
from services.labs.findings import findings
from services.labs.interpret import Flag, Result, interpret
from services.labs.panel import Subject
from services.labs.ranges import BUILT_IN

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


@pytest.mark.requirement("DX-LAB-01")
def test_at_least_forty_analytes_have_names_units_and_ranges() -> None:
    assert len(BUILT_IN) >= 40
    assert all(a.name_zh and a.name_en and a.unit for a in ANALYTES.values())
    assert {code.analyte.analyte_id for code in CODES.values()} == set(ANALYTES)


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
        ({"sex": "male", "age_years": 9}, "NO_RANGE_FOR_AGE"),
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
    plain = observation(valueQuantity=value(7.0))
    assert one(plain, subject=child).flag is None
    ranged = observation(
        valueQuantity=value(7.0), referenceRange=[{"low": {"value": 3.4}, "high": {"value": 4.7}}]
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
        ("<5.0", False),
        ("3.9-5.0 mg/dL", False),
        ("5.0-3.9", False),
        ("阴性", False),
        ("-", False),
    ],
)
def test_own_range_written_as_text_is_read_only_when_it_is_plain(text: str, own: bool) -> None:
    result = one(observation(valueQuantity=value(5.2), referenceRange=[{"text": text}]))
    assert result.flag is (Flag.HIGH if own else Flag.NORMAL)
    assert result.range and (result.range.source == "the laboratory's own range") is own


@pytest.mark.requirement("DX-LAB-03")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"valueQuantity": None, "valueString": "5.1"}, "VALUE_NOT_NUMERIC"),
        ({"valueQuantity": value(0.01, comparator="<")}, "VALUE_HAS_COMPARATOR"),
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
        ({"code": {"text": "血钾"}}, "UNKNOWN_CODE"),
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
                {"observations": [observation(valueQuantity=value(0.01, comparator="<"))]}
            ).encode()
        )
    )
    assert limit.results[0].value_text == "<0.01"
    assert limit.results[0].not_interpreted.reason == "VALUE_HAS_COMPARATOR"


@pytest.mark.requirement("DX-LAB-02")
def test_converted_value_is_not_shorter_than_it_came() -> None:
    result = one(observation("2160-0", valueQuantity=value(1.4, "mg/dL")))
    assert result.shown == "123.8"


@pytest.mark.requirement("DX-LAB-02")
def test_quantity_of_scale_one_needs_no_unit_and_base_excess_may_be_negative() -> None:
    assert one(observation("6301-6", valueQuantity={"value": 1.1})).shown == "1.1"
    assert one(observation("2744-1", valueQuantity={"value": 7.1})).flag is Flag.CRITICAL_LOW
    assert one(observation("11555-0", valueQuantity=value(-6))).shown == "-6"


@pytest.mark.requirement("DX-LAB-04")
@pytest.mark.parametrize("number", ["1E999999", "-1E999999", "1E-999999", "9" * 4000, "0E999999"])
def test_number_of_any_size_is_answered(number: str) -> None:
    content = json.dumps(
        {
            "subject": MAN_62,
            "observations": [
                observation(valueQuantity=value(0), referenceRange=[{"low": {"value": 0}}])
            ],
        }
    )
    message = findings(panel.read(content.replace('"value": 0', f'"value": {number}').encode()))
    assert message.results[0].value_text == number
    assert message.results[0].not_interpreted.reason == "VALUE_OUT_OF_SCALE"
    only_range = json.dumps(
        {"subject": MAN_62, "observations": [observation(referenceRange=[{"low": {"value": 0}}])]}
    )
    message = findings(panel.read(only_range.replace('"value": 0', f'"value": {number}').encode()))
    assert message.results[0].range_source.startswith("WS/T")


@pytest.mark.requirement("DX-LAB-04")
def test_components_are_results_of_their_own() -> None:
    part = {k: v for k, v in observation().items() if k in ("code", "valueQuantity")}
    both = observation(id="p", component=[part, part])
    assert [r.measured.observation_id for r in run(both)] == ["p", "p#1", "p#2"]
    group = observation(id="p", component=[part, part], valueQuantity=None)
    assert [r.measured.observation_id for r in run(group)] == ["p#1", "p#2"]


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


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "status",
                    "code",
                    "coding",
                    "system",
                    "value",
                    "unit",
                    "valueQuantity",
                    "low",
                    "referenceRange",
                    "component",
                    "hasMember",
                    "age",
                    "appliesTo",
                    "effectivePeriod",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
CODED = st.builds(
    lambda loinc, number, unit, extra: {
        **observation(loinc, valueQuantity=value(number, unit)),
        **extra,
    },
    st.sampled_from(sorted(CODES)),
    JSON,
    st.sampled_from(["mmol/L", "g/L", "%", "U/L", "10*9/L", "", "mg/dL"]),
    st.dictionaries(st.sampled_from(["referenceRange", "component", "status", "id"]), JSON),
)


@pytest.mark.requirement("DX-LAB-04")
@settings(max_examples=300, deadline=None)
@given(st.lists(JSON | CODED, max_size=5), JSON)
def test_nothing_crashes_and_nothing_is_dropped(observations: list[Any], subject: Any) -> None:
    content = json.dumps({"subject": subject, "observations": observations}).encode()
    message = findings(panel.read(content))
    expected: list[str] = []
    for number, each in enumerate(observations, 1):
        found = each if isinstance(each, dict) else {}
        own_id = found.get("id")
        name = own_id if isinstance(own_id, str) and own_id else f"lab-{number}"
        parts = found.get("component")
        count = len(parts) if isinstance(parts, list) else 0
        has_value = any(k.startswith("value") for k in found)
        expected += [name] * (has_value or not count)
        expected += [f"{name}#{n}" for n in range(1, count + 1)]
    assert [r.observation_id for r in message.results] == expected
    for result in message.results:
        assert bool(result.flag) != bool(result.not_interpreted.reason)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"observations": {}}', b"\xff"])
def test_what_is_not_a_labs_part_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        panel.read(content)


@pytest.mark.requirement("DX-LAB-01")
def test_sample_panel_is_interpreted() -> None:
    found = [json.loads(path.read_text("utf-8")) for path in sorted(SAMPLES.glob("*.json"))]
    results = run(*found)
    assert len(results) == 23
    flags = {r.analyte.analyte_id: r.flag.value for r in results if r.analyte and r.flag}
    assert flags["k"] == "HH" and flags["na"] == "N" and flags["hgb"] == "L"
    refused = {r.measured.observation_id: reason_of(r) for r in results if r.reason}
    assert refused == {
        "demo-lab-troponin-i": "VALUE_HAS_COMPARATOR",
        "demo-lab-cea": "VALUE_NOT_NUMERIC",
    }


def test_adult_begins_at_eighteen() -> None:
    assert Subject(age_years=18).adult and not Subject(age_years=17.99).adult
