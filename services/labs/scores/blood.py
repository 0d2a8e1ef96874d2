"""Formulas and points of red cells, iron, clotting and cell destruction."""

from __future__ import annotations

HCT_NORMAL_PCT = 45.0


def mentzer(mcv_fl: float, erythrocytes_10_12_l: float) -> float:
    """Return the Mentzer index, MCV over the erythrocyte count."""
    return mcv_fl / erythrocytes_10_12_l


def corrected_reticulocytes(reticulocytes_pct: float, hct_pct: float) -> float:
    """Return the reticulocytes corrected for the haematocrit, percent."""
    return reticulocytes_pct * hct_pct / HCT_NORMAL_PCT


def reticulocyte_production_index(reticulocytes_pct: float, hct_pct: float) -> float:
    """Return the reticulocyte production index: corrected count over maturation time.

    Maturation in days: 1.0 from a haematocrit of 36, 1.5 from 26, 2.0 from 16, else 2.5.
    """
    days = 1.0 if hct_pct >= 36 else 1.5 if hct_pct >= 26 else 2.0 if hct_pct >= 16 else 2.5
    return corrected_reticulocytes(reticulocytes_pct, hct_pct) / days


def transferrin_saturation(iron_umol_l: float, tibc_umol_l: float) -> float:
    """Return the transferrin saturation, percent: 100 x iron / iron binding capacity."""
    return 100.0 * iron_umol_l / tibc_umol_l


def isth_dic(
    platelets_10_9_l: float, fibrin: int, pt_s: float, pt_upper_s: float, fibrinogen_g_l: float
) -> int:
    """Return the ISTH points for overt DIC, 0 to 8.

    `fibrin` is the rise of a fibrin-related marker: 0 none, 1 moderate, 2 strong; no paper
    fixes it for every D-dimer test.

    Source: Taylor FB et al. 2001.
    """
    platelets = 2 if platelets_10_9_l < 50 else 1 if platelets_10_9_l < 100 else 0
    longer = pt_s - pt_upper_s
    clotting = 2 if longer > 6 else 1 if longer >= 3 else 0
    return platelets + (0, 2, 3)[fibrin] + clotting + (fibrinogen_g_l < 1)


def plasmic(
    platelets_10_9_l: float,
    haemolysis: bool,
    active_cancer: bool,
    transplant: bool,
    mcv_fl: float,
    inr: float,
    creatinine_mg_dl: float,
) -> int:
    """Return the PLASMIC points, 0 to 7: how likely ADAMTS13 is severely deficient."""
    absent = (not active_cancer) + (not transplant)
    measured = (mcv_fl < 90) + (inr < 1.5) + (creatinine_mg_dl < 2.0)
    return (platelets_10_9_l < 30) + haemolysis + absent + measured


def hscore(
    immunosuppressed: bool,
    temperature_c: float,
    organomegaly: int,
    hgb_g_l: float,
    leukocytes_10_9_l: float,
    platelets_10_9_l: float,
    ferritin_ug_l: float,
    triglycerides_mmol_l: float,
    fibrinogen_g_l: float,
    ast_u_l: float,
    haemophagocytosis: bool,
) -> int:
    """Return the HScore for haemophagocytic syndrome, 0 to 337.

    `organomegaly` 0 none, 1 liver or spleen, 2 both. A lineage is low at haemoglobin up to
    92 g/L, leukocytes up to 5, platelets up to 110 x 10^9/L.

    Source: Fardet L et al. 2014.
    """
    low = (hgb_g_l <= 92) + (leukocytes_10_9_l <= 5) + (platelets_10_9_l <= 110)
    points = 18 * immunosuppressed + (0, 23, 38)[organomegaly] + (0, 0, 24, 34)[low]
    points += 49 if temperature_c > 39.4 else 33 if temperature_c >= 38.4 else 0
    points += 50 if ferritin_ug_l > 6000 else 35 if ferritin_ug_l >= 2000 else 0
    points += 64 if triglycerides_mmol_l > 4 else 44 if triglycerides_mmol_l >= 1.5 else 0
    return points + 30 * (fibrinogen_g_l <= 2.5) + 19 * (ast_u_l >= 30) + 35 * haemophagocytosis


def hit_4ts(thrombocytopenia: int, timing: int, thrombosis: int, other_cause: int) -> int:
    """Return the 4Ts points, 0 to 8, for heparin-induced thrombocytopenia; each item 0 to 2."""
    return thrombocytopenia + timing + thrombosis + other_cause
