"""Every formula against published and independently recomputed pairs, and against its medicine.

`score_pairs.json` holds the pairs with their origin: a published value, or the arithmetic by
which it was recomputed apart from the code. Inputs are in the unit the formula takes.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.labs.scores.catalogue import CATALOGUE
from services.labs.scores.model import Definition, Kind, Value, Wanted

PAIRS: dict[str, list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("score_pairs.json").read_text("utf-8")
)
SHARED = Path(__file__).parents[3] / "shared" / "data" / "labs" / "score_vectors.json"

RISES = {
    "egfr-schwartz-2009": "height",
    "cockcroft-gault": "weight",
    "fena": "urine-na creatinine",
    "fe-urea": "urine-urea creatinine",
    "nhs-aki": "creatinine",
    "fib-4": "age ast",
    "apri": "ast",
    "nafld-fibrosis": "age bmi diabetes-or-ifg ast",
    "albi": "bilirubin",
    "meld-3-0": "bilirubin inr creatinine dialysis",
    "meld-na": "bilirubin inr creatinine dialysis",
    "maddrey": "pt bilirubin",
    "child-pugh": "bilirubin inr ascites encephalopathy",
    "r-ratio": "alt alp-upper",
    "cha2ds2-vasc": "age sex heart-failure hypertension diabetes stroke vascular-disease",
    "has-bled": "age renal-disease liver-disease stroke bleeding labile-inr alcohol",
    "heart": "age heart-history heart-ecg heart-risk-factors troponin-times-upper",
    "framingham-2008": "age cholesterol sbp bp-treated smoker diabetes",
    "china-par": "cholesterol diabetes north",
    "curb-65": "confusion urea respiratory-rate age",
    "wells-pe": "dvt-signs pe-likeliest heart-rate immobilised previous-vte haemoptysis cancer",
    "wells-dvt": "cancer paralysis bedridden calf-swelling previous-vte",
    "perc": "age heart-rate leg-swelling haemoptysis oestrogen",
    "a-a-gradient": "fio2",
    "pao2-fio2": "po2",
    "sofa": "bilirubin vasopressor creatinine ventilated fio2",
    "qsofa": "respiratory-rate",
    "sirs": "heart-rate respiratory-rate",
    "news2": "oxygen not-alert",
    "mentzer": "mcv",
    "corrected-reticulocytes": "retic-pct hct",
    "reticulocyte-index": "retic-pct hct",
    "transferrin-saturation": "iron",
    "isth-dic": "fibrin-rise pt",
    "plasmic": "haemolysis",
    "hscore": "immunosuppressed temperature organomegaly ferritin triglycerides ast",
    "hit-4ts": "hit-thrombocytopenia hit-timing hit-thrombosis hit-other",
    "homa-ir": "glucose-fasting insulin",
    "tyg": "triglycerides glucose-fasting",
    "estimated-average-glucose": "hba1c",
    "ldl-friedewald": "cholesterol",
    "non-hdl": "cholesterol",
    "anion-gap": "na",
    "albumin-corrected-anion-gap": "na",
    "osmolality": "na glucose urea",
    "osmolal-gap": "osmolality",
    "corrected-sodium": "na glucose",
    "corrected-calcium": "ca",
    "winters": "hco3",
    "free-water-deficit": "na",
    "corrected-phenytoin": "phenytoin kidney-failure",
    "glasgow-blatchford": "urea heart-rate melaena syncope liver-disease heart-failure",
    "ranson": "age wbc glucose ast ldh hct-fall urea-rise base-deficit-48h fluid-48h",
    "bisap": "urea impaired-mental-status sirs-criteria age pleural-effusion",
    "reference-change-value": "cv-analytic cv-within z",
}
FALLS = {
    "egfr-ckd-epi-2021": "creatinine age",
    "egfr-cystatin-2012": "cystatin-c age",
    "egfr-creatinine-cystatin-2021": "creatinine cystatin-c age",
    "egfr-schwartz-2009": "creatinine",
    "cockcroft-gault": "creatinine age",
    "fib-4": "alt plt",
    "apri": "plt ast-upper",
    "nafld-fibrosis": "plt albumin alt",
    "albi": "albumin",
    "child-pugh": "albumin",
    "framingham-2008": "hdl",
    "china-par": "hdl",
    "curb-65": "sbp dbp",
    "wells-dvt": "dvt-alternative",
    "perc": "spo2",
    "pao2-fio2": "fio2",
    "sofa": "po2 plt map gcs",
    "qsofa": "sbp gcs",
    "mentzer": "rbc",
    "transferrin-saturation": "tibc",
    "isth-dic": "plt fibrinogen pt-upper",
    "plasmic": "plt active-cancer transplant mcv inr creatinine",
    "hscore": "fibrinogen hgb wbc plt",
    "ldl-friedewald": "hdl triglycerides",
    "non-hdl": "hdl",
    "anion-gap": "cl hco3",
    "albumin-corrected-anion-gap": "cl hco3 albumin",
    "corrected-calcium": "albumin",
    "corrected-phenytoin": "albumin",
    "glasgow-blatchford": "hgb sbp",
    "ranson": "calcium-48h po2-48h",
}


def values(definition: Definition, given_: dict[str, Any]) -> list[Value]:
    """Return what the formula takes for inputs in its own units."""
    known = {"yes": True, "no": False, "female": True, "male": False}
    assert given_.keys() <= {each.quality.name for each in definition.wanted}
    found = (given_.get(each.quality.name) for each in definition.wanted)
    return [known[each] if isinstance(each, str) else each for each in found]


@pytest.mark.requirement("DX-LAB-20")
def test_every_score_has_at_least_three_pairs_and_there_are_enough_scores() -> None:
    assert len(CATALOGUE) >= 45
    assert PAIRS.keys() == CATALOGUE.keys()
    assert min(map(len, PAIRS.values())) >= 3
    for pair in (pair for pairs in PAIRS.values() for pair in pairs):
        assert pair["origin"].startswith(("published: ", "recomputed: "))


@pytest.mark.requirement("DX-LAB-20")
@pytest.mark.parametrize("score_id", CATALOGUE)
def test_formula_agrees_with_its_pairs(score_id: str) -> None:
    definition = CATALOGUE[score_id]
    for pair in PAIRS[score_id]:
        found = definition.formula(*values(definition, pair["in"]))
        allowed = pair.get("tolerance", 1e-5 if isinstance(pair["out"], float) else 1e-9)
        assert found == pytest.approx(pair["out"], abs=allowed, rel=1e-6), pair


VECTORS = {
    "CKD-EPI 2021 creatinine": ("egfr-ckd-epi-2021", "scr_mg_dl age sex", 0.01),
    "CKD-EPI 2012 cystatin C": ("egfr-cystatin-2012", "cys age sex", 0.01),
    "CKD-EPI 2021 cr-cys": ("egfr-creatinine-cystatin-2021", "scr cys age sex", 0.01),
    "MELD 3.0": ("meld-3-0", "bili inr cr na alb sex -", 0),
    "MELD-Na (2016)": ("meld-na", "bili inr cr na -", 0),
    "FIB-4": ("fib-4", "age ast alt plt", 0.001),
    "APRI": ("apri", "ast uln plt", 0.001),
    "NAFLD fibrosis score": ("nafld-fibrosis", "age bmi dm ast alt plt alb_g_dl", 0.001),
    "ALBI": ("albi", "bili_umol alb_g_l", 0.001),
    "RCV%": ("reference-change-value", "cva cvi z", 0.01),
}


@pytest.mark.requirement("DX-LAB-20")
@pytest.mark.skipif(not SHARED.exists(), reason="the shared score vectors are not here")
def test_formulas_agree_with_the_shared_vectors() -> None:
    vectors = json.loads(SHARED.read_text("utf-8"))
    for name, (score_id, order, allowed) in VECTORS.items():
        for given_, expected in vectors[name]["vec"]:
            if "scr_umol" in given_:
                given_["scr_mg_dl"] = given_["scr_umol"] / 88.4
            taken = [given_.get(key) for key in order.split()]
            taken = [each == "F" if isinstance(each, str) else each for each in taken]
            found = CATALOGUE[score_id].formula(*taken)
            assert found == pytest.approx(expected, abs=allowed or 1e-9), (name, given_)
    for given_, both in vectors["LDL Friedewald/Sampson mg/dL"]["vec"]:
        taken = [given_[key] for key in ("tc", "hdl", "tg")]
        found = [CATALOGUE[f"ldl-{each}"].formula(*taken) for each in ("friedewald", "sampson")]
        assert found == pytest.approx(both, abs=0.05)


@pytest.mark.requirement("DX-LAB-20")
def test_framingham_gives_the_risks_of_its_paper() -> None:
    """D'Agostino 2008 works through a woman of 61 (10.5 %) and a man of 53 (15.6 %)."""
    formula = CATALOGUE["framingham-2008"].formula
    assert formula(61, True, 180, 47, 124, False, True, False) == pytest.approx(10.5, abs=0.05)
    assert formula(53, False, 161, 55, 125, True, False, True) == pytest.approx(15.6, abs=0.05)


def drawn(definition: Definition, wanted: Wanted) -> st.SearchStrategy[Value]:
    """Return values of an input that the score believes."""
    kind, low, high = wanted.quality.kind, wanted.low, wanted.high
    if kind is Kind.ITEM or wanted.quality.name == "sex":
        return st.booleans()
    if kind is Kind.GRADE:
        return st.integers(int(low), int(high))
    if wanted.quality.name == "age" and definition.ages:
        low, high = definition.ages
    return st.floats(low, high)


def test_every_score_has_a_direction() -> None:
    exempt = {"ldl-sampson", "delta-ratio"}  # the first bends back, the second has a pole
    assert RISES.keys() | FALLS.keys() == CATALOGUE.keys() - exempt


@pytest.mark.requirement("DX-LAB-21")
@pytest.mark.parametrize("score_id", sorted(RISES.keys() | FALLS.keys()))
@settings(max_examples=8, deadline=None, phases=(Phase.generate,), database=None)
@given(data=st.data())
def test_score_goes_the_way_the_medicine_goes(score_id: str, data: st.DataObject) -> None:
    """More of an input never means less of the score, or never more of it."""
    definition = CATALOGUE[score_id]
    taken = data.draw(st.tuples(*(drawn(definition, each) for each in definition.wanted)))
    others = data.draw(st.tuples(*(drawn(definition, each) for each in definition.wanted)))
    names = [each.quality.name for each in definition.wanted]
    for table, sign in ((RISES, 1), (FALLS, -1)):
        for name in table.get(score_id, "").split():
            place = names.index(name)
            less, more = (
                definition.formula(*(*taken[:place], each, *taken[place + 1 :]))
                for each in sorted((taken[place], others[place]))
            )
            assert sign * (more - less) >= -1e-9 * max(abs(more), abs(less)), (name, taken)


@pytest.mark.requirement("DX-LAB-20")
def test_formulas_take_what_the_catalogue_gives_them() -> None:
    """Parameters end in the unit that the catalogue converts to."""
    spelt = {
        "mg_dl": "mg/dL", "g_dl": "g/dL", "umol_l": "umol/L", "mmol_l": "mmol/L", "g_l": "g/L",
        "u_l": "U/L", "10_9_l": "10*9/L", "10_12_l": "10*12/L", "mg_l": "mg/L", "mmhg": "mm[Hg]",
        "years": "a", "kg": "kg", "cm": "cm", "pct": "%", "fl": "fL", "ug_l": "ug/L",
        "miu_l": "m[IU]/L", "mosm_kg": "mosm/kg", "ml_24h": "mL", "_s": "s", "temperature_c": "Cel",
    }  # fmt: skip
    for definition in CATALOGUE.values():
        parameters: Sequence[str] = list(inspect.signature(definition.formula).parameters)
        assert len(parameters) == len(definition.wanted)
        for name, wanted in zip(parameters, definition.wanted, strict=True):
            units = [unit for end, unit in spelt.items() if name.endswith(end)]
            assert not units or wanted.unit in units, (definition.score_id, name, wanted.unit)
