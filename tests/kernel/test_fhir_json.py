"""JSON read and written without losing a digit or a character."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel import fhir
from services.kernel.errors import InvalidInput, Violation

NUMBER = st.from_regex(
    r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?", fullmatch=True
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def written(value: Any) -> str:
    """Write a tree whose numbers are given as text, as compact JSON."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{written(k)}:{written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, tuple):
        return str(value[0])
    return json.dumps(value, ensure_ascii=False)


TREE = st.recursive(
    st.none() | st.booleans() | TEXT | st.tuples(NUMBER),
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@pytest.mark.requirement("DX-RPC-09")
@given(TREE)
def test_any_json_comes_back_as_it_was_written(tree: Any) -> None:
    text = written(tree)
    value = fhir.parse(text.encode())
    back = fhir.dump(value)
    assert fhir.parse(back) == value
    keep = {"parse_float": str, "parse_int": str}
    assert json.loads(back, **keep) == json.loads(text, **keep), "each digit is kept"


@pytest.mark.requirement("DX-RPC-09")
@pytest.mark.parametrize("text", ["19.00", "-0", "1E+2", "-0.0", "9" * 30, "1e-400"])
def test_number_keeps_the_characters_it_came_with(text: str) -> None:
    assert fhir.dump(fhir.parse(text.encode())) == text.encode()


@given(
    st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0d8eE+-19 ', max_size=60).map(str.encode)
)
def test_any_bytes_are_json_that_can_be_written_or_invalid_input(content: bytes) -> None:
    try:
        value = fhir.parse(content)
    except InvalidInput:
        return
    fhir.dump(value)


@pytest.mark.requirement("DX-RPC-09")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"a":1,"a":2}', "DUPLICATE_KEY"),
        (b'[{"a":{"b":1,"b":1}}]', "DUPLICATE_KEY"),
        (b"NaN", "NOT_JSON"),
        (b"[-Infinity]", "NOT_JSON"),
        (b'"\\ud800"', "NOT_JSON"),
        (b'{"\\udfff":1}', "NOT_JSON"),
        (b"1e99999999999999999999", "INVALID_INPUT"),
        (b"\xff\xfe", "NOT_UTF8"),
        (b"{", "NOT_JSON"),
        (b'"a\x01"', "NOT_JSON"),
        (b"", "NOT_JSON"),
        (b"[" * 65 + b"]" * 65, "TOO_DEEP"),
        (b'{"a":' * 100_000, "TOO_DEEP"),
    ],
)
def test_what_is_refused_and_why(content: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        fhir.parse(content)
    assert refused.value.reason == reason


def test_depth_counts_brackets_outside_strings_alone() -> None:
    assert fhir.parse(b"[" * 64 + b"]" * 64)
    assert fhir.parse(json.dumps(["[" * 500, '"[\\"' * 500, "\\"]).encode())
    assert fhir.parse('\ufeff{"a":"😀"}'.encode()) == {"a": "😀"}
    assert fhir.parse(b'"\\ud83d\\ude00"') == "😀"


@pytest.mark.parametrize("escaped", [True, False])
def test_depth_is_that_of_the_value_whatever_its_strings_hold(escaped: bool) -> None:
    held = 'a "quoted\\" [mm[Hg]] {2} \\\\ 血 \n'
    deep: object = [held]
    for _ in range(fhir.DEPTH_MAX - 2):
        deep = {held: [held], "of": deep}
    assert fhir.parse(json.dumps(deep, ensure_ascii=escaped).encode()) == deep
    with pytest.raises(InvalidInput, match="deeper"):
        fhir.parse(json.dumps([[deep]], ensure_ascii=escaped).encode())


@pytest.mark.parametrize("content", [b'"\\"' * 300_000, b'"' + b"\\" * 900_001, b'"a"' * 300_000])
def test_hostile_strings_take_no_longer_than_their_length(content: bytes) -> None:
    began = time.perf_counter()
    with pytest.raises(InvalidInput):
        fhir.parse(content)
    assert time.perf_counter() - began < 2


@pytest.mark.requirement("DX-RPC-10")
def test_problem_names_its_path_and_not_the_value() -> None:
    found = fhir.problems(
        {"resourceType": "Patient", "name": [{"family": "Zhang"}, {"given": "San"}], "active": "x"}
    )
    assert {v.path for v in found} >= {"Patient.active", "Patient.name[1].given"}
    assert "San" not in str(found)
    assert fhir.problems({"resourceType": "Zhang San"})[0].path == "resourceType"
    assert "Zhang" not in str(fhir.problems({"resourceType": "Zhang San"}))
    for kind in ("HumanName", "String", "", None, 7):
        assert fhir.problems({"resourceType": kind})[0].path == "resourceType"
    assert fhir.problems({"resourceType": "Patient", "active": True}) == []


@pytest.mark.requirement("DX-RPC-10")
def test_outcome_has_one_issue_per_violation_with_its_expression() -> None:
    error = InvalidInput("two problems", [Violation("Patient.id", "missing"), Violation("", "odd")])
    issues = fhir.outcome(error)["issue"]
    assert [issue["details"]["text"] for issue in issues] == ["missing", "odd"]
    assert issues[0]["expression"] == ["Patient.id"]
    assert "expression" not in issues[1]
    assert {issue["code"] for issue in issues} == {"invalid"}
    assert fhir.problems(fhir.outcome(error)) == []
