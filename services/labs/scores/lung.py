"""Points and formulas of pneumonia, embolism and gas exchange."""

from __future__ import annotations

SEA_LEVEL_MMHG, WATER_VAPOUR_MMHG, RESPIRATORY_QUOTIENT = 760.0, 47.0, 0.8


def curb_65(
    confusion: bool,
    urea_mmol_l: float,
    respiratory_rate: float,
    sbp_mmhg: float,
    dbp_mmhg: float,
    age_years: float,
) -> int:
    """Return the CURB-65 points, 0 to 5."""
    low_pressure = sbp_mmhg < 90 or dbp_mmhg <= 60
    points = confusion + (urea_mmol_l > 7) + (respiratory_rate >= 30)
    return points + low_pressure + (age_years >= 65)


def wells_pe(
    dvt_signs: bool,
    pe_likeliest: bool,
    heart_rate: float,
    immobilised: bool,
    previous: bool,
    haemoptysis: bool,
    cancer: bool,
) -> float:
    """Return the Wells points for pulmonary embolism, 0 to 12.5."""
    points = 3.0 * dvt_signs + 3.0 * pe_likeliest + 1.5 * (heart_rate > 100)
    return points + 1.5 * immobilised + 1.5 * previous + haemoptysis + cancer


def wells_dvt(
    cancer: bool,
    paralysis: bool,
    bedridden: bool,
    tenderness: bool,
    whole_leg: bool,
    calf: bool,
    pitting: bool,
    collaterals: bool,
    previous: bool,
    alternative: bool,
) -> int:
    """Return the Wells points for deep vein thrombosis, -2 to 9."""
    points = cancer + paralysis + bedridden + tenderness + whole_leg + calf + pitting
    return points + collaterals + previous - 2 * alternative


def perc(
    age_years: float,
    heart_rate: float,
    saturation_pct: float,
    leg_swelling: bool,
    haemoptysis: bool,
    surgery_or_trauma: bool,
    previous: bool,
    oestrogen: bool,
) -> int:
    """Return how many of the eight criteria of the PERC rule are positive."""
    measured = (age_years >= 50) + (heart_rate >= 100) + (saturation_pct < 95)
    return measured + leg_swelling + haemoptysis + surgery_or_trauma + previous + oestrogen


def alveolar_arterial_gradient(
    po2_mmhg: float, pco2_mmhg: float, fio2_pct: float, age_years: float
) -> float:
    """Return the alveolar-arterial oxygen difference at sea level, mmHg.

    The age says what to expect, and does not change it.
    """
    inspired = fio2_pct / 100.0 * (SEA_LEVEL_MMHG - WATER_VAPOUR_MMHG)
    return inspired - pco2_mmhg / RESPIRATORY_QUOTIENT - po2_mmhg


def horowitz(po2_mmhg: float, fio2_pct: float) -> float:
    """Return PaO2 / FiO2, mmHg."""
    return po2_mmhg / (fio2_pct / 100.0)
