"""Results beside earlier ones: change, delta check, trend, kidney, and what rules make of them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from dxmesh.labs.v1 import lab_findings_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st

from services.labs import panel
from services.labs.analytes import ANALYTES
from services.labs.findings import interpreted
from services.labs.history import changes, kidney, trend
from services.labs.history.changes import DELTAS, VARIATION, Variation
from services.labs.history.past import Past
from services.labs.panel import Subject
from services.labs.scores.variation import reference_change_value
from tests.labs.history_cases import (
    CREATININE,
    MCV,
    POTASSIUM,
    document,
    observation,
    of,
    rows_of,
)

DAY, YEAR = 24.0, 8766.0


def read(*now: object, before: tuple[object, ...] = (), **person: object) -> pb.LabFindings:
    past = Past(rows_of(*before))
    return interpreted(panel.read(document(*now, **person)), past=past).findings  # type: ignore[arg-type]


def risks(found: pb.LabFindings) -> set[str]:
    return {each.risk_id for each in found.risks}


@pytest.mark.requirement("DX-LAB-61")
@pytest.mark.parametrize("name", sorted(VARIATION))
def test_the_limits_of_a_change_agree_with_the_classic_formula_where_variation_is_small(
    name: str,
) -> None:
    found = VARIATION[name]
    assert name in ANALYTES and found.fall < 0 < found.rise < 200 and found.source
    # On the logarithm a rise and the fall that undoes it are as likely.
    assert (1 + found.rise / 100) * (1 + found.fall / 100) == pytest.approx(1)
    fall, rise = changes.change_limits(1.0, 1.0)
    assert rise == pytest.approx(reference_change_value(1.0, 1.0, 1.96), rel=0.03)
    assert fall == pytest.approx(-reference_change_value(1.0, 1.0, 1.96), rel=0.03)


@pytest.mark.requirement("DX-LAB-61")
def test_creatinine_agrees_with_the_published_change() -> None:
    # EuBIVAS (Carobene A et al., Clin Chem 2017;63:1527): CVI 4.4 %, CVA 1.1 %: about +13, -12 %.
    fall, rise = changes.change_limits(1.1, 4.4)
    assert (round(rise), round(fall)) == (13, -12)


@pytest.mark.requirement("DX-LAB-61")
def test_every_delta_check_has_an_analyte_a_time_and_a_source() -> None:
    for name, limit in DELTAS.items():
        assert name in ANALYTES and limit.hours > 0 and limit.source, name
        assert limit.absolute is not None or limit.percent is not None, name


@pytest.mark.requirement("DX-LAB-61")
@pytest.mark.parametrize(
    ("now", "hours", "verdict", "failed"),
    [
        (84, 24, pb.CHANGE_VERDICT_WITHIN, False),
        (100, 24, pb.CHANGE_VERDICT_RISE, False),
        (60, 24, pb.CHANGE_VERDICT_FALL, False),
        (130, 24, pb.CHANGE_VERDICT_RISE, True),
        (130, 100, pb.CHANGE_VERDICT_RISE, False),  # the delta check is for three days
    ],
)
def test_a_change_is_told_with_its_limits(
    now: int, hours: float, verdict: int, failed: bool
) -> None:
    found = read(observation(CREATININE, now, hours), before=(observation(CREATININE, 80),))
    (result,) = found.results
    change = result.change
    assert (change.verdict, bool(change.delta_limit)) == (verdict, failed)
    assert Decimal(change.difference) == now - 80
    assert change.hours == hours and change.earlier_value == "80"
    assert change.percent == pytest.approx((now - 80) / 0.8, abs=0.06)
    (before,) = result.earlier
    assert (before.value, before.hours_before, before.observation_id) == ("80", hours, "")


@pytest.mark.requirement("DX-LAB-61")
def test_within_a_part_the_earlier_observation_is_named_and_units_are_one() -> None:
    early = observation("2160-0", 1.0, unit="mg/dL")
    found = read(early, observation(CREATININE, 176.8, 24))
    late = of(found, f"{CREATININE}-24")
    (before,) = late.earlier
    assert before.observation_id == "2160-0-0" and before.value.startswith("88.4")
    assert not of(found, "2160-0-0").earlier


@pytest.mark.requirement("DX-LAB-61")
@pytest.mark.parametrize(
    "now",
    [
        observation(CREATININE, 90, effectiveDateTime="2026-03-01"),  # which came first?
        observation(CREATININE, 90, -5),
        observation(CREATININE, 90, effectiveDateTime=""),
        observation(CREATININE, "not measured", 24),
        observation(CREATININE, 90, 24, status="entered-in-error"),
        observation("2823-3", 4.0, 24),
    ],
    ids=["same day", "before", "no time", "text", "taken back", "another analyte"],
)
def test_what_does_not_compare_is_not_compared(now: object) -> None:
    (result,) = read(now, before=(observation(CREATININE, 80),)).results
    assert not result.earlier and not result.HasField("change")


@pytest.mark.requirement("DX-LAB-61")
@pytest.mark.parametrize(
    ("then", "now", "compared"),
    [
        ("血清", "plasma", True),
        ("", "静脉血", True),
        ("venous blood", "静脉血", True),
        ("动脉血", "静脉血", False),
    ],
)
def test_specimens_that_differ_are_not_compared(then: str, now: str, compared: bool) -> None:
    before = observation(POTASSIUM, 4.0, specimen={"display": then})
    late = observation(POTASSIUM, 4.4, 5, specimen={"display": now})
    (result,) = read(late, before=(before,)).results
    assert bool(result.earlier) == compared


@pytest.mark.requirement("DX-LAB-61")
def test_at_most_twelve_earlier_results_are_shown() -> None:
    before = tuple(observation(POTASSIUM, 4.0 + n / 100, n) for n in range(20))
    (result,) = read(observation(POTASSIUM, 4.1, 30), before=before).results
    assert [each.value for each in result.earlier] == [f"{4 + n / 100}" for n in range(19, 7, -1)]


WIDE = Variation(-10.0, 11.0, "test")


@pytest.mark.requirement("DX-LAB-62")
@pytest.mark.parametrize(
    ("values", "limits", "rising"),
    [
        ([80, 90, 100], WIDE, True),
        ([100, 90, 80], WIDE, False),
        ([80, 90, 85], WIDE, None),  # it went back
        ([80, 82, 84], WIDE, None),  # within the variation
        ([80, 120], WIDE, None),  # two are no trend
        ([80, 90, 100], None, None),  # three cannot tell without the variation
        ([1, 2, 3, 4, 5], None, True),
        ([80, 85, 84, 90, 95, 101], WIDE, True),
        ([80, 95, 78, 96, 79, 97], WIDE, None),
        ([5, 5, 5, 5, 5], None, None),
    ],
)
def test_a_trend_is_told_by_its_rule(
    values: list[float], limits: Variation | None, rising: bool | None
) -> None:
    found = trend.trend([(n * DAY, float(v)) for n, v in enumerate(values)], limits)
    assert (found.rising if found else None) == rising


@pytest.mark.requirement("DX-LAB-62")
def test_mann_kendall_is_exact_and_theil_sen_robust() -> None:
    # One-sided probabilities of Kendall's S as tables have them.
    for count, score, one_sided in ((4, 6, 0.042), (5, 10, 0.0083), (6, 9, 0.068), (8, 16, 0.031)):
        assert trend.probability(score, count) / 2 == pytest.approx(one_sided, abs=0.0006)
    assert trend.theil_sen([(0, 1.0), (1, 2.0), (2, 90.0), (3, 4.0), (4, 5.0)]) == 1.0


@pytest.mark.requirement("DX-LAB-62")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 500), min_size=3, max_size=12), st.floats(0.1, 50))
def test_a_trend_turns_with_its_values_and_knows_no_unit(values: list[int], factor: float) -> None:
    points = [(n * DAY, float(v)) for n, v in enumerate(values)]
    found = trend.trend(points, WIDE)
    scaled = trend.trend([(at, v * factor) for at, v in points], WIDE)
    assert (found is None) == (scaled is None)
    if found and scaled:
        assert found.rising == scaled.rising and (found.slope > 0) == found.rising
        assert scaled.slope == pytest.approx(found.slope * factor)


@pytest.mark.requirement("DX-LAB-62")
def test_a_trend_shows_its_slope_in_the_unit_of_the_result() -> None:
    before = (observation(CREATININE, 80), observation(CREATININE, 110, 48))
    (result,) = read(observation(CREATININE, 140, 96), before=before).results
    found = result.trend
    assert found.direction == pb.TREND_DIRECTION_RISING
    assert (found.count, found.hours, found.slope, found.slope_unit) == (3, 96, "+15", "umol/L/d")


@pytest.mark.requirement("DX-LAB-63")
def test_kidney_injury_is_told_from_results_of_earlier_cases() -> None:
    found = read(observation(CREATININE, 160, 40), before=(observation(CREATININE, 75),))
    assert "aki-stage-2" in risks(found)
    (score,) = [each for each in found.scores if each.score_id == "nhs-aki"]
    assert score.value == "2"
    lowest = next(each for each in score.inputs if each.name == "creatinine-lowest-7d")
    assert (lowest.value, lowest.observation_id) == ("75", "") and lowest.effective_time
    year = [observation(CREATININE, 70 + d % 5, -20 * d * DAY) for d in range(1, 18)]
    found = read(observation(CREATININE, 150, 1), before=tuple(year))
    assert "aki-by-year-baseline" in risks(found)
    (score,) = [each for each in found.scores if each.score_id == "nhs-aki"]
    median = next(each for each in score.inputs if each.name == "creatinine-median-year")
    assert median.value == "72"  # of all seventeen, not of the twelve that are shown
    assert not any("aki" in each for each in risks(read(observation(CREATININE, 150, 1))))


@pytest.mark.requirement("DX-LAB-63")
def test_the_filtration_rate_is_followed_over_years() -> None:
    man = Subject("male", 60.0)
    before = [(-2.0 * YEAR, 80.0), (-1.0 * YEAR, 100.0)]
    course = kidney.course([*before, (0.0, 150.0)], man)
    # By hand: 98.4, 74.8 and 45.7 mL/min/1.73 m2; the baseline is the median of the first two.
    assert course and course.fall_pct == pytest.approx(47.2, abs=0.2)
    assert course.categories == 1 and course.per_year == pytest.approx(-26.3, abs=0.2)
    assert kidney.course([*before, (0.0, 150.0)], Subject("unknown", 60.0)) is None
    assert kidney.course([*before, (0.0, 150.0)], Subject("female", 9.0)) is None
    older = (observation(CREATININE, 80, -700 * DAY), observation(CREATININE, 95, -350 * DAY))
    found = read(observation(CREATININE, 150), before=older, age=60)
    assert {"egfr-decline", "egfr-rapid-progression"} <= risks(found)


@pytest.mark.requirement("DX-LAB-64")
@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ([(MCV, 85), (CREATININE, 70)], [(MCV, 96), (CREATININE, 180)], True),
        ([(MCV, 85)], [(MCV, 96)], False),  # one failure is nobody else's sample
        ([(MCV, 85), (CREATININE, 70)], [(MCV, 87), (CREATININE, 180)], False),
    ],
)
def test_several_steady_results_that_change_at_once_may_be_another_persons(
    before: list[tuple[str, int]], now: list[tuple[str, int]], expected: bool
) -> None:
    found = read(
        *(observation(code, value, 24) for code, value in now),
        before=tuple(observation(code, value) for code, value in before),
    )
    assert ("specimen-mixup" in risks(found)) == expected


@pytest.mark.requirement("DX-LAB-64")
@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("A", "B", True),
        ("A型", "A 型 RhD阳性", False),
        ("O Rh pos", "AB", True),
        ("group O", "0?", False),  # not read, so not compared
    ],
)
def test_a_blood_group_that_changed_is_urgent(before: str, now: str, expected: bool) -> None:
    found = read(observation("883-9", now, 24), before=(observation("883-9", before),))
    assert ("blood-group-changed" in risks(found)) == expected


@pytest.mark.requirement("DX-LAB-64")
def test_a_blood_group_may_come_as_a_code() -> None:
    coded = {
        "coding": [{"system": "http://snomed.info/sct", "code": "112149005"}],
        "text": "见附注",
    }
    now = observation("883-9", 1, 24) | {"valueCodeableConcept": coded}
    del now["valueQuantity"]
    for before, changed in (("A", True), ("B", False)):
        found = read(now, before=(observation("883-9", before),))
        assert ("blood-group-changed" in risks(found)) == changed


@pytest.mark.requirement("DX-LAB-64")
def test_a_diluted_sample_is_told_from_what_infusions_lack() -> None:
    codes = {"1751-7": "g/L", "2885-2": "g/L", "1742-6": "U/L", "6768-6": "U/L", "718-7": "g/L"}
    before = [observation(code, 100, unit=unit) for code, unit in codes.items()]
    now = [observation(code, 70, 12, unit=unit) for code, unit in codes.items()]
    assert "infusion-contamination" in risks(read(*now, before=tuple(before)))
    same = [observation(code, 95, 12, unit=unit) for code, unit in codes.items()]
    assert "infusion-contamination" not in risks(read(*same, before=tuple(before)))


@pytest.mark.requirement("DX-LAB-64")
def test_rules_of_one_case_hear_of_earlier_cases() -> None:
    before = (observation("718-7", 130), observation("777-3", 240))
    found = read(observation("718-7", 100, 20), observation("777-3", 80, 20), before=before)
    assert {"haemoglobin-acute-fall", "platelet-fall"} <= risks(found)
    assert not {"haemoglobin-acute-fall", "platelet-fall"} & risks(
        read(observation("718-7", 100, 20), observation("777-3", 80, 20))
    )
