"""Scores against recomputed vectors, their validity, and what rules say of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dxmesh.labs.v1 import lab_findings_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from services.labs import panel, scores
from services.labs.findings import findings

SHARED = Path(__file__).parents[3] / "shared" / "data" / "labs" / "score_vectors.json"
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


@pytest.mark.requirement("DX-LAB-07")
@pytest.mark.parametrize(
    ("creatinine", "age", "female", "expected"),
    # Recomputed from the equation of Inker LA et al. 2021.
    [(1.4, 60, False, 57.54), (0.475, 32, True, 129.31), (1.0, 50, True, 68.63)],
)
def test_egfr_agrees_with_vectors(
    creatinine: float, age: float, female: bool, expected: float
) -> None:
    found = scores.egfr_ckd_epi_2021(creatinine, age, female=female)
    assert found == pytest.approx(expected, abs=0.005)


@pytest.mark.requirement("DX-LAB-07")
@pytest.mark.skipif(not SHARED.exists(), reason="the shared score vectors are not here")
def test_scores_agree_with_the_shared_vectors() -> None:
    vectors = json.loads(SHARED.read_text())
    for given_, expected in vectors["CKD-EPI 2021 creatinine"]["vec"]:
        mg_dl = given_.get("scr_mg_dl") or given_["scr_umol"] / 88.4
        found = scores.egfr_ckd_epi_2021(mg_dl, given_["age"], female=given_["sex"] == "F")
        assert found == pytest.approx(expected, abs=0.01)
    for given_, expected in vectors["FIB-4"]["vec"]:
        found = scores.fib4(given_["age"], given_["ast"], given_["alt"], given_["plt"])
        assert found == pytest.approx(expected, abs=0.001)


@pytest.mark.requirement("DX-LAB-07")
def test_fib4_shows_its_inputs_and_their_observations() -> None:
    found = score(run(*LIVER), "fib-4")
    assert found.value == "4.24"
    shown = [(i.name, i.value, i.unit, i.observation_id) for i in found.inputs]
    assert shown == [
        ("age", "62", "a", ""),
        ("ast", "71", "U/L", "1920-8"),
        ("alt", "62", "U/L", "1742-6"),
        ("plt", "132", "10*9/L", "777-3"),
    ]
    assert "Sterling" in found.source


@pytest.mark.requirement("DX-LAB-07")
def test_egfr_is_the_same_from_mass_and_substance() -> None:
    mass = run(result("2160-0", 1.9, "mg/dL"))
    substance = run(result("14682-9", 167.96, "umol/L"))
    egfr = score(mass, "egfr-ckd-epi-2021")
    assert egfr.value == score(substance, "egfr-ckd-epi-2021").value
    assert egfr.category_en.startswith("G3b")


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
    ("changed", "reason"),
    [
        ({"valueQuantity": {"value": 0, "unit": "U/L"}}, "INPUT_IS_ZERO"),
        ({"valueQuantity": {"value": 62, "unit": "mmol/L"}}, "MISSING_INPUT"),
        ({"status": "entered-in-error"}, "MISSING_INPUT"),
        ({"effectiveDateTime": "2026-10-01"}, "INPUTS_TOO_FAR_APART"),
    ],
)
def test_fib4_is_refused_without_usable_inputs(changed: dict[str, Any], reason: str) -> None:
    ast, alt, platelets = LIVER
    found = score(run(ast, {**alt, **changed}, platelets), "fib-4")
    assert (found.value, found.not_computed.reason) == ("", reason)


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
def test_fib4_category_depends_on_age(age: int, value: float, category: str) -> None:
    english, chinese = scores.fib4_category(value, age)
    assert english.startswith(category) and chinese


@pytest.mark.requirement("DX-LAB-07")
@pytest.mark.parametrize(
    ("egfr", "category"),
    [(90, "G1"), (89.5, "G1"), (89.4, "G2"), (59.4, "G3a"), (44.4, "G3b"), (29, "G4"), (14, "G5")],
)
def test_gfr_category_is_taken_from_the_whole_number(egfr: float, category: str) -> None:
    assert scores.gfr_category(egfr)[0].split(",")[0] == category


@given(st.floats(0.1, 20), st.floats(0.1, 20), st.integers(18, 110), st.booleans())
def test_more_creatinine_never_means_more_gfr(a: float, b: float, age: int, female: bool) -> None:
    low, high = sorted((a, b))
    better = scores.egfr_ckd_epi_2021(low, age, female=female)
    assert better >= scores.egfr_ckd_epi_2021(high, age, female=female)


@given(st.floats(1, 1e4), st.floats(1, 1e4), st.floats(1, 2000), st.integers(18, 110))
def test_more_platelets_never_mean_more_fibrosis(
    ast: float, alt: float, platelets: float, age: int
) -> None:
    assert scores.fib4(age, ast, alt, platelets * 2) < scores.fib4(age, ast, alt, platelets)


@pytest.mark.requirement("DX-LAB-09")
def test_risks_point_to_their_evidence() -> None:
    message = run(*LIVER, result("2823-3", 6.8, "mmol/L"), result("14682-9", 168, "umol/L"))
    found = {risk.risk_id: risk for risk in message.risks}
    assert set(found) == {"fib4-high", "hyperkalaemia-severe", "egfr-g3b"}
    assert list(found["fib4-high"].evidence_ids) == ["1920-8", "1742-6", "777-3", "fib-4"]
    assert found["hyperkalaemia-severe"].text_en.startswith("Potassium 6.8 mmol/L")
    assert all(risk.source and risk.text_zh for risk in message.risks)


@pytest.mark.requirement("DX-LAB-09")
@pytest.mark.parametrize(
    "subject", [{"sex": "male", "age_years": 12}, {"age_years": 30, "pregnant": True}, {}]
)
def test_rules_about_adults_say_nothing_of_others(subject: object) -> None:
    assert not run(result("2823-3", 6.8, "mmol/L"), subject=subject).risks


@pytest.mark.requirement("DX-LAB-09")
@pytest.mark.parametrize(("number", "sex"), [(129, "male"), (119, "female")])
def test_anaemia_is_told_by_sex(number: int, sex: str) -> None:
    subject = {"sex": sex, "age_years": 40}
    (risk,) = run(result("718-7", number, "g/L"), subject=subject).risks
    assert risk.risk_id == f"anaemia-mild-{sex[0]}"
    assert not run(result("718-7", number + 1, "g/L"), subject=subject).risks
