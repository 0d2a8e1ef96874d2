"""Fleischner Society 2017: follow-up of nodules found by chance on CT.

Source: MacMahon H et al., Guidelines for management of incidental pulmonary nodules detected on
CT images, Radiology 2017;284:228. For adults of 35 and more without known cancer and without
immunosuppression; not for lung cancer screening. Sizes are mean diameters in whole mm; its
volume limits, 100 and 250 mm3, are its own and not those of Lung-RADS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

AGE_MIN = 35.0
SMALL_MM, LARGE_MM = 6, 8
SMALL_MM3, LARGE_MM3 = 100.0, 250.0
SOLID_PART_MM = 6


class Kind(Enum):
    """Consistency."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    GROUND_GLASS = "ground-glass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodule:
    """What the table asks of one nodule; whole mm."""

    kind: Kind
    mean_mm: int
    solid_mm: int = 0
    """Mean diameter of the solid part; of part-solid nodules alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Who the guideline is for. None: not known."""

    age_years: float | None = None
    cancer: bool | None = None
    immunosuppressed: bool | None = None
    high_risk: bool | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """Row of the table. The sentence of each row has what low and high risk ask for."""

    row: str
    by_risk: bool
    """Whether low and high risk differ."""


ROWS = (
    "solid-single-large",
    "part-solid-large-solid",
    "part-solid",
    "subsolid-multiple",
    "solid-multiple",
    "ground-glass",
    "solid-single-medium",
    "subsolid-multiple-small",
    "solid-multiple-small",
    "solid-single-small",
    "subsolid-single-small",
)
"""From the most to the least that is asked for; of several nodules the first row counts."""

BY_RISK = frozenset(
    ("solid-single-medium", "solid-multiple", "solid-single-small", "solid-multiple-small")
)


def not_for(patient: Patient) -> str | None:
    """Return why the guideline is not for this patient, or None."""
    if patient.age_years is not None and patient.age_years < AGE_MIN:
        return "age"
    if patient.cancer:
        return "cancer"
    return "immunosuppressed" if patient.immunosuppressed else None


def advise(nodules: Sequence[Nodule]) -> Advice | None:
    """Return the row for a CT: that of its most suspicious nodule; None without any."""
    several = len(nodules) > 1
    found = {_row(nodule, several) for nodule in nodules}
    row = next((row for row in ROWS if row in found), None)
    return Advice(row, row in BY_RISK) if row else None


def by_volume(mm3: float) -> int:
    """Return mm that stand for a solid nodule's volume in this guideline's limits."""
    if mm3 < SMALL_MM3:
        return SMALL_MM - 1
    return SMALL_MM if mm3 <= LARGE_MM3 else LARGE_MM + 1


def _row(nodule: Nodule, several: bool) -> str:
    small = nodule.mean_mm < SMALL_MM
    if nodule.kind is Kind.SOLID:
        if several:
            return "solid-multiple-small" if small else "solid-multiple"
        if small:
            return "solid-single-small"
        return "solid-single-medium" if nodule.mean_mm <= LARGE_MM else "solid-single-large"
    if small:
        return "subsolid-multiple-small" if several else "subsolid-single-small"
    if nodule.kind is Kind.PART_SOLID and nodule.solid_mm >= SOLID_PART_MM:
        return "part-solid-large-solid"
    if several:
        return "subsolid-multiple"
    return "part-solid" if nodule.kind is Kind.PART_SOLID else "ground-glass"
