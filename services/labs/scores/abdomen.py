"""Points of bleeding from the upper gut and of pancreatitis."""

from __future__ import annotations


def glasgow_blatchford(
    urea_mmol_l: float,
    hgb_g_l: float,
    female: bool,
    sbp_mmhg: float,
    heart_rate: float,
    melaena: bool,
    syncope: bool,
    liver_disease: bool,
    heart_failure: bool,
) -> int:
    """Return the Glasgow-Blatchford points, 0 to 23.

    Source: Blatchford O et al. 2000, table 2.
    """
    urea = sum(
        points for limit, points in ((6.5, 2), (8, 1), (10, 1), (25, 2)) if urea_mmol_l >= limit
    )
    if female:
        haemoglobin = 6 if hgb_g_l < 100 else 1 if hgb_g_l < 120 else 0
    else:
        haemoglobin = 6 if hgb_g_l < 100 else 3 if hgb_g_l < 120 else 1 if hgb_g_l < 130 else 0
    pressure = sum(sbp_mmhg < limit for limit in (110, 100, 90))
    signs = (heart_rate >= 100) + melaena + 2 * syncope + 2 * liver_disease + 2 * heart_failure
    return urea + haemoglobin + pressure + signs


def ranson(
    age_years: float,
    leukocytes_10_9_l: float,
    glucose_mg_dl: float,
    ast_u_l: float,
    ldh_u_l: float,
    hct_fall_pct: float,
    urea_nitrogen_rise_mg_dl: float,
    calcium_48h_mg_dl: float,
    po2_48h_mmhg: float,
    base_deficit_48h_mmol_l: float,
    fluid_48h_l: float,
) -> int:
    """Return the Ranson points, 0 to 11, of pancreatitis not due to gallstones.

    Source: Ranson JH et al. 1974: five criteria on admission, six within 48 hours.
    """
    first = (age_years > 55) + (leukocytes_10_9_l > 16) + (glucose_mg_dl > 200)
    first += (ast_u_l > 250) + (ldh_u_l > 350)
    later = (hct_fall_pct > 10) + (urea_nitrogen_rise_mg_dl > 5) + (calcium_48h_mg_dl < 8)
    later += (po2_48h_mmhg < 60) + (base_deficit_48h_mmol_l > 4) + (fluid_48h_l > 6)
    return first + later


def bisap(
    urea_nitrogen_mg_dl: float,
    impaired_mental_status: bool,
    sirs_criteria: float,
    age_years: float,
    pleural_effusion: bool,
) -> int:
    """Return the BISAP points, 0 to 5."""
    measured = (urea_nitrogen_mg_dl > 25) + (sirs_criteria >= 2) + (age_years > 60)
    return measured + impaired_mental_status + pleural_effusion
