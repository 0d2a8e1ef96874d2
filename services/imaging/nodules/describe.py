"""A nodule as a finding: measures, qualities, and the sentences they lead to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.nodules import assess, size
from services.imaging.nodules.assess import Before, Character
from services.imaging.nodules.find import Nodule
from services.imaging.nodules.impression import Limits
from services.imaging.nodules.lung_rads import Category, suspicious
from services.imaging.nodules.prior import POSITION, position
from services.imaging.nodules.where import AROUND_MM
from services.imaging.reading import measure, quality, statement
from services.imaging.series.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that is known of one nodule when it is written down."""

    nodule: Nodule
    character: Character
    pleura_mm: float
    shares: tuple[float, float, float] | None
    """Its place in the lungs; None where the scan does not show them whole."""

    before: Before | None
    compared: bool
    """Whether an earlier CT was read as well."""

    count: int
    """Nodules of the CT."""

    age_years: float | None
    sex: str | None
    limits: Limits | None

    @property
    def category(self) -> Category:
        """Lung-RADS."""
        return assess.rads(self.character, self.before, compared=self.compared)


def finding(volume: Volume, known: Known) -> pb.Finding:
    """Return the finding, all but what the worker fills."""
    measures = known.nodule.measures
    left, top, right, bottom = measures.box
    x, y, z = known.nodule.center_mm
    return pb.Finding(
        function=pb.FUNCTION_NODULES,
        kind="nodule",
        place=pb.Place(
            sop_instance_uid=volume.sop_uids[measures.slice_index],
            frame=volume.frame(measures.slice_index),
            box=pb.PixelBox(left=left, top=top, right=right, bottom=bottom),
            center=pb.PointMm(x=x, y=y, z=z),
            slice_index=measures.slice_index,
            first_slice_index=measures.first_slice,
            last_slice_index=measures.last_slice,
        ),
        laterality=measures.laterality,
        site=known.character.site,
        probability=known.nodule.probability,
        measures=list(_measures(known)),
        qualities=list(_qualities(known)),
        statements=list(_statements(known)),
    )


def _measures(known: Known) -> Iterator[pb.Measure]:
    one = known.character
    yield measure("long-axis", one.long_mm, "mm")
    yield measure("short-axis", one.short_mm, "mm")
    yield measure("mean-diameter", size.lung_rads_mean(one.long_mm, one.short_mm), "mm")
    yield measure("volume", one.volume_mm3, "mm3")
    if one.consistency == "part-solid":
        solid = size.lung_rads_mean(one.solid.long_mm, one.solid.short_mm)
        yield measure("solid-diameter", solid, "mm")
    yield measure("attenuation", known.nodule.measures.mean_hu, "[hnsf'U]")
    if known.pleura_mm < AROUND_MM:  # farther was not looked
        yield measure("pleura-distance", known.pleura_mm, "mm")
    if grown := assess.grown(one, known.before):
        yield measure("growth", grown.percent, "%")
        if grown.doubling_days is not None:
            yield measure("doubling-time", grown.doubling_days, "d")


def _qualities(known: Known) -> Iterator[pb.Quality]:
    one = known.character
    yield quality("consistency", one.consistency)
    pattern = one.calcium.pattern
    yield quality("calcification", "absent" if pattern == "none" else pattern)
    yield quality("fat", "present" if one.fat else "absent")
    if one.spiculated is not None:
        yield quality("margin", "spiculated" if one.spiculated else "not-spiculated")
    if one.impression and known.limits:
        chance = one.impression.malignancy
        yield quality("malignancy", known.limits.leaning(chance), chance)
    if estimate := assess.brock_of(one, known.count, known.age_years, known.sex):
        yield quality("brock", "", estimate.probability)
    yield quality("lung-rads", known.category.category)


def _statements(known: Known) -> Iterator[pb.Statement]:
    one, category = known.character, known.category
    yield statement(
        f"nodule-lung-rads-{category.row}",
        category=category.category,
        mean=_mm(size.lung_rads_mean(one.long_mm, one.short_mm)),
        solid=_mm(size.lung_rads_mean(one.solid.long_mm, one.solid.short_mm)),
        before=(known.before.category or "") if known.before else "",
    )
    if one.spiculated and suspicious(category.category):
        yield statement("nodule-lung-rads-4x", category=category.category)
    yield from _brock(known)
    if one.impression and known.limits:
        # Never none and never all: the readers of 2,157 nodules cannot show that.
        percent = min(max(round(100 * one.impression.malignancy), 1), 99)
        yield statement("nodule-malignancy-meaning", percent=str(percent))
    yield from _course(known)
    if known.shares:
        yield statement(POSITION, **position(known.shares))


def _brock(known: Known) -> Iterator[pb.Statement]:
    one = known.character
    estimate = assess.brock_of(one, known.count, known.age_years, known.sex)
    if estimate is None:
        if known.age_years is None or known.sex not in ("M", "F"):
            yield statement("nodule-brock-unknown")
        return
    yield statement(
        f"nodule-brock-{known.sex.lower() if known.sex else 'm'}",
        percent=f"{100 * estimate.probability:.1f}",
        highest=f"{100 * estimate.highest:.1f}",
        age=f"{known.age_years:.0f}",
        mean=_mm(size.lung_rads_mean(one.long_mm, one.short_mm)),
        count=str(known.count),
    )


def _course(known: Known) -> Iterator[pb.Statement]:
    if known.before is None:
        if known.compared:
            yield statement("nodule-not-before")
        return
    grown = assess.grown(known.character, known.before)
    if grown is None:
        return
    facts = {
        "days": f"{known.before.days:.0f}",
        "before": f"{known.before.volume_mm3:.0f}",
        "now": f"{known.character.volume_mm3:.0f}",
        "percent": f"{grown.percent:+.0f}",
        "mean_before": _mm(known.before.mean_mm),
    }
    if grown.doubling_days is not None:
        facts["doubling"] = f"{grown.doubling_days:.0f}"
    yield statement(f"nodule-{grown.course}", **facts)


def _mm(value: float) -> str:
    return f"{value:.1f}"
