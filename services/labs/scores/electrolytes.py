"""Formulas of salts, water and acid-base: plain numbers in, a plain number out."""

from __future__ import annotations


def anion_gap(sodium_mmol_l: float, chloride_mmol_l: float, hco3_mmol_l: float) -> float:
    """Return the anion gap without potassium, mmol/L."""
    return sodium_mmol_l - chloride_mmol_l - hco3_mmol_l


def anion_gap_corrected(
    sodium_mmol_l: float, chloride_mmol_l: float, hco3_mmol_l: float, albumin_g_dl: float
) -> float:
    """Return the anion gap corrected for albumin, mmol/L: 2.5 for each g/dL below 4."""
    gap = anion_gap(sodium_mmol_l, chloride_mmol_l, hco3_mmol_l)
    return gap + 2.5 * (4.0 - albumin_g_dl)


def delta_ratio(sodium_mmol_l: float, chloride_mmol_l: float, hco3_mmol_l: float) -> float:
    """Return (gap - 12) / (24 - bicarbonate); bicarbonate is below 24."""
    gap = anion_gap(sodium_mmol_l, chloride_mmol_l, hco3_mmol_l)
    return (gap - 12.0) / (24.0 - hco3_mmol_l)


def osmolality(sodium_mmol_l: float, glucose_mg_dl: float, urea_nitrogen_mg_dl: float) -> float:
    """Return the calculated osmolality, mosm/kg: 2 Na + glucose/18 + urea nitrogen/2.8."""
    return 2.0 * sodium_mmol_l + glucose_mg_dl / 18.0 + urea_nitrogen_mg_dl / 2.8


def osmolal_gap(
    measured_mosm_kg: float,
    sodium_mmol_l: float,
    glucose_mg_dl: float,
    urea_nitrogen_mg_dl: float,
) -> float:
    """Return measured less calculated osmolality, mosm/kg."""
    return measured_mosm_kg - osmolality(sodium_mmol_l, glucose_mg_dl, urea_nitrogen_mg_dl)


def sodium_for_glucose(sodium_mmol_l: float, glucose_mg_dl: float) -> float:
    """Return sodium corrected for glucose, mmol/L: 2.4 for each 100 mg/dL above 100."""
    return sodium_mmol_l + 0.024 * (glucose_mg_dl - 100.0)


def calcium_for_albumin(calcium_mg_dl: float, albumin_g_dl: float) -> float:
    """Return calcium corrected for albumin, mg/dL: 0.8 for each g/dL below 4."""
    return calcium_mg_dl + 0.8 * (4.0 - albumin_g_dl)


def winters(hco3_mmol_l: float, pco2_mmhg: float) -> float:
    """Return the pCO2 expected in metabolic acidosis, mmHg, give or take 2.

    The measured pCO2 is compared with it, and does not change it.
    """
    return 1.5 * hco3_mmol_l + 8.0


def free_water_deficit(
    sodium_mmol_l: float, weight_kg: float, age_years: float, female: bool
) -> float:
    """Return the free water deficit, L: body water x (sodium / 140 - 1).

    Body water is 0.6 of the weight in men and 0.5 in women, from 65 years 0.5 and 0.45.

    Source: Adrogue HJ, Madias NE. 2000.
    """
    elderly = age_years >= 65
    share = (0.45 if elderly else 0.5) if female else (0.5 if elderly else 0.6)
    return share * weight_kg * (sodium_mmol_l / 140.0 - 1.0)


def phenytoin_for_albumin(
    phenytoin_mg_l: float, albumin_g_dl: float, kidney_failure: bool | None
) -> float:
    """Return total phenytoin as if albumin were normal, mg/L.

    Measured / (0.2 x albumin + 0.1); 0.1 in place of 0.2 at a clearance below 10 mL/min.

    Source: Sheiner LB, Tozer TN (in Winter ME, Basic Clinical Pharmacokinetics).
    """
    return phenytoin_mg_l / ((0.1 if kidney_failure else 0.2) * albumin_g_dl + 0.1)
