"""Formulas of the liver: plain numbers in, a plain number out."""

from __future__ import annotations

from math import floor, log, log10, sqrt


def fib4(age_years: float, ast_u_l: float, alt_u_l: float, platelets_10_9_l: float) -> float:
    """Return the fibrosis-4 index, without unit: age x AST / (platelets x sqrt(ALT))."""
    return age_years * ast_u_l / (platelets_10_9_l * sqrt(alt_u_l))


def apri(ast_u_l: float, ast_upper_u_l: float, platelets_10_9_l: float) -> float:
    """Return the AST to platelet ratio index: 100 x (AST / upper limit) / platelets."""
    return 100.0 * (ast_u_l / ast_upper_u_l) / platelets_10_9_l


def nafld_fibrosis(
    age_years: float,
    bmi: float,
    diabetes: bool,
    ast_u_l: float,
    alt_u_l: float,
    platelets_10_9_l: float,
    albumin_g_dl: float,
) -> float:
    """Return the NAFLD fibrosis score; `diabetes` includes impaired fasting glucose.

    Source: Angulo P et al. 2007: -1.675 + 0.037 age + 0.094 BMI + 1.13 diabetes +
    0.99 AST/ALT - 0.013 platelets - 0.66 albumin.
    """
    person = -1.675 + 0.037 * age_years + 0.094 * bmi + (1.13 if diabetes else 0.0)
    return person + 0.99 * ast_u_l / alt_u_l - 0.013 * platelets_10_9_l - 0.66 * albumin_g_dl


def albi(bilirubin_umol_l: float, albumin_g_l: float) -> float:
    """Return the albumin-bilirubin score: 0.66 log10(bilirubin) - 0.085 albumin."""
    return 0.66 * log10(bilirubin_umol_l) - 0.085 * albumin_g_l


def meld_3(
    bilirubin_mg_dl: float,
    inr: float,
    creatinine_mg_dl: float,
    sodium_mmol_l: float,
    albumin_g_dl: float,
    female: bool,
    dialysis: bool | None,
) -> int:
    """Return MELD 3.0, a whole number; `dialysis`: twice or more in the past week.

    Bilirubin and INR are at least 1, creatinine 1 to 3 (3 under dialysis), sodium 125 to 137,
    albumin 1.5 to 3.5.

    Source: Kim WR et al. 2021.
    """
    bilirubin, ratio = log(max(bilirubin_mg_dl, 1.0)), log(max(inr, 1.0))
    creatinine = log(3.0 if dialysis else _within(creatinine_mg_dl, 1.0, 3.0))
    sodium = 137.0 - _within(sodium_mmol_l, 125.0, 137.0)
    albumin = 3.5 - _within(albumin_g_dl, 1.5, 3.5)
    value = (1.33 if female else 0.0) + 4.56 * bilirubin + 0.82 * sodium - 0.24 * sodium * bilirubin
    value += 9.09 * ratio + 11.14 * creatinine + 1.85 * albumin - 1.83 * albumin * creatinine + 6.0
    return min(_whole(value), 40)


def meld_na(
    bilirubin_mg_dl: float,
    inr: float,
    creatinine_mg_dl: float,
    sodium_mmol_l: float,
    dialysis: bool | None,
) -> int:
    """Return MELD-Na, a whole number; `dialysis`: twice or more in the past week.

    Inputs are at least 1, creatinine at most 4 (4 under dialysis), sodium 125 to 137. The
    sodium term is added above 11 only.

    Source: OPTN policy 9.1.D (2016); Kim WR et al. 2008.
    """
    creatinine = 4.0 if dialysis else _within(creatinine_mg_dl, 1.0, 4.0)
    value = 0.957 * log(creatinine) + 0.378 * log(max(bilirubin_mg_dl, 1.0))
    value += 1.12 * log(max(inr, 1.0)) + 0.643
    meld = _whole(value * 10.0)  # equals 10 x the sum rounded to one decimal
    if meld <= 11:
        return meld
    sodium = 137.0 - _within(sodium_mmol_l, 125.0, 137.0)
    return min(_whole(meld + 1.32 * sodium - 0.033 * meld * sodium), 40)


def maddrey(pt_s: float, pt_control_s: float, bilirubin_mg_dl: float) -> float:
    """Return Maddrey's discriminant function: 4.6 x (PT - control) + bilirubin."""
    return 4.6 * (pt_s - pt_control_s) + bilirubin_mg_dl


def child_pugh(
    bilirubin_mg_dl: float,
    albumin_g_dl: float,
    inr: float,
    ascites: int,
    encephalopathy: int,
) -> int:
    """Return the Child-Pugh points, 5 to 15.

    `ascites` 0 none, 1 slight, 2 moderate or more; `encephalopathy` 0 none, 1 grade 1-2,
    2 grade 3-4.

    Source: Pugh RNH et al. 1973; INR in place of seconds: 1.7 and 2.3.
    """
    points = 1 if bilirubin_mg_dl < 2.0 else 2 if bilirubin_mg_dl <= 3.0 else 3
    points += 1 if albumin_g_dl > 3.5 else 2 if albumin_g_dl >= 2.8 else 3
    points += 1 if inr < 1.7 else 2 if inr <= 2.3 else 3
    return points + ascites + 1 + encephalopathy + 1


def r_ratio(alt_u_l: float, alt_upper_u_l: float, alp_u_l: float, alp_upper_u_l: float) -> float:
    """Return ALT over its upper limit divided by ALP over its upper limit."""
    return (alt_u_l / alt_upper_u_l) / (alp_u_l / alp_upper_u_l)


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _whole(value: float) -> int:
    """Return the nearest whole number; a half goes up, as the allocation systems do."""
    return floor(value + 0.5)
