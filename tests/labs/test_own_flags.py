"""The laboratory's own flag: taken where nothing here says what is normal, and only there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.labs import own_flags, panel
from services.labs.findings import findings

V3 = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"


def one(name: str, flag: str, **value: Any) -> pb.LabResult:
    line = {
        "id": "o",
        "status": "final",
        "code": {"text": name},
        "interpretation": [{"coding": [{"system": V3, "code": code}]} for code in flag.split()],
    } | value
    document = {"subject": {"sex": "male", "age_years": 50}, "observations": [line]}
    return findings(panel.read(json.dumps(document).encode())).results[0]


def number(value: float, unit: str) -> dict[str, Any]:
    return {"valueQuantity": {"value": value, "unit": unit}}


@pytest.mark.requirement("DX-LDU-09")
@pytest.mark.parametrize(
    ("name", "flag", "value", "expected", "reason"),
    [
        ("脂肪酶", "H", number(320, "U/L"), pb.FLAG_HIGH, ""),
        ("脂肪酶", "HH", number(320, "U/L"), pb.FLAG_HIGH, ""),
        ("脂肪酶", "N", number(32, "U/L"), pb.FLAG_NORMAL, ""),
        ("未知项目", "A", {"valueString": "阳性"}, pb.FLAG_ABNORMAL, "UNKNOWN_CODE"),
        ("钾", "H", {"valueString": "see comment"}, pb.FLAG_HIGH, "VALUE_NOT_NUMERIC"),
    ],
)
def test_it_stands_where_nothing_else_does(
    name: str, flag: str, value: dict[str, Any], expected: int, reason: str
) -> None:
    found = one(name, flag, **value)
    assert (found.flag, found.not_interpreted.reason) == (expected, reason)
    assert found.range_source == own_flags.SOURCE


@pytest.mark.requirement("DX-LDU-09")
@pytest.mark.parametrize(
    ("name", "flag", "value", "expected"),
    [
        ("钾", "H", number(4.1, "mmol/L"), pb.FLAG_NORMAL),
        ("脂肪酶", "H L", number(320, "U/L"), pb.FLAG_UNSPECIFIED),
        ("脂肪酶", "S", number(320, "U/L"), pb.FLAG_UNSPECIFIED),
        ("肌酐", "H", number(88, "mol/L"), pb.FLAG_UNSPECIFIED),
        ("脂肪酶", "H", {"status": "entered-in-error", **number(9, "U/L")}, pb.FLAG_UNSPECIFIED),
    ],
)
def test_it_never_goes_before_what_is_known(
    name: str, flag: str, value: dict[str, Any], expected: int
) -> None:
    found = one(name, flag, **value)
    assert found.flag == expected and found.range_source != own_flags.SOURCE
