"""Results, scores and what statements rest on, as the review page shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.gateway.pdf.together import _sides
from services.gateway.web.drawing import BAR_WIDTH, LINE_HEIGHT, LINE_WIDTH, bar, line
from services.gateway.web.evidence import evidence_of
from services.gateway.web.laboratory import laboratory
from services.gateway.web.reading import Finding, Reading, read
from services.kernel import fhir

LABORATORY = [{"coding": [{"code": "laboratory"}]}]
EXAMPLE = Path(__file__).parents[1] / "reporting" / "data" / "report_bundle_en.json"
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.fixture(scope="module")
def report() -> Reading:
    return read(fhir.parse(EXAMPLE.read_bytes()))


def finding(reading: Reading, kind: str, words: str) -> Finding:
    return next(each for each in reading.findings if each.kind == kind and words in each.title)


@pytest.mark.parametrize(("unit", "shown"), [("1", ""), ("mmol/L", "mmol/L")])
def test_a_number_without_dimension_shows_no_unit(unit: str, shown: str) -> None:
    score = {
        "id": "s",
        "category": LABORATORY,
        "method": {"text": "a source"},
        "valueQuantity": {"value": 4.24, "unit": unit},
    }
    _, (found,) = laboratory([score])
    assert (found.value, found.unit) == ("4.24", shown)


@pytest.mark.requirement("DX-WEB-17")
def test_critical_result_stands_first_with_its_range_and_earlier_values(report: Reading) -> None:
    first = report.results[0]
    assert (first.name, first.flag) == ("Potassium", "HH")
    assert first.bar is not None and first.bar.place > first.bar.end
    assert first.source
    assert first.earlier and first.line is not None
    assert len(first.line.points) == len(first.earlier) + 1
    assert first.line.points[-1][0] == max(x for x, _ in first.line.points)


@pytest.mark.requirement("DX-WEB-17")
def test_score_unfolds_its_inputs_with_their_rows(report: Reading) -> None:
    score = next(each for each in report.scores if each.inputs)
    rows = {result.id for result in report.results}
    creatinine = next(each for each in score.inputs if each.result_id)
    assert creatinine.result_id in rows
    assert creatinine.name and creatinine.value
    assert score.source


@pytest.mark.requirement("DX-WEB-17")
def test_rule_shows_the_results_it_rests_on(report: Reading) -> None:
    risk = finding(report, "risk", "severe hyperkalaemia")
    rows = {result.id for result in report.results}
    assert risk.notes and risk.source
    assert [each.kind for each in risk.evidence] == ["rests"]
    assert risk.evidence[0].results[0][0] in rows
    assert "Potassium" in risk.evidence[0].text


@pytest.mark.requirement("DX-WEB-17")
def test_suggestion_shows_for_and_against_and_marks_its_places_in_the_note(
    report: Reading,
) -> None:
    found = finding(report, "suggestion", "Lung cancer")
    numbered = [each.number for each in found.evidence if each.number]
    assert {each.kind for each in found.evidence} & {"supports", "red-flag"}
    marked = {n for note in report.notes for s in note.segments for n in s.sentences}
    assert numbered and set(numbered) <= marked
    assert min(numbered) > len(report.sentences)


@pytest.mark.requirement("DX-WEB-17")
def test_suggestions_stand_before_rules_and_behind_critical_results(report: Reading) -> None:
    kinds = [each.kind for each in report.findings]
    order = ["imaging", "laboratory", "suggestion", "conflict", "risk", "notes"]
    assert [order.index(kind) for kind in kinds] == sorted(order.index(kind) for kind in kinds)


def observation(**more: Any) -> dict[str, Any]:
    return {"id": "o", "category": LABORATORY, "code": {"text": "x"}, **more}


def test_limit_that_a_value_may_exceed_is_not_drawn() -> None:
    result = observation(
        valueQuantity={"value": 5, "comparator": "<"},
        referenceRange=[{"high": {"value": 9, "unit": "U/L"}}],
    )
    assert laboratory([result])[0][0].bar is None


def test_value_is_drawn_in_the_unit_of_its_range() -> None:
    result = observation(
        valueQuantity={"value": 1.9, "unit": "mg/dL"},
        component=[{"code": {"text": "Converted"}, "valueQuantity": {"value": 168}}],
        referenceRange=[{"low": {"value": 57}, "high": {"value": 111}}],
    )
    drawn = laboratory([result])[0][0].bar
    assert drawn is not None and drawn.place > drawn.end


@given(NUMBERS, st.none() | NUMBERS, st.none() | NUMBERS)
@example(5.0, -5e-324, 0.0)
def test_bar_holds_its_value_and_says_on_which_side_of_the_range(
    value: float, low: float | None, high: float | None
) -> None:
    drawn = bar(value, low, high)
    if drawn is None:
        return
    assert 0 <= drawn.start < drawn.end <= BAR_WIDTH
    assert 0 <= drawn.place <= BAR_WIDTH
    tolerance = 1e-6 * BAR_WIDTH + 1.0  # kept inside by one unit at most
    if high is not None and value > high:
        assert drawn.place >= drawn.end - tolerance
    if low is not None and value < low:
        assert drawn.place <= drawn.start + tolerance


@given(st.lists(st.tuples(st.floats(0, 1e5), NUMBERS), max_size=12), st.none() | NUMBERS, st.none())
def test_line_stays_in_its_box_and_runs_with_time(
    values: list[tuple[float, float]], low: float | None, high: float | None
) -> None:
    drawn = line(values, low, high)
    assert (drawn is None) is (len(values) < 2)
    if drawn is None:
        return
    across = [x for x, _ in drawn.points]
    assert across == sorted(across)
    assert all(0 <= x <= LINE_WIDTH + 1e-6 for x in across)
    assert all(-1e-6 <= y <= LINE_HEIGHT + 1e-6 for _, y in drawn.points)


def _feature(kind: str, said: str) -> dict[str, Any]:
    code = {"coding": [{"system": "urn:dxmesh:observation-component", "code": kind}]}
    return {"code": code, "valueString": said}


def test_what_several_features_rest_on_is_shown_once() -> None:
    parts = [
        _feature("red-flag", "Potassium 6.8 mmol/L"),
        _feature("supports", "Potassium 6.8 mmol/L"),
        _feature("supports", "Fatigue"),
        _feature("opposes", "Fatigue"),
    ]
    found = [(each.kind, each.text) for each, _ in evidence_of({"component": parts}, {}, 1)]
    assert found == [
        ("red-flag", "Potassium 6.8 mmol/L"),
        ("supports", "Fatigue"),
        ("opposes", "Fatigue"),
    ]
    assert _sides({"component": parts}) == {
        "red": ["Potassium 6.8 mmol/L"],
        "supports": ["Fatigue"],
        "opposes": ["Fatigue"],
    }


@pytest.mark.parametrize(
    ("value_unit", "range_unit", "shown"),
    [
        ("μmol/L", "µmol/L", "57–111"),
        ("IU/L", "U/L", "57–111 U/L"),
        ("", "1", "57–111"),
        ("mg/dL", "µmol/L", "57–111 µmol/L"),
    ],
)
def test_a_range_repeats_no_unit_of_its_value(value_unit: str, range_unit: str, shown: str) -> None:
    limits = {
        "low": {"value": 57, "unit": range_unit},
        "high": {"value": 111, "unit": range_unit},
    }
    result = {
        "id": "r",
        "category": LABORATORY,
        "valueQuantity": {"value": 80, "unit": value_unit},
        "referenceRange": [limits],
    }
    (found,), _ = laboratory([result])
    assert found.range == shown
