"""The formulas: plain numbers in, a plain number out, no rounding.

Each is held to `score_vectors.json` and to its paper.
"""

from __future__ import annotations

from math import sqrt

EGFR_SOURCE = "CKD-EPI 2021 creatinine, race-free: Inker LA et al., N Engl J Med 2021;385:1737"
FIB4_SOURCE = "FIB-4: Sterling RK et al., Hepatology 2006;43:1317"


def egfr_ckd_epi_2021(creatinine_mg_dl: float, age_years: float, *, female: bool) -> float:
    """Return the estimated GFR, mL/min/1.73 m2, of an adult.

    Parameters
    ----------
    creatinine_mg_dl : serum, IDMS-traceable, more than 0
    age_years : 18 or more

    Source: Inker LA et al. 2021, table S12: 142 x min(S/k,1)^a x max(S/k,1)^-1.2 x
    0.9938^age x 1.012 [female]; k 0.7/0.9, a -0.241/-0.302 for female/male.
    """
    ratio = creatinine_mg_dl / (0.7 if female else 0.9)
    below, above = min(ratio, 1.0), max(ratio, 1.0)
    bent = below ** (-0.241 if female else -0.302) * above**-1.2
    value = float(142.0 * bent * 0.9938**age_years)
    return value * 1.012 if female else value


def fib4(age_years: float, ast_u_l: float, alt_u_l: float, platelets_10_9_l: float) -> float:
    """Return the fibrosis-4 index, without unit; all inputs more than 0.

    Source: Sterling RK et al. 2006: age x AST / (platelets x sqrt(ALT)).
    """
    return age_years * ast_u_l / (platelets_10_9_l * sqrt(alt_u_l))


def gfr_category(egfr: float) -> tuple[str, str]:
    """Return the KDIGO GFR category in English and Chinese, from the whole number.

    Source: KDIGO 2024 CKD guideline, table 2.
    """
    rounded = round(egfr)
    for low, name, english, chinese in (
        (90, "G1", "normal or high", "正常或增高"),
        (60, "G2", "mildly decreased", "轻度下降"),
        (45, "G3a", "mildly to moderately decreased", "轻到中度下降"),
        (30, "G3b", "moderately to severely decreased", "中到重度下降"),
        (15, "G4", "severely decreased", "重度下降"),
    ):
        if rounded >= low:
            return f"{name}, {english}", f"{name}，{chinese}"
    return "G5, kidney failure", "G5，肾衰竭"


def fib4_category(value: float, age_years: float) -> tuple[str, str]:
    """Return how likely advanced fibrosis is, in English and Chinese.

    Cut-offs 1.3 and 2.67 (Shah 2009); from 65 years 2.0 in place of 1.3; none up to 35 years,
    where the index performs poorly (McPherson 2017).

    Source: Shah AG et al., Clin Gastroenterol Hepatol 2009;7:1104; McPherson S et al.,
    Am J Gastroenterol 2017;112:740.
    """
    if age_years <= 35:
        return "not categorised: unreliable up to 35 years", "不分级：35岁及以下不可靠"
    elderly = age_years >= 65
    english = " (cut-off 2.0 from 65 years)" if elderly else ""
    chinese = "（65岁及以上下限为2.0）" if elderly else ""
    if value < (2.0 if elderly else 1.3):
        return f"advanced fibrosis unlikely{english}", f"进展期纤维化可能性低{chinese}"
    if value < 2.67:
        return f"indeterminate{english}", f"不确定{chinese}"
    return (
        "advanced fibrosis likely enough to examine further",
        "进展期纤维化可能性较高，建议进一步检查",
    )
