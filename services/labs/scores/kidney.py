"""Formulas of the kidney: plain numbers in, a plain number out, no rounding."""

from __future__ import annotations

BASELINE_RISE_UMOL_L = 26.0
AKI_3_UMOL_L = 354.0


def egfr_ckd_epi_2021(creatinine_mg_dl: float, age_years: float, female: bool) -> float:
    """Return the estimated GFR, mL/min/1.73 m2, of an adult.

    Source: Inker LA et al. 2021, table S12: 142 x min(S/k,1)^a x max(S/k,1)^-1.2 x
    0.9938^age x 1.012 [female]; k 0.7/0.9, a -0.241/-0.302 for female/male.
    """
    ratio = creatinine_mg_dl / (0.7 if female else 0.9)
    bent = min(ratio, 1.0) ** (-0.241 if female else -0.302) * max(ratio, 1.0) ** -1.2
    return float(142.0 * bent * 0.9938**age_years * (1.012 if female else 1.0))


def egfr_cystatin_2012(cystatin_mg_l: float, age_years: float, female: bool) -> float:
    """Return the estimated GFR, mL/min/1.73 m2, of an adult.

    Source: Inker LA et al. 2012: 133 x min(c/0.8,1)^-0.499 x max(c/0.8,1)^-1.328 x
    0.996^age x 0.932 [female].
    """
    ratio = cystatin_mg_l / 0.8
    bent = min(ratio, 1.0) ** -0.499 * max(ratio, 1.0) ** -1.328
    return float(133.0 * bent * 0.996**age_years * (0.932 if female else 1.0))


def egfr_creatinine_cystatin_2021(
    creatinine_mg_dl: float, cystatin_mg_l: float, age_years: float, female: bool
) -> float:
    """Return the estimated GFR, mL/min/1.73 m2, of an adult.

    Source: Inker LA et al. 2021: 135 x min(S/k,1)^a x max(S/k,1)^-0.544 x
    min(c/0.8,1)^-0.323 x max(c/0.8,1)^-0.778 x 0.9961^age x 0.963 [female];
    k 0.7/0.9, a -0.219/-0.144 for female/male.
    """
    ratio = creatinine_mg_dl / (0.7 if female else 0.9)
    cystatin = cystatin_mg_l / 0.8
    bent = min(ratio, 1.0) ** (-0.219 if female else -0.144) * max(ratio, 1.0) ** -0.544
    bent *= min(cystatin, 1.0) ** -0.323 * max(cystatin, 1.0) ** -0.778
    return float(135.0 * bent * 0.9961**age_years * (0.963 if female else 1.0))


def schwartz_bedside(creatinine_mg_dl: float, height_cm: float) -> float:
    """Return the estimated GFR, mL/min/1.73 m2, of a child: 0.413 x height / creatinine."""
    return 0.413 * height_cm / creatinine_mg_dl


def cockcroft_gault(
    creatinine_mg_dl: float, age_years: float, weight_kg: float, female: bool
) -> float:
    """Return the creatinine clearance, mL/min: (140 - age) x weight / (72 x creatinine)."""
    value = (140.0 - age_years) * weight_kg / (72.0 * creatinine_mg_dl)
    return value * 0.85 if female else value


def fractional_excretion(
    urine: float, serum: float, urine_creatinine: float, creatinine: float
) -> float:
    """Return the fractional excretion of a substance, percent.

    Each pair, urine and serum, is in one unit: 100 x U x SCr / (S x UCr).
    """
    return 100.0 * urine * creatinine / (serum * urine_creatinine)


def nhs_aki_stage(
    creatinine_umol_l: float,
    lowest_7d_umol_l: float | None,
    median_year_umol_l: float | None,
    lowest_48h_umol_l: float | None,
) -> int:
    """Return the stage of acute kidney injury, 0 to 3; a baseline is needed for more than 0.

    The higher ratio to the lowest of 0-7 days or the median of 8-365 days decides; below 1.5
    a rise of more than 26 umol/L within 48 h is stage 1.

    Source: NHS England, Acute kidney injury (AKI) algorithm, 2014.
    """
    baselines = [each for each in (lowest_7d_umol_l, median_year_umol_l) if each is not None]
    ratio = max((creatinine_umol_l / each for each in baselines), default=0.0)
    if ratio >= 1.5:
        if ratio >= 3.0 or creatinine_umol_l > AKI_3_UMOL_L:
            return 3
        return 2 if ratio >= 2.0 else 1
    rise = 0.0 if lowest_48h_umol_l is None else creatinine_umol_l - lowest_48h_umol_l
    return 1 if rise > BASELINE_RISE_UMOL_L else 0
