"""Answers of ordinal tests, as laboratories write them."""

from __future__ import annotations

import json

import pytest
from dxmesh.labs.v1 import lab_findings_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from services.labs import panel, qualitative
from services.labs.findings import findings


@pytest.mark.requirement("DX-LAB-16")
@pytest.mark.parametrize(
    ("text", "answer", "grade"),
    [
        ("阴性", "negative", 0),
        ("阴性（-）", "negative", 0),
        ("(-)", "negative", 0),
        ("－", "negative", 0),
        ("Non-Reactive", "negative", 0),
        ("NOT DETECTED", "negative", 0),
        ("阳性(+)", "positive", 0),
        ("Reactive", "positive", 0),
        ("+", "positive", 1),
        ("2+", "positive", 2),
        ("＋＋＋", "positive", 3),
        ("±", "borderline", 0),
        ("+-", "borderline", 0),
        ("弱阳性(±)", "borderline", 0),
        ("Trace", "borderline", 0),
        ("弱阳性(+)", "borderline", 0),
        ("阳性(3+)", "positive", 3),
        ("3+(阳性)", "positive", 3),
        ("陽性（＋＋）", "positive", 2),
        ("1+ (trace)", "borderline", 0),
        ("not reactive", "negative", 0),
        ("Target not detected", "negative", 0),
        ("低于检测下限", "negative", 0),
        ("少量", "borderline", 0),
        ("偶见", "borderline", 0),
        ("阳性 1:320", "positive", 0),
        ("待复检", "pending", 0),
    ],
)
def test_known_spellings_are_read(text: str, answer: str, grade: int) -> None:
    found = qualitative.read(text)
    assert found is not None and (found.answer.value, found.grade) == (answer, grade)


@pytest.mark.requirement("DX-LAB-16")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "阳性(-)",
        "阴性(+)",
        "弱阳性(3+)",
        "阳性阴性",
        "(1:80)",
        "not negative",
        "1:80",
        "0.03",
        "<0.05",
        "+++++",
        "见备注",
        "x" * 90,
    ],
)
def test_what_is_not_certain_stays_unread(text: str) -> None:
    assert qualitative.read(text) is None


@given(st.text(max_size=80))
def test_no_text_crashes(text: str) -> None:
    found = qualitative.read(text)
    assert found is None or 0 <= found.grade <= 4


@pytest.mark.requirement("DX-LAB-16")
@pytest.mark.parametrize(
    ("value", "flag", "reason"),
    [
        ({"valueString": "阳性"}, pb.FLAG_ABNORMAL, ""),
        ({"valueString": "阴性"}, pb.FLAG_NORMAL, ""),
        ({"valueString": "±"}, pb.FLAG_ABNORMAL, ""),
        ({"valueString": "待复查"}, pb.FLAG_UNSPECIFIED, "ANSWER_PENDING"),
        ({"valueString": "见图"}, pb.FLAG_UNSPECIFIED, "ANSWER_NOT_READ"),
        ({"valueQuantity": {"value": 0.02, "unit": "[IU]/mL"}}, 0, "ANSWER_NOT_READ"),
        ({}, pb.FLAG_UNSPECIFIED, "NO_VALUE"),
        (
            {"valueCodeableConcept": {"coding": [{"code": "10828004", "display": "Positive"}]}},
            pb.FLAG_ABNORMAL,
            "",
        ),
    ],
)
def test_an_answer_becomes_a_flag_or_a_reason(
    value: dict[str, object], flag: int, reason: str
) -> None:
    code = {"coding": [{"system": "http://loinc.org", "code": "5196-1"}]}
    observation = {"id": "a", "status": "final", "code": code, **value}
    document = {"subject": {}, "observations": [observation]}
    (found,) = findings(panel.read(json.dumps(document).encode())).results
    assert (found.flag, found.not_interpreted.reason) == (flag, reason)
    assert found.display_zh == "乙肝表面抗原" and found.loinc_code == "5196-1"
