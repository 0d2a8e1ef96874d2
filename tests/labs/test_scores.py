"""Scores of a part: computed with their inputs, refused outside their validity, and chosen.

The formulas themselves are held in `test_scores_formulas.py`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from dxmesh.labs.v1 import lab_findings_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st

from services.labs import panel
from services.labs.analytes import ANALYTES, CODES, to_canonical
from services.labs.findings import findings
from services.labs.interpret import interpret
from services.labs.panel import Subject
from services.labs.scores import desk, meanings
from services.labs.scores.catalogue import CATALOGUE
from services.labs.scores.engine import assess
from services.labs.scores.model import Kind, Score
from services.labs.scores.stated import Stated
from services.labs.units import read as unit_of

MAN_62 = {"sex": "male", "age_years": 62.7}


def result(loinc: str, number: float, unit: str, **more: Any) -> dict[str, Any]:
    return {
        "id": loinc,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "valueQuantity": {"value": number, "unit": unit},
        "effectiveDateTime": "2026-11-20",
        **more,
    }


LIVER = (
    result("1920-8", 71, "U/L"),
    result("1742-6", 62, "U/L"),
    result("777-3", 132, "10*9/L"),
)


def run(*observations: object, subject: object = MAN_62) -> pb.LabFindings:
    document = {"subject": subject, "observations": observations}
    return findings(panel.read(json.dumps(document).encode()))


def score(message: pb.LabFindings, score_id: str) -> pb.Score:
    (found,) = (each for each in message.scores if each.score_id == score_id)
    return found


def every(*observations: object, subject: object = MAN_62) -> dict[str, Score]:
    """Return all scores that were tried, listed or not."""
    document = {"subject": subject, "observations": observations}
    part = panel.read(json.dumps(document).encode())
    tried = assess(interpret(part.measured, part.subject), part.subject)
    return {each.score_id: each for each in tried}


def listed(*observations: object, subject: object = MAN_62) -> set[str]:
    return {each.score_id for each in run(*observations, subject=subject).scores}


@pytest.mark.requirement("DX-LAB-07")
def test_fib4_shows_its_inputs_their_observations_and_times() -> None:
    found = score(run(*LIVER), "fib-4")
    assert found.value == "4.24"
    shown = [(i.name, i.value, i.unit, i.observation_id, i.effective_time) for i in found.inputs]
    assert shown == [
        ("age", "62", "a", "", ""),
        ("ast", "71", "U/L", "1920-8", "2026-11-20"),
        ("alt", "62", "U/L", "1742-6", "2026-11-20"),
        ("plt", "132", "10*9/L", "777-3", "2026-11-20"),
    ]
    assert all(each.display_en and each.display_zh for each in found.inputs)
    assert "Sterling" in found.source and found.source_url.startswith("https://doi.org/")


@pytest.mark.requirement("DX-LAB-07")
def test_egfr_is_the_same_from_mass_and_substance() -> None:
    mass = run(result("2160-0", 1.9, "mg/dL"))
    substance = run(result("14682-9", 167.96, "umol/L"))
    egfr = score(mass, "egfr-ckd-epi-2021")
    assert egfr.value == score(substance, "egfr-ckd-epi-2021").value
    assert egfr.category_en.startswith("G3b") and egfr.loinc_code == "98979-8"


@pytest.mark.requirement("DX-LAB-08")
@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ({"sex": "male", "age_years": 17.9}, "AGE_BELOW_18"),
        ({"sex": "male"}, "AGE_UNKNOWN"),
        ({"sex": "other", "age_years": 40}, "SEX_UNKNOWN"),
        ({"sex": "female", "age_years": 30, "pregnant": True}, "PREGNANCY"),
    ],
)
def test_egfr_is_refused_outside_its_validity(subject: object, reason: str) -> None:
    found = score(run(result("14682-9", 80, "umol/L"), subject=subject), "egfr-ckd-epi-2021")
    assert (found.value, found.not_computed.reason) == ("", reason)


@pytest.mark.requirement("DX-LAB-08")
@pytest.mark.parametrize(
    ("changed", "reason", "facts"),
    [
        (
            {"valueQuantity": {"value": 0, "unit": "U/L"}},
            "INPUT_OUT_OF_RANGE",
            {"input": "alt", "low": "1", "high": "50000", "unit": "U/L"},
        ),
        (
            {"valueQuantity": {"value": 62, "unit": "mmol/L"}},
            "MISSING_INPUT",
            {"input": "alt", "because": "WRONG_DIMENSION"},
        ),
        ({"status": "entered-in-error"}, "MISSING_INPUT", {"input": "alt"}),
        (
            {"effectiveDateTime": "2026-10-01"},
            "STALE_INPUT",
            {"input": "alt", "age_h": "1200", "max_h": "720"},
        ),
    ],
)
def test_fib4_says_precisely_what_it_lacks(
    changed: dict[str, Any], reason: str, facts: dict[str, str]
) -> None:
    ast, alt, platelets = LIVER
    found = score(run(ast, {**alt, **changed}, platelets), "fib-4")
    assert (found.value, found.not_computed.reason) == ("", reason)
    (gap,) = found.gaps
    assert (gap.name, gap.display_zh, dict(gap.refusal.facts)) == (
        "alt",
        "丙氨酸氨基转移酶",
        facts,
    )


@pytest.mark.requirement("DX-LAB-07")
def test_latest_of_several_results_is_used() -> None:
    early = result("14682-9", 300, "umol/L", id="early", effectiveDateTime="2026-11-01")
    late = result("14682-9", 80, "umol/L", id="late", effectiveDateTime="2026-11-02T08:00:00+08:00")
    for order in ((late, early), (early, late)):
        found = score(run(*order), "egfr-ckd-epi-2021")
        assert found.inputs[0].observation_id == "late"
    timeless = {k: v for k, v in early.items() if k != "effectiveDateTime"}
    refused = score(run(late, timeless), "egfr-ckd-epi-2021")
    assert refused.not_computed.reason == "AMBIGUOUS_INPUT"
    same = {**early, "effectiveDateTime": late["effectiveDateTime"]}
    assert score(run(late, same), "egfr-ckd-epi-2021").not_computed.reason == "AMBIGUOUS_INPUT"


@pytest.mark.requirement("DX-LAB-22")
def test_freshness_is_counted_in_hours_and_a_date_means_any_hour_of_its_day() -> None:
    def gases(time: str) -> dict[str, Score]:
        salts = (("2951-2", 140, "mmol/L"), ("2075-0", 100, "mmol/L"))
        now = "2026-11-20T20:00:00Z"
        made = [result(*each, effectiveDateTime=now) for each in salts]
        return every(*made, result("1963-8", 14, "mmol/L", effectiveDateTime=time))

    assert gases("2026-11-20T08:00:00Z")["anion-gap"].shown == "26.0"
    assert gases("2026-11-20")["anion-gap"].shown == "26.0"
    reason = gases("2026-11-20T07:59:00Z")["anion-gap"].reason
    assert reason and (reason.reason, reason.facts["max_h"]) == ("STALE_INPUT", "12")


@pytest.mark.requirement("DX-LAB-22")
def test_vital_signs_by_loinc_are_read_in_their_units() -> None:
    def sign(loinc: str, number: float, unit: str) -> dict[str, Any]:
        return result(loinc, number, unit)

    pressure = result("85354-9", 0, "")
    del pressure["valueQuantity"]
    pressure["component"] = [
        {k: sign(loinc, number, "mmHg")[k] for k in ("code", "valueQuantity")}
        for loinc, number in (("8480-6", 96), ("8462-4", 60))
    ]
    found = every(pressure, sign("9279-1", 24, "/min"), sign("9269-2", 15, "{score}"))
    assert found["qsofa"].shown == "2"
    assert [each.observation_id for each in found["qsofa"].inputs] == [
        "9279-1",
        "85354-9#1",
        "9269-2",
    ]
    warm = [sign("8867-4", 95, "{beats}/min"), sign("9279-1", 24, "/min")]
    warm += [sign("8310-5", 101.3, "[degF]"), sign("6690-2", 13, "10*9/L")]
    assert every(*warm)["sirs"].shown == "4"
    wrong = every(*warm[:2], sign("8310-5", 38.5, "mmol/L"), warm[3])
    assert "sirs" not in wrong, "a temperature in mmol/L is none"


@pytest.mark.requirement("DX-LAB-22")
def test_body_mass_index_follows_from_weight_and_height() -> None:
    person = [result("29463-7", 80, "kg"), result("8302-2", 1.8, "m")]
    stated = [Stated("diabetes-or-ifg", "no")]
    albumin = result("1751-7", 40, "g/L")
    document = {"subject": MAN_62, "observations": [*LIVER, albumin, *person]}
    part = panel.read(json.dumps(document).encode())
    (found,) = desk.compute(part, stated, ["nafld-fibrosis"])
    bmi = found.inputs[1]
    assert (bmi.name, bmi.value, bmi.observation_id) == ("bmi", "24.7", "29463-7")


@pytest.mark.requirement("DX-LAB-22")
def test_acute_kidney_injury_rests_on_earlier_results_of_the_part() -> None:
    days = {"2026-03-01": 80, "2026-04-01": 84, "2026-11-18": 100, "2026-11-20": 170}
    series = [
        result("14682-9", number, "umol/L", id=day, effectiveDateTime=day)
        for day, number in days.items()
    ]
    found = every(*series)["nhs-aki"]
    assert (found.shown, found.category[0]) == ("2", "stage 2")
    baselines = {each.name: (each.value, each.observation_id) for each in found.inputs[1:]}
    assert baselines == {
        "creatinine-lowest-7d": ("100", "2026-11-18"),
        "creatinine-median-year": ("82", "2026-04-01"),
        "creatinine-lowest-48h": ("100", "2026-11-18"),
    }
    assert "nhs-aki" not in listed(series[-1]), "one result says nothing of a change"


@pytest.mark.requirement("DX-LAB-23")
def test_upper_limits_are_those_the_result_was_flagged_by() -> None:
    own = {"referenceRange": [{"high": {"value": 50, "unit": "U/L"}}]}
    ast, _, platelets = LIVER
    found = every({**ast, **own}, platelets)["apri"]
    assert found.inputs[1].value == "50"
    assert found.shown == "1.08"


@pytest.mark.requirement("DX-LAB-23")
def test_a_report_lists_what_a_physician_would_look_for() -> None:
    assert listed() == set()
    assert listed(result("2823-3", 6.8, "mmol/L")) == set()
    assert "fib-4" in listed(*LIVER[:2]), "one laboratory result is missing"
    assert "fib-4" not in listed(LIVER[0]), "more is missing than there"
    microcytic = [result("787-2", 65, "fL"), result("789-8", 6, "10*12/L")]
    assert "mentzer" in listed(*microcytic)
    assert "mentzer" not in listed(result("787-2", 90, "fL"), microcytic[1])
    assert "mentzer" in every(result("787-2", 90, "fL"), microcytic[1]), "rules still see it"
    liver = [result("14631-6", 80, "umol/L"), result("1751-7", 28, "g/L")]
    assert "albi" not in listed(*liver), "only when asked for"
    assert "child-pugh" not in listed(*liver, result("6301-6", 1.5, "{INR}"))


HEALTHY = """
6690-2=7 789-8=4.5 718-7=135 4544-3=40 787-2=88 777-3=210 2951-2=140 2823-3=4.1 2075-0=103
1963-8=24 22664-7=5.2 14682-9=80 14749-6=5.1 2000-8=2.3 14879-1=1.1 2601-3=0.9 1751-7=42
1742-6=25 1920-8=22 6768-6=70 2324-2=30 14631-6=12 2532-0=180 2157-6=100 14647-2=4.8
14927-8=1.2 14646-4=1.3 22748-8=2.6 1988-5=3 2276-4=120 14798-3=15 5902-2=12 6301-6=1.0
2524-7=1.1 2744-1=7.4 2019-8=40 2703-7=90 3016-3=2 4548-4=5.6 14933-6=300
"""
"""Forty results of a day, each in the canonical unit of its analyte."""


def everything() -> list[dict[str, Any]]:
    pairs = [pair.split("=") for pair in HEALTHY.split()]
    return [result(code, float(number), units_of(code)) for code, number in pairs]


def units_of(code: str) -> str:
    return CODES[code].analyte.unit.ucum if code != "2276-4" else "ng/mL"


@pytest.mark.requirement("DX-LAB-23")
def test_a_healthy_panel_is_not_flooded() -> None:
    message = run(*everything())
    assert len(message.results) == 40
    assert all(each.canonical_value for each in message.results)
    assert len(message.scores) <= 9, [each.score_id for each in message.scores]
    assert all(each.value for each in message.scores)


@pytest.mark.requirement("DX-LAB-08")
@pytest.mark.parametrize(
    ("age", "value", "category"),
    [
        (35, 5.0, "not categorised"),
        (50, 1.29, "advanced fibrosis unlikely"),
        (50, 1.31, "indeterminate"),
        (65, 1.9, "advanced fibrosis unlikely (cut-off 2.0"),
        (70, 2.7, "advanced fibrosis likely"),
    ],
)
def test_fib4_category_depends_on_age(age: float, value: float, category: str) -> None:
    english, chinese = meanings.fib4_category(value, [age])
    assert english.startswith(category) and chinese


@pytest.mark.requirement("DX-LAB-07")
@pytest.mark.parametrize(
    ("egfr", "category"),
    [(90, "G1"), (89.5, "G1"), (89.4, "G2"), (59.4, "G3a"), (44.4, "G3b"), (29, "G4"), (14, "G5")],
)
def test_gfr_category_is_taken_from_the_whole_number(egfr: float, category: str) -> None:
    assert meanings.gfr_category(egfr)[0].split(",")[0] == category


CONVERTIBLE = [
    (each, wanted)
    for each in CATALOGUE.values()
    for wanted in each.wanted
    if wanted.quality.kind is Kind.LAB
    and wanted.unit != ANALYTES[wanted.quality.sources[0]].unit.ucum
]


@pytest.mark.requirement("DX-LAB-21")
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_unit_a_value_comes_in_changes_nothing(data: st.DataObject) -> None:
    """mmol/L in or mg/dL in: the same score."""
    definition, changed = data.draw(st.sampled_from(CONVERTIBLE))
    subject = Subject("female", 12.0 if definition.score_id == "egfr-schwartz-2009" else 50.0)
    items, others = [], []
    for wanted in definition.wanted:
        quality = wanted.quality
        if quality.kind is Kind.PERSON:
            continue
        if quality.kind in (Kind.ITEM, Kind.GRADE):
            items.append(Stated(quality.name, "1"))
            others.append(items[-1])
            continue
        low, high = max(wanted.low, 1e-3), min(wanted.high, 1e5)
        value = low * (high / low) ** data.draw(st.floats(0.2, 0.8))
        items.append(Stated(quality.name, repr(value), wanted.unit))
        others.append(items[-1])
        if wanted is changed:
            analyte = ANALYTES[quality.sources[0]]
            factor = float(to_canonical(unit_of(wanted.unit), analyte))
            others[-1] = Stated(quality.name, repr(value * factor), analyte.unit.ucum)
    part = panel.LabPart(subject, ())
    (one,) = desk.compute(part, items, [definition.score_id])
    (other,) = desk.compute(part, others, [definition.score_id])
    assert (one.value is None) == (other.value is None)
    if one.value is not None:
        assert other.value == pytest.approx(one.value, rel=1e-6, abs=1e-6)


@pytest.mark.requirement("DX-LAB-08")
@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["14682-9", "2951-2", "1920-8", "1742-6", "777-3", "8480-6", "8310-5"]),
            st.floats(-1e6, 1e6, allow_nan=False) | st.integers(-(10**25), 10**25),
            st.sampled_from(["umol/L", "mmol/L", "U/L", "10*9/L", "mm[Hg]", "Cel", "", "?"]),
            st.sampled_from(["2026-11-20", "", "0001-01-01", "9999-12-31T23:59:59+14:00", "x"]),
        ),
        max_size=6,
    ),
    st.sampled_from([MAN_62, {}, {"sex": "female", "age_years": 0, "pregnant": True}]),
)
def test_no_results_crash_the_scores(
    rows: list[tuple[str, float, str, str]], subject: dict[str, Any]
) -> None:
    found = every(*(result(*row[:3], effectiveDateTime=row[3]) for row in rows), subject=subject)
    for each in found.values():
        assert (each.value is None) == bool(each.gaps)


@pytest.mark.requirement("DX-LAB-09")
def test_risks_rest_on_results_and_scores_of_the_part() -> None:
    message = run(*LIVER, result("2823-3", 6.8, "mmol/L"), result("14682-9", 168, "umol/L"))
    known = {each.observation_id for each in message.results}
    known |= {each.score_id for each in message.scores}
    assert message.risks
    for risk in message.risks:
        assert risk.evidence_ids and set(risk.evidence_ids) <= known
        assert risk.source and risk.text_en and risk.text_zh
