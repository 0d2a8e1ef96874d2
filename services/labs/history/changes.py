"""A result against the one before: reference change value and delta check.

The reference change value says whether two results of a stable person may differ as much by
analysis and biology alone. It is computed on the logarithm, so that a fall can not be more than
all: exp(+-Z x sqrt 2 x sigma) - 1 with sigma^2 = ln(1 + CVa^2 + CVi^2), Z 1.96 (two-sided 95 %);
for small variation that is sqrt 2 x Z x sqrt(CVa^2 + CVi^2).

Source: Fraser CG, Harris EK, Crit Rev Clin Lab Sci 1989;27:409; Fokkema MR et al., Clin Chem
2006;52:1602.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from math import exp, log, sqrt

from services.labs import tables
from services.labs.analytes import ANALYTES

Z = 1.96
VARIATION_SOURCES = {
    "EFLM": "EFLM Biological Variation Database (transcribed from a secondary source)",
    "Ricos": "Ricos C et al., Scand J Clin Lab Invest 1999;59:491, update 2014 (transcribed)",
}
METHODS = "after CLSI EP33 and Randell EW, Yenice S, Crit Rev Clin Lab Sci 2019;56:75; own limit"


class Verdict(Enum):
    """What a change is."""

    UNKNOWN = "unknown"
    WITHIN = "within"
    RISE = "rise"
    FALL = "fall"


@dataclass(frozen=True, slots=True)
class Variation:
    """Limits of a change, percent of the earlier value."""

    fall: float
    rise: float
    source: str


@dataclass(frozen=True, slots=True)
class Delta:
    """A delta check; None: that side is not asked."""

    absolute: Decimal | None
    percent: float | None
    hours: float
    identity: bool
    source: str
    shown: str
    """The limit for a reader."""


@dataclass(frozen=True, slots=True)
class Change:
    """A result against the newest before it, canonical unit."""

    earlier: str
    hours: float
    difference: Decimal
    percent: float
    """Of the earlier value; 0 when that is 0."""
    verdict: Verdict
    variation: Variation | None
    delta: Delta | None
    """The delta check that failed."""


def change_limits(
    cv_analytic_pct: float, cv_within_pct: float, z: float = Z
) -> tuple[float, float]:
    """Return the reference change values of a fall and of a rise, percent."""
    total = (cv_analytic_pct / 100.0) ** 2 + (cv_within_pct / 100.0) ** 2
    step = z * sqrt(2.0) * sqrt(log(1.0 + total))
    return 100.0 * (exp(-step) - 1.0), 100.0 * (exp(step) - 1.0)


def _variation() -> dict[str, Variation]:
    return {
        row["analyte"]: Variation(
            *change_limits(float(row["cv_analytic"]), float(row["cv_within"])),
            VARIATION_SOURCES[row["source"]],
        )
        for row in tables.rows("variation")
    }


def _deltas() -> dict[str, Delta]:
    made = {}
    for row in tables.rows("delta"):
        unit = ANALYTES[row["analyte"]].unit.ucum
        parts = [f"{row['absolute']} {unit}"] if row["absolute"] else []
        parts += [f"{row['percent']} %"] if row["percent"] else []
        made[row["analyte"]] = Delta(
            Decimal(row["absolute"]) if row["absolute"] else None,
            float(row["percent"]) if row["percent"] else None,
            float(row["window_h"]),
            row["identity"] == "yes",
            METHODS if row["source"] == "ours" else row["source"],
            " + ".join(parts),
        )
    return made


VARIATION: Mapping[str, Variation] = _variation()
"""By analyte."""
DELTAS: Mapping[str, Delta] = _deltas()
"""By analyte."""


def change(analyte: str, earlier: str, now: Decimal, hours: float) -> Change:
    """Return the change from an earlier value (of a dilution 1:80), both in the canonical unit."""
    before = Decimal(earlier.removeprefix("1:"))
    difference = now - before
    percent = 100.0 * float(difference / abs(before)) if before else 0.0
    known = VARIATION.get(analyte) if before > 0 else None
    verdict = Verdict.UNKNOWN
    if known:
        verdict = Verdict.WITHIN
        if percent > known.rise:
            verdict = Verdict.RISE
        elif percent < known.fall:
            verdict = Verdict.FALL
    failed = _failed(DELTAS.get(analyte), difference, percent, hours)
    return Change(earlier, hours, difference, percent, verdict, known, failed)


def _failed(limit: Delta | None, difference: Decimal, percent: float, hours: float) -> Delta | None:
    """Return the delta check when the change passed it."""
    if limit is None or hours > limit.hours:
        return None
    if limit.absolute is not None and abs(difference) <= limit.absolute:
        return None
    if limit.percent is not None and abs(percent) <= limit.percent:
        return None
    return limit
