"""Limits (>6.0), ranges of values (3-5), dilutions (1:80): interpreted as what they are."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from dxmesh.labs.v1 import lab_findings_pb2 as pb
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.labs import panel, values
from services.labs.findings import findings
from services.labs.interpret import Flag, Result, interpret
from services.labs.interval import Interval, beyond

MAN_62 = {"sex": "male", "age_years": 62, "pregnant": None}


def observation(loinc: str, **changes: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": loinc}]}
    return {"id": "o1", "status": "final", "code": code, **changes}


def limit(loinc: str, sign: str, number: float, unit: str, **more: Any) -> dict[str, Any]:
    quantity = {"value": number, "unit": unit, "comparator": sign}
    return observation(loinc, valueQuantity=quantity, **more)


def part(*observations: dict[str, Any]) -> panel.LabPart:
    document = {"subject": MAN_62, "observations": observations}
    return panel.read(json.dumps(document).encode())


def one(found: dict[str, Any]) -> Result:
    read = part(found)
    (result,) = interpret(read.measured, read.subject)
    return result


@pytest.mark.requirement("DX-LDU-01")
@pytest.mark.parametrize(
    ("loinc", "sign", "number", "unit", "flag"),
    [
        ("2823-3", ">", 5.3, "mmol/L", Flag.HIGH),
        ("2823-3", ">", 6.2, "mmol/L", Flag.CRITICAL_HIGH),
        ("2823-3", ">=", 6.3, "mmol/L", Flag.CRITICAL_HIGH),
        ("2823-3", ">=", 6.2, "mmol/L", Flag.HIGH),
        ("2823-3", "<", 3.5, "mmol/L", Flag.LOW),
        ("2823-3", "<", 2.8, "mmol/L", Flag.CRITICAL_LOW),
        ("2823-3", ">", 4.0, "mmol/L", None),
        ("2823-3", "<", 5.0, "mmol/L", None),
        ("67151-1", "<", 3, "ng/L", Flag.NORMAL),
        ("67151-1", "<", 30, "ng/L", None),
        ("67151-1", ">", 10000, "ng/L", Flag.CRITICAL_HIGH),
        ("33914-3", ">", 90, "mL/min/{1.73_m2}", Flag.NORMAL),
        ("2160-0", ">", 15, "mg/dL", Flag.CRITICAL_HIGH),
    ],
)
def test_a_limit_is_flagged_only_where_that_is_certain(
    loinc: str, sign: str, number: float, unit: str, flag: Flag | None
) -> None:
    result = one(limit(loinc, sign, number, unit))
    assert result.flag is flag and result.canonical is None and result.interval
    reason = result.reason.reason if result.reason else ""
    assert reason == ("" if flag else "FLAG_NOT_DETERMINABLE")


@pytest.mark.requirement("DX-LDU-01")
def test_what_may_be_critical_says_so() -> None:
    (found,) = findings(part(limit("2823-3", ">", 6.0, "mmol/L"))).results
    assert found.flag == pb.FLAG_HIGH and found.value_kind == pb.VALUE_KIND_LIMIT
    assert [each.reason for each in found.remarks] == ["CRITICAL_NOT_EXCLUDED"]
    assert (found.value_text, found.comparator, found.canonical_low) == (">6.0", ">", "6")
    (found,) = findings(part(limit("2823-3", ">", 7, "mmol/L"))).results
    assert found.flag == pb.FLAG_CRITICAL_HIGH and found.critical_source and not found.remarks


@pytest.mark.requirement("DX-LDU-01")
@pytest.mark.parametrize(
    ("value", "flag", "kind"),
    [
        ({"valueString": "6.5-7"}, Flag.CRITICAL_HIGH, "range"),
        ({"valueString": "3.6-4.2 mmol/L"}, Flag.NORMAL, "range"),
        ({"valueString": "3-5 mmol/L"}, None, "range"),
        ({"valueString": ">6.5 mmol/L"}, Flag.CRITICAL_HIGH, "limit"),
        ({"valueString": "≤2.0mmol/L"}, Flag.CRITICAL_LOW, "limit"),
        ({"valueString": "4.10 mmol/L"}, Flag.NORMAL, "number"),
        (
            {"valueRange": {"low": {"value": 3.6, "unit": "mmol/L"}, "high": {"value": 4.2}}},
            Flag.NORMAL,
            "range",
        ),
    ],
)
def test_values_written_as_text_are_read(
    value: dict[str, Any], flag: Flag | None, kind: str
) -> None:
    if value.get("valueString") == "6.5-7":
        value = {"valueString": "6.5-7 mmol/L"}
    result = one(observation("2823-3", **value))
    assert (result.flag, result.kind.value) == (flag, kind)


@pytest.mark.requirement("DX-LDU-01")
def test_a_limit_reaches_rules_only_where_it_is_certain() -> None:
    def risks(*observations: dict[str, Any]) -> set[str]:
        return {each.risk_id for each in findings(part(*observations)).risks}

    exact = observation("2823-3", valueQuantity={"value": 6.8, "unit": "mmol/L"})
    severe = risks(exact)
    assert severe and risks(limit("2823-3", ">", 6.8, "mmol/L")) == severe
    assert not risks(limit("2823-3", ">", 4.0, "mmol/L"))
    assert not risks(limit("2823-3", "<", 9.0, "mmol/L"))
    score = findings(part(limit("2160-0", ">", 15, "mg/dL"))).scores
    assert not any(each.value for each in score)


DECIMALS = st.decimals(0, 20, places=2)


@pytest.mark.requirement("DX-LDU-01")
@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["<", "<=", ">", ">="]), DECIMALS, DECIMALS, DECIMALS)
def test_every_value_a_limit_allows_has_its_side(
    sign: str, bound: Decimal, one_end: Decimal, other_end: Decimal
) -> None:
    low, high = sorted((one_end, other_end))
    side = beyond(sign, bound, can_be_negative=False).side(low, high)
    hair = Decimal("0.001")
    assume(sign != "<" or bound > 0)
    allowed = {
        *(value for value in (bound - hair, bound / 2, Decimal(0)) if sign in ("<", "<=")),
        *(value for value in (bound + hair, bound * 2 + 1, Decimal(10**6)) if sign[0] == ">"),
        *([bound] if "=" in sign else []),
    }
    allowed = {value for value in allowed if value >= 0}
    sides = {(value > high) - (value < low) for value in allowed}
    if side is not None:
        assert sides <= {side}
    elif len(sides) == 1 and low < high:
        between = Interval(min(allowed), max(allowed))  # certain only between those that were tried
        assert (
            between.side(low, high) == sides.pop() or bound in (low, high) or low <= bound <= high
        )


@given(st.text("<>≤≥=0123456789.:-~ mgL/", max_size=20))
def test_no_text_crashes_and_what_is_read_is_written(text: str) -> None:
    found = values.read(text)
    if found and not found.titre:
        assert found.number >= 0 or "-" in text
        assert found.high is None or found.number < found.high
