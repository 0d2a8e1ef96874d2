"""Formulas of glucose and lipids: plain numbers in, a plain number out."""

from __future__ import annotations

from math import log


def homa_ir(glucose_mg_dl: float, insulin_miu_l: float) -> float:
    """Return HOMA-IR: fasting glucose x fasting insulin / 405."""
    return glucose_mg_dl * insulin_miu_l / 405.0


def tyg(triglycerides_mg_dl: float, glucose_mg_dl: float) -> float:
    """Return the triglyceride-glucose index: ln(triglycerides x fasting glucose / 2)."""
    return log(triglycerides_mg_dl * glucose_mg_dl / 2.0)


def estimated_average_glucose(hba1c_pct: float) -> float:
    """Return the estimated average glucose, mg/dL: 28.7 x HbA1c - 46.7."""
    return 28.7 * hba1c_pct - 46.7


def ldl_friedewald(cholesterol_mg_dl: float, hdl_mg_dl: float, triglycerides_mg_dl: float) -> float:
    """Return LDL cholesterol, mg/dL: total - HDL - triglycerides / 5."""
    return cholesterol_mg_dl - hdl_mg_dl - triglycerides_mg_dl / 5.0


def ldl_sampson(cholesterol_mg_dl: float, hdl_mg_dl: float, triglycerides_mg_dl: float) -> float:
    """Return LDL cholesterol, mg/dL.

    Source: Sampson M et al. 2020: TC/0.948 - HDL/0.971 - (TG/8.56 + TG x nonHDL/2140 -
    TG^2/16100) - 9.44.
    """
    rest = triglycerides_mg_dl / 8.56
    rest += triglycerides_mg_dl * non_hdl(cholesterol_mg_dl, hdl_mg_dl) / 2140.0
    rest -= triglycerides_mg_dl**2 / 16100.0
    return cholesterol_mg_dl / 0.948 - hdl_mg_dl / 0.971 - rest - 9.44


def non_hdl(cholesterol_mg_dl: float, hdl_mg_dl: float) -> float:
    """Return non-HDL cholesterol, mg/dL."""
    return cholesterol_mg_dl - hdl_mg_dl
