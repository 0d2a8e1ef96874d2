"""Risk equations and points of the heart and vessels."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log


def cha2ds2_vasc(
    age_years: float,
    female: bool,
    heart_failure: bool,
    hypertension: bool,
    diabetes: bool,
    stroke: bool,
    vascular: bool,
) -> int:
    """Return the CHA2DS2-VASc points, 0 to 9.

    `stroke` is stroke, TIA or thromboembolism; `vascular` a myocardial infarction,
    peripheral artery disease or aortic plaque.
    """
    points = 2 if age_years >= 75 else 1 if age_years >= 65 else 0
    return points + female + heart_failure + hypertension + diabetes + 2 * stroke + vascular


def has_bled(
    age_years: float,
    uncontrolled_hypertension: bool,
    renal: bool,
    liver: bool,
    stroke: bool,
    bleeding: bool,
    labile_inr: bool,
    drugs: bool,
    alcohol: bool,
) -> int:
    """Return the HAS-BLED points, 0 to 9."""
    history = uncontrolled_hypertension + renal + liver + stroke + bleeding + labile_inr
    return history + drugs + alcohol + (age_years > 65)


def heart_score(
    history: int, ecg: int, age_years: float, risk_factors: int, troponin_times_upper: float
) -> int:
    """Return the HEART points, 0 to 10; the last input is troponin over its upper limit."""
    age = 0 if age_years < 45 else 1 if age_years < 65 else 2
    troponin = 0 if troponin_times_upper <= 1 else 1 if troponin_times_upper <= 3 else 2
    return history + ecg + age + risk_factors + troponin


@dataclass(frozen=True, slots=True)
class _Framingham:
    """Coefficients of D'Agostino RB et al. 2008, table 2, with lipids."""

    age: float
    cholesterol: float
    hdl: float
    untreated: float
    treated: float
    smoker: float
    diabetes: float
    mean: float
    survival: float


_WOMEN = _Framingham(
    2.32888, 1.20904, -0.70833, 2.76157, 2.82263, 0.52873, 0.69154, 26.1931, 0.95012
)
_MEN = _Framingham(3.06117, 1.12370, -0.93263, 1.93303, 1.99881, 0.65451, 0.57367, 23.9802, 0.88936)


def framingham_2008(
    age_years: float,
    female: bool,
    cholesterol_mg_dl: float,
    hdl_mg_dl: float,
    sbp_mmhg: float,
    treated: bool,
    smoker: bool,
    diabetes: bool,
) -> float:
    """Return the 10-year risk of cardiovascular disease, percent.

    Source: D'Agostino RB et al. 2008: 1 - S0^exp(sum of beta x - mean).
    """
    beta = _WOMEN if female else _MEN
    total = beta.age * log(age_years) + beta.cholesterol * log(cholesterol_mg_dl)
    total += beta.hdl * log(hdl_mg_dl)
    total += (beta.treated if treated else beta.untreated) * log(sbp_mmhg)
    total += beta.smoker * smoker + beta.diabetes * diabetes
    return 100.0 * float(1.0 - beta.survival ** exp(total - beta.mean))


def china_par(
    age_years: float,
    female: bool,
    sbp_mmhg: float,
    treated: bool,
    cholesterol_mg_dl: float,
    hdl_mg_dl: float,
    waist_cm: float,
    smoker: bool,
    diabetes: bool,
    north: bool,
    urban: bool,
    family_history: bool,
) -> float:
    """Return the 10-year risk of atherosclerotic cardiovascular disease in China, percent.

    Coefficients to three decimals and baseline survivals 0.9707 and 0.9851 as printed in the
    group standard T/JPMA 024-2024, appendices C and D; the paper prints two decimals. In
    women neither `urban` nor `family_history` counts.

    Source: Yang X et al. 2016.
    """
    age, pressure = log(age_years), log(sbp_mmhg)
    if female:
        total = 24.874 * age + 0.058 * log(cholesterol_mg_dl) - 0.217 * log(hdl_mg_dl)
        total += (20.709 if treated else 19.982) * pressure
        total += (-4.528 if treated else -4.360) * age * pressure
        total += 1.475 * log(waist_cm) + 0.495 * smoker + 0.567 * diabetes + 0.544 * north
        return 100.0 * float(1.0 - 0.9851 ** exp(total - 117.26))
    total = 31.967 * age + 0.621 * log(cholesterol_mg_dl) - 0.695 * log(hdl_mg_dl)
    total += (27.388 if treated else 26.148) * pressure
    total += (-6.018 if treated else -5.731) * age * pressure
    total += -0.712 * log(waist_cm) + 0.357 * diabetes + 0.475 * north - 0.164 * urban
    total += smoker * (3.955 - 0.939 * age) + family_history * (6.221 - 1.534 * age)
    return 100.0 * float(1.0 - 0.9707 ** exp(total - 140.68))
