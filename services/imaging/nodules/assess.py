"""From measures to what the guidelines say: categories, advice, Brock, growth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.imaging.nodules import brock, fleischner, growth, lung_rads, size
from services.imaging.nodules.impression import Impression
from services.imaging.nodules.texture import Calcium, SolidPart

UPPER = "upper-zone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """One nodule as it is described; mm, mm3, HU."""

    consistency: str
    """solid, part-solid or ground-glass."""

    long_mm: float
    short_mm: float
    volume_mm3: float
    site: str
    """upper-zone, middle-zone, lower-zone, or "" where the scan does not show whole lungs."""

    solid: SolidPart
    calcium: Calcium
    fat: bool
    impression: Impression | None
    spiculated: bool | None
    """None: not judged."""

    @property
    def mean_mm(self) -> float:
        """Mean diameter, not rounded."""
        return size.mean_diameter(self.long_mm, self.short_mm)

    @property
    def solid_mm(self) -> float:
        """Mean diameter of the solid part, not rounded; of part-solid nodules alone."""
        if self.consistency != "part-solid":
            return 0.0
        return size.mean_diameter(self.solid.long_mm, self.solid.short_mm)

    @property
    def benign(self) -> bool:
        """Tell whether calcium or fat speaks for a benign nodule."""
        return self.calcium.benign or self.fat


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The same nodule on an earlier CT."""

    days: float
    mean_mm: float
    volume_mm3: float
    solid_mm: float = 0.0
    consistency: str = ""
    category: str | None = None
    """Lung-RADS category then."""


RADS_KINDS = {
    "solid": lung_rads.Kind.SOLID,
    "part-solid": lung_rads.Kind.PART_SOLID,
    "ground-glass": lung_rads.Kind.NON_SOLID,
}
BROCK_KINDS = {
    "solid": brock.Kind.SOLID,
    "part-solid": brock.Kind.PART_SOLID,
    "ground-glass": brock.Kind.NON_SOLID,
}


def rads(nodule: Character, before: Before | None, *, compared: bool) -> lung_rads.Category:
    """Return the Lung-RADS category; `compared`: an earlier CT was read as well."""
    mean = size.lung_rads_mean(nodule.long_mm, nodule.short_mm)
    solid = 0.0
    if nodule.consistency == "part-solid":
        solid = size.lung_rads_mean(nodule.solid.long_mm, nodule.solid.short_mm)
    return lung_rads.categorise(
        lung_rads.Nodule(
            kind=RADS_KINDS[nodule.consistency],
            mean_mm=mean,
            solid_mm=solid,
            course=_course(nodule, mean, solid, before, compared=compared),
            benign=nodule.benign,
            before=before.category if before else None,
            days=before.days if before else 0.0,
        )
    )


def _course(
    nodule: Character, mean: float, solid: float, before: Before | None, *, compared: bool
) -> lung_rads.Course:
    if before is None:
        return lung_rads.Course.NEW if compared else lung_rads.Course.BASELINE
    if nodule.consistency == "part-solid" and before.consistency == "ground-glass":
        return lung_rads.Course.APPEARED
    if nodule.consistency == "part-solid" and before.solid_mm > 0:
        return lung_rads.course(solid, size.tenth(before.solid_mm), before.days)
    return lung_rads.course(mean, size.tenth(before.mean_mm), before.days)


def advise(nodules: Sequence[Character]) -> fleischner.Advice | None:
    """Return the Fleischner 2017 row for the CT; benign nodules ask for nothing."""
    return fleischner.advise(
        [
            fleischner.Nodule(
                kind=fleischner.Kind(one.consistency),
                mean_mm=size.whole(one.mean_mm),
                solid_mm=size.whole(one.solid_mm),
            )
            for one in counted(nodules)
        ]
    )


def counted(nodules: Sequence[Character]) -> list[Character]:
    """Return the nodules that the Fleischner row and the figures in its sentence are of."""
    return [one for one in nodules if not one.benign]


def brock_of(
    nodule: Character, count: int, age_years: float | None, sex: str | None
) -> brock.Estimate | None:
    """Return the Brock probability; None without age and sex, or outside its sizes.

    The upper third of the lungs stands for the upper lobe: lobes are not told apart.
    """
    if age_years is None or sex not in ("M", "F") or nodule.benign:
        return None
    return brock.estimate(
        brock.Inputs(
            age_years=age_years,
            female=sex == "F",
            diameter_mm=size.lung_rads_mean(nodule.long_mm, nodule.short_mm),
            kind=BROCK_KINDS[nodule.consistency],
            upper_lobe=nodule.site == UPPER,
            count=count,
            spiculated=bool(nodule.spiculated),
        )
    )


def grown(nodule: Character, before: Before | None) -> growth.Growth | None:
    """Return growth in volume since an earlier CT."""
    if before is None:
        return None
    return growth.growth(before.volume_mm3, nodule.volume_mm3, before.days)
