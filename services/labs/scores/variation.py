"""How much a result varies by itself."""

from __future__ import annotations

from math import sqrt


def reference_change_value(cv_analytic_pct: float, cv_within_pct: float, z: float) -> float:
    """Return the reference change value, percent: sqrt 2 x Z x sqrt(CVa2 + CVi2)."""
    return sqrt(2.0) * z * sqrt(cv_analytic_pct**2 + cv_within_pct**2)
