"""Lung-RADS v2022 category of a nodule.

Source: ACR Lung-RADS v2022 (November 2022), read in secondary sources that agree; the College's own
table was not at hand. For low-dose screening CT. Sizes are mean diameters to 0.1 mm. S is a
modifier and category 0 an incomplete study: neither is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

GROWTH_MM, YEAR_DAYS = 1.5, 365.25
"""Growth: the mean diameter is more than this larger within 12 months."""

STEPPED_DOWN = {"3": ("2", 168.0), "4A": ("3", 84.0)}
"""Category of a nodule that stayed as it was at the follow-up that its category asks for, after
six and three months, and the days (24 and 12 weeks) from which a CT is that follow-up."""


class Kind(Enum):
    """Consistency."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    NON_SOLID = "non-solid"


class Course(Enum):
    """What is known from an earlier CT."""

    BASELINE = "baseline"
    NEW = "new"
    STABLE = "stable"
    GROWING = "growing"
    APPEARED = "appeared"
    """Ground glass before, with a solid part now."""

    SLOW = "slow"
    """Grown, but by no more than 1.5 mm within any 12 months."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodule:
    """What the table asks of one nodule; mm, mean diameters to 0.1."""

    kind: Kind
    mean_mm: float
    solid_mm: float = 0.0
    """Mean diameter of the solid part; of part-solid nodules alone."""

    course: Course = Course.BASELINE
    """Of a part-solid nodule: the course of its solid part, unless it is new."""

    benign: bool = False
    """Complete, central, popcorn or ringed calcification, or fat."""

    before: str | None = None
    """Category at the earlier CT, where known."""

    days: float = 0.0
    """Since the earlier CT."""


@dataclass(frozen=True, slots=True)
class Category:
    """The category, and the row of the table that led to it."""

    category: str
    row: str


def course(mean_mm: float, before_mm: float, days: float) -> Course:
    """Return how a nodule went on from an earlier CT.

    More than 1.5 mm a year on average means more than 1.5 mm within some 12 months.
    """
    gained = round(mean_mm - before_mm, 6)
    if gained <= GROWTH_MM:
        return Course.STABLE
    years = max(days, 1.0) / YEAR_DAYS
    return Course.GROWING if years <= 1.0 or gained / years > GROWTH_MM else Course.SLOW


def categorise(nodule: Nodule) -> Category:
    """Return the category of one nodule."""
    if nodule.benign:
        return Category("1", "benign")
    if nodule.kind is Kind.SOLID:
        return _solid(nodule)
    if nodule.kind is Kind.PART_SOLID:
        return _part_solid(nodule)
    return _non_solid(nodule)


def suspicious(category: str) -> bool:
    """Tell whether further suspicious features would make it 4X."""
    return category in ("3", "4A", "4B")


def highest(categories: list[str]) -> str:
    """Return the category of a CT: that of its most suspicious nodule; 1 without any."""
    order = ("1", "2", "3", "4A", "4B", "4X")
    return max(categories, key=order.index, default="1")


def _solid(nodule: Nodule) -> Category:
    mm, how = nodule.mean_mm, nodule.course
    if how is Course.SLOW:
        return Category("4B", "solid-slow")
    if how is Course.GROWING:
        return Category("4A" if mm < 8 else "4B", "solid-growing")
    if how is Course.NEW:
        name = "2" if mm < 4 else "3" if mm < 6 else "4A" if mm < 8 else "4B"
        return Category(name, "solid-new")
    name = "2" if mm < 6 else "3" if mm < 8 else "4A" if mm < 15 else "4B"
    return _as_before(nodule, name, "solid")


def _part_solid(nodule: Nodule) -> Category:
    mm, solid, how = nodule.mean_mm, nodule.solid_mm, nodule.course
    if how is Course.SLOW:
        return Category("4B", "part-solid-slow")
    if how is Course.NEW and mm < 6:
        return Category("3", "part-solid-new-small")
    if how in (Course.NEW, Course.GROWING, Course.APPEARED):
        name = "4A" if solid < 4 else "4B"
        return Category(name, f"part-solid-{how.value}")
    if mm < 6:
        return Category("2", f"part-solid-{how.value}")
    name = "3" if solid < 6 else "4A" if solid < 8 else "4B"
    return _as_before(nodule, name, "part-solid")


def _non_solid(nodule: Nodule) -> Category:
    large = nodule.mean_mm >= 30
    if not large or nodule.course in (Course.STABLE, Course.SLOW):
        return Category("2", "non-solid" if not large else f"non-solid-{nodule.course.value}")
    # Large and grown by more than 1.5 mm in 12 months is in no row; as if seen first.
    seen_first = nodule.course in (Course.BASELINE, Course.NEW)
    return Category("3", f"non-solid-{nodule.course.value if seen_first else 'growing'}")


def _as_before(nodule: Nodule, by_size: str, kind: str) -> Category:
    if nodule.course is not Course.STABLE:
        return Category(by_size, f"{kind}-baseline")
    before = nodule.before or by_size
    if before == "1":  # benign then and not now: by its size
        before = by_size
    lower, days = STEPPED_DOWN.get(before, (before, 0.0))
    if lower == before or nodule.days < days:
        return Category(before, f"{kind}-stable")
    return Category(lower, f"{kind}-stepped")
