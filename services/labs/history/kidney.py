"""How the estimated filtration rate went, from every creatinine at hand.

Source: KDIGO 2012 and 2024 CKD guidelines: a drop is certain when the category changes and the
rate falls by 25 % or more from the baseline; rapid progression is a sustained fall of more than
5 mL/min/1.73 m2 a year. The baseline here is the median of what is older than 90 days, and a fall
a year is told of three results or more over at least a year: the project's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from services.labs.history.trend import YEAR_H, theil_sen
from services.labs.panel import Subject
from services.labs.scores.kidney import egfr_ckd_epi_2021

UMOL_L_PER_MG_DL = 88.4
CATEGORIES = (15.0, 30.0, 45.0, 60.0, 90.0)
"""Lower limits of G4, G3b, G3a, G2 and G1, mL/min/1.73 m2."""
OLD_H = 90 * 24.0
LEAST = 3


@dataclass(frozen=True, slots=True)
class Course:
    """How the rate went."""

    fall_pct: float | None = None
    """From the baseline, percent; negative when it rose; None: there is no baseline."""
    categories: int = 0
    """By how many categories it is worse than the baseline."""
    per_year: float | None = None
    """Theil-Sen slope, mL/min/1.73 m2 a year; None: too few or too close."""


def course(creatinine: Sequence[tuple[float, float]], subject: Subject) -> Course | None:
    """Return the course from (hours, umol/L) in order of time, the last is now; None: unknown.

    Of adults of known sex who are not pregnant.
    """
    if not subject.adult or subject.pregnant or subject.sex not in ("male", "female"):
        return None
    age, female, last = subject.age_years or 0.0, subject.sex == "female", creatinine[-1][0]
    rates = [
        (at, egfr_ckd_epi_2021(value / UMOL_L_PER_MG_DL, age - (last - at) / YEAR_H, female))
        for at, value in creatinine
        if value > 0
    ]
    if len(rates) < 2:
        return None
    now, old = rates[-1][1], [rate for at, rate in rates if last - at >= OLD_H]
    fall, worse = None, 0
    if old:
        base = median(old)
        fall, worse = 100.0 * (base - now) / base, _category(now) - _category(base)
    long = len(rates) >= LEAST and rates[-1][0] - rates[0][0] >= YEAR_H
    return Course(fall, worse, theil_sen(rates) * YEAR_H if long else None)


def _category(rate: float) -> int:
    """Return 0 for G1 up to 5 for G5; the rate is rounded as a report shows it."""
    return sum(round(rate) < limit for limit in CATEGORIES)
