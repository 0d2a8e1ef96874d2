"""Clinical rules for nodules: sizes, Brock, Lung-RADS v2022, Fleischner 2017, growth."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.imaging.nodules import assess, brock, fleischner, growth, lung_rads, size
from services.imaging.nodules.lung_rads import Course, Kind
from services.imaging.nodules.texture import Calcium, SolidPart


@pytest.mark.requirement("DX-IMG-30")
@pytest.mark.parametrize(
    ("long_mm", "short_mm", "tenth", "whole"),
    [
        (6.0, 5.9, 6.0, 6),  # 5.95: a half goes up
        (5.94, 5.94, 5.9, 6),
        (5.5, 5.4, 5.5, 5),  # 5.45 mm: 5.5 as Lung-RADS writes it, 5 as Fleischner does
        (5.5, 5.5, 5.5, 6),
        (8.44, 8.56, 8.5, 9),  # axes first to 8.4 and 8.6
        (10.04, 4.04, 7.0, 7),
    ],
)
def test_size_is_written_as_each_guideline_writes_it(
    long_mm: float, short_mm: float, tenth: float, whole: int
) -> None:
    assert size.lung_rads_mean(long_mm, short_mm) == tenth
    assert size.whole(size.mean_diameter(long_mm, short_mm)) == whole


def brock_inputs(**given: object) -> brock.Inputs:
    stated: dict[str, object] = {
        "female": False,
        "upper_lobe": False,
        "spiculated": False,
        "family_history": False,
        "emphysema": False,
        "kind": brock.Kind.SOLID,
    }
    return brock.Inputs(**(stated | given))  # type: ignore[arg-type]


@pytest.mark.requirement("DX-IMG-31")
@pytest.mark.parametrize(
    ("inputs", "probability"),
    [
        (brock_inputs(age_years=62, diameter_mm=4, count=4), 0.001125),
        (brock_inputs(age_years=60, female=True, diameter_mm=8, upper_lobe=True, count=1), 0.05488),
        (
            brock_inputs(
                age_years=65,
                female=True,
                emphysema=True,
                diameter_mm=15,
                kind=brock.Kind.PART_SOLID,
                upper_lobe=True,
                count=1,
                spiculated=True,
            ),
            0.59059,
        ),
        (brock_inputs(age_years=55, diameter_mm=10, kind=brock.Kind.NON_SOLID, count=3), 0.01973),
    ],
)
def test_brock_gives_the_published_pairs(inputs: brock.Inputs, probability: float) -> None:
    found = brock.estimate(inputs)
    assert found is not None
    assert found.probability == pytest.approx(probability, rel=5e-4)
    assert found.highest == found.probability
    assert found.unknown == ()


@pytest.mark.requirement("DX-IMG-31")
def test_brock_says_what_it_does_not_know_and_how_much_that_may_matter() -> None:
    unsure = brock.estimate(
        brock_inputs(age_years=60, diameter_mm=8, count=1, family_history=None, emphysema=None)
    )
    sure = brock.estimate(
        brock_inputs(age_years=60, diameter_mm=8, count=1, family_history=True, emphysema=True)
    )
    assert unsure is not None
    assert sure is not None
    assert unsure.unknown == ("family_history", "emphysema")
    assert unsure.highest == sure.probability > unsure.probability
    for mm in (2.9, 30.1):
        assert brock.estimate(brock_inputs(age_years=60, diameter_mm=mm, count=1)) is None


def rads(kind: Kind, mean_mm: float, **given: object) -> str:
    return lung_rads.categorise(
        lung_rads.Nodule(kind=kind, mean_mm=mean_mm, **given)  # type: ignore[arg-type]
    ).category


SOLID, PART, GLASS = Kind.SOLID, Kind.PART_SOLID, Kind.NON_SOLID


@pytest.mark.requirement("DX-IMG-32")
@pytest.mark.parametrize(
    ("kind", "mean_mm", "given", "category"),
    [
        (SOLID, 5.9, {}, "2"),
        (SOLID, 6.0, {}, "3"),
        (SOLID, 7.9, {}, "3"),
        (SOLID, 8.0, {}, "4A"),
        (SOLID, 14.9, {}, "4A"),
        (SOLID, 15.0, {}, "4B"),
        (SOLID, 3.9, {"course": Course.NEW}, "2"),
        (SOLID, 4.0, {"course": Course.NEW}, "3"),  # often called 4A by mistake
        (SOLID, 5.9, {"course": Course.NEW}, "3"),
        (SOLID, 6.0, {"course": Course.NEW}, "4A"),
        (SOLID, 8.0, {"course": Course.NEW}, "4B"),
        (SOLID, 7.9, {"course": Course.GROWING}, "4A"),
        (SOLID, 8.0, {"course": Course.GROWING}, "4B"),
        (SOLID, 5.0, {"course": Course.SLOW}, "4B"),
        (SOLID, 6.5, {"course": Course.STABLE, "days": 170}, "2"),
        (SOLID, 9.0, {"course": Course.STABLE, "days": 90}, "3"),
        (SOLID, 9.0, {"course": Course.STABLE, "days": 170, "before": "3"}, "2"),
        # The follow-up of 4A is at 3 months, that of 3 at 6: a CT before it steps nothing down.
        (SOLID, 9.0, {"course": Course.STABLE, "days": 10}, "4A"),
        (SOLID, 6.5, {"course": Course.STABLE, "days": 100}, "3"),
        (SOLID, 12.0, {"course": Course.STABLE, "days": 365, "before": "1"}, "3"),
        (SOLID, 16.0, {"course": Course.STABLE}, "4B"),
        (SOLID, 20.0, {"benign": True}, "1"),
        (PART, 5.9, {"solid_mm": 3.0}, "2"),
        (PART, 6.0, {"solid_mm": 5.9}, "3"),
        (PART, 9.0, {"solid_mm": 6.0}, "4A"),
        (PART, 12.0, {"solid_mm": 7.9}, "4A"),
        (PART, 12.0, {"solid_mm": 8.0}, "4B"),
        (PART, 5.9, {"solid_mm": 2.0, "course": Course.NEW}, "3"),
        (PART, 7.0, {"solid_mm": 3.9, "course": Course.NEW}, "4A"),
        (PART, 7.0, {"solid_mm": 4.0, "course": Course.NEW}, "4B"),
        (PART, 7.0, {"solid_mm": 3.9, "course": Course.GROWING}, "4A"),
        (PART, 7.0, {"solid_mm": 4.0, "course": Course.GROWING}, "4B"),
        (PART, 9.0, {"solid_mm": 3.0, "course": Course.SLOW}, "4B"),
        (PART, 9.0, {"solid_mm": 3.0, "course": Course.STABLE, "days": 365}, "2"),
        # Ground glass before, a solid part now: a new solid part, however stable the whole.
        (PART, 9.0, {"solid_mm": 3.9, "course": Course.APPEARED, "before": "2"}, "4A"),
        (PART, 9.0, {"solid_mm": 4.0, "course": Course.APPEARED, "before": "2"}, "4B"),
        (GLASS, 29.9, {}, "2"),
        (GLASS, 30.0, {}, "3"),
        (GLASS, 29.9, {"course": Course.GROWING}, "2"),
        (GLASS, 30.0, {"course": Course.NEW}, "3"),
        (GLASS, 35.0, {"course": Course.STABLE}, "2"),  # often over-called
        (GLASS, 35.0, {"course": Course.SLOW}, "2"),
    ],
)
def test_lung_rads_at_every_limit(
    kind: Kind, mean_mm: float, given: dict[str, object], category: str
) -> None:
    assert rads(kind, mean_mm, **given) == category


@pytest.mark.requirement("DX-IMG-32")
@pytest.mark.parametrize(
    ("now", "before", "days", "course"),
    [
        (7.5, 6.0, 365, Course.STABLE),  # exactly 1.5 mm is not more than 1.5 mm
        (7.6, 6.0, 365, Course.GROWING),
        (7.6, 6.0, 90, Course.GROWING),
        (7.6, 6.0, 400, Course.SLOW),  # 1.46 mm a year: not within 12 months
        (9.6, 6.0, 730, Course.GROWING),
        (5.0, 6.0, 365, Course.STABLE),
    ],
)
def test_growth_counts_within_twelve_months(
    now: float, before: float, days: float, course: Course
) -> None:
    assert lung_rads.course(now, before, days) is course


@pytest.mark.requirement("DX-IMG-32")
def test_the_most_suspicious_nodule_gives_the_category_of_the_ct() -> None:
    assert lung_rads.highest(["2", "4A", "3"]) == "4A"
    assert lung_rads.highest([]) == "1"
    assert [lung_rads.suspicious(name) for name in ("2", "3", "4B")] == [False, True, True]


@pytest.mark.requirement("DX-IMG-32")
@given(st.sampled_from([SOLID, PART, GLASS]), st.floats(3, 29), st.floats(0.1, 5), st.data())
def test_a_larger_nodule_is_never_less_suspicious(
    kind: Kind, mm: float, more: float, data: st.DataObject
) -> None:
    order = ["1", "2", "3", "4A", "4B"]
    share = data.draw(st.floats(0, 1))
    small = rads(kind, mm, solid_mm=share * mm)
    assert order.index(rads(kind, mm + more, solid_mm=share * mm)) >= order.index(small)


@pytest.mark.requirement("DX-IMG-32")
@pytest.mark.parametrize(
    ("before", "category", "row"),
    [("ground-glass", "4B", "part-solid-appeared"), ("part-solid", "2", "part-solid-stable")],
)
def test_a_solid_part_in_what_was_ground_glass_is_a_new_one(
    before: str, category: str, row: str
) -> None:
    now = assess.Character(
        consistency="part-solid", long_mm=10.0, short_mm=9.0, volume_mm3=450.0, site="",
        solid=SolidPart(5.0, 4.6), calcium=Calcium("none", 0.0), fat=False, impression=None,
        spiculated=None,
    )  # fmt: skip
    earlier = assess.Before(
        days=400.0, mean_mm=9.4, volume_mm3=440.0, consistency=before, category="2",
        solid_mm=0.0 if before == "ground-glass" else 4.6,
    )  # fmt: skip
    found = assess.rads(now, earlier, compared=True)
    assert (found.category, found.row) == (category, row)


def advice(*nodules: tuple[str, int, int]) -> str:
    found = fleischner.advise(
        [
            fleischner.Nodule(kind=fleischner.Kind(kind), mean_mm=mm, solid_mm=solid)
            for kind, mm, solid in nodules
        ]
    )
    assert found is not None
    assert found.by_risk == (found.row in fleischner.BY_RISK)
    return found.row


@pytest.mark.requirement("DX-IMG-33")
@pytest.mark.parametrize(
    ("nodules", "row"),
    [
        ([("solid", 5, 0)], "solid-single-small"),
        ([("solid", 6, 0)], "solid-single-medium"),
        ([("solid", 8, 0)], "solid-single-medium"),
        ([("solid", 9, 0)], "solid-single-large"),
        ([("solid", 5, 0), ("solid", 5, 0)], "solid-multiple-small"),
        ([("solid", 5, 0), ("solid", 6, 0)], "solid-multiple"),
        ([("ground-glass", 5, 0)], "subsolid-single-small"),
        ([("ground-glass", 6, 0)], "ground-glass"),
        ([("part-solid", 5, 3)], "subsolid-single-small"),
        ([("part-solid", 6, 5)], "part-solid"),
        ([("part-solid", 9, 6)], "part-solid-large-solid"),
        ([("ground-glass", 5, 0), ("ground-glass", 4, 0)], "subsolid-multiple-small"),
        ([("ground-glass", 6, 0), ("ground-glass", 4, 0)], "subsolid-multiple"),
        ([("part-solid", 9, 6), ("solid", 4, 0)], "part-solid-large-solid"),
        ([("part-solid", 9, 3), ("solid", 6, 0)], "subsolid-multiple"),
    ],
)
def test_fleischner_at_every_limit(nodules: list[tuple[str, int, int]], row: str) -> None:
    assert advice(*nodules) == row


@pytest.mark.requirement("DX-IMG-33")
def test_fleischner_has_its_own_volumes_and_its_own_patients() -> None:
    assert [fleischner.by_volume(mm3) for mm3 in (99.9, 100.0, 250.0, 250.1)] == [5, 6, 6, 9]
    assert fleischner.advise([]) is None
    patient = fleischner.Patient
    assert fleischner.not_for(patient(age_years=34.9)) == "age"
    assert fleischner.not_for(patient(age_years=35)) is None
    assert fleischner.not_for(patient()) is None
    assert fleischner.not_for(patient(age_years=60, cancer=True)) == "cancer"
    assert fleischner.not_for(patient(immunosuppressed=True)) == "immunosuppressed"
    assert set(fleischner.ROWS) >= fleischner.BY_RISK


@pytest.mark.requirement("DX-IMG-34")
@pytest.mark.parametrize(
    ("before", "now", "percent", "days", "course"),
    [
        (100.0, 200.0, 100.0, 90.0, "grown"),
        (100.0, 124.9, 24.9, None, "stable"),
        (100.0, 125.0, 25.0, 90 * math.log(2) / math.log(1.25), "grown"),
        (100.0, 70.0, -30.0, None, "shrunk"),
        (100.0, 80.0, -20.0, None, "stable"),
    ],
)
def test_volume_doubling_time(
    before: float, now: float, percent: float, days: float | None, course: str
) -> None:
    found = growth.growth(before, now, 90.0)
    assert found is not None
    assert found.percent == pytest.approx(percent)
    assert found.doubling_days == (None if days is None else pytest.approx(days))
    assert found.course == course
    assert growth.growth(0.0, 10.0, 90.0) is None
    assert growth.growth(10.0, 20.0, 0.0) is None


@pytest.mark.requirement("DX-IMG-34")
@given(st.floats(10, 1e4), st.floats(1.3, 20), st.floats(1, 3000))
def test_after_one_doubling_time_the_volume_has_doubled(
    before: float, ratio: float, days: float
) -> None:
    doubling = growth.doubling_days(before, before * ratio, days)
    assert before * 2 ** (days / doubling) == pytest.approx(before * ratio)
