"""The nodule reader on phantoms: measures, categories and sentences of one CT and the next."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from scipy import ndimage

from services.imaging.nodules import find, fleischner, impression, lung_rads, outline, score
from services.imaging.nodules.reader import NoduleReader
from services.imaging.reading import Context, ModelMissing, Reading
from services.imaging.series.refusals import GantryTilt, UnevenSliceSpacing
from services.imaging.series.volume import Volume
from services.reporting import words

CARDS: Mapping[str, Mapping[str, Any]] = {
    score.MODEL: {"operating_point": {"probability": 0.5}},
    impression.MODEL: {
        "operating_points": {
            "likely_benign_below": 0.2,
            "likely_malignant_from": 0.7,
            "spiculated_from": 3.0,
            "calcified_below": 5.0,
        }
    },
}


class Models:
    """Answers as models would that are always right about phantoms."""

    def __init__(self, *away: str, spiculation: float = 1.0, calcification: float = 6.0) -> None:
        self.away, self.spiculation = away, spiculation
        self.calcification = calcification

    def __call__(self, model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if model in self.away:
            raise ModelMissing("the model is not there")
        (given,) = inputs.values()
        if model == score.MODEL:
            bright = given[:, 0, 23:28, 23:28].mean(axis=(1, 2))
            return {score.OUTPUT: np.where(bright > 0.25, 0.9, 0.1)[:, None].astype(np.float32)}
        if model == outline.MODEL:
            return {outline.OUTPUT: np.stack([self._outline(one[0]) for one in given])[:, None]}
        ratings = np.full((len(given), 8), 2.0, np.float32)
        ratings[:, 1] = self.spiculation
        ratings[:, 3] = self.calcification
        chance = np.full((len(given), 1), 0.85, np.float32)
        return {impression.RATINGS: ratings, impression.MALIGNANCY: chance}

    def _outline(self, hu: Any) -> Any:
        labels, _ = ndimage.label(hu > -500)
        middle = labels[32, 32]
        return ((labels == middle) & (middle > 0)).astype(np.float32)


def volume_of(chest: Any) -> Volume:
    dz, dy, dx = chest.spacing
    affine = np.array([[0, 0, dx, 0], [0, dy, 0, 0], [dz, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64)
    affine[:3, 3] = chest.origin
    return Volume(chest.hu(), affine, tuple(str(index) for index in range(chest.slices)))


def chest_of(phantom: ModuleType, *spheres: Any) -> Volume:
    """A small chest whose lungs end before the scan does, so that their height is known."""
    volume = volume_of(
        phantom.Chest(
            spheres=spheres,
            slices=30,
            spacing=(3.0, 1.2, 1.2),
            rows=160,
            columns=225,
            lung_from_slice=3,
        )
    )
    top = volume.hu[-3:]
    top[(top < -700) & (top > -950)] = 40
    return volume


def read(volume: Volume, models: Models | None = None, **known: Any) -> Reading:
    context = Context(card=lambda name: CARDS[name], options={"outline": True}, **known)
    return NoduleReader().read(volume, context, models or Models())


def measures(finding: pb.Finding) -> dict[str, float]:
    return {one.name: one.value for one in finding.measures}


def qualities(finding: pb.Finding | pb.Answer) -> dict[str, str]:
    return {one.name: one.value for one in finding.qualities}


def keys(said: pb.Finding | pb.Answer) -> list[str]:
    return [one.key for one in said.statements]


@pytest.mark.requirement("DX-IMG-39")
def test_a_nodule_is_measured_described_and_categorised(phantom: ModuleType) -> None:
    volume = chest_of(phantom, phantom.Sphere((60.0, 10.0, 70.0), 5.0))
    reading = read(volume, age_years=60.0, sex="F")
    (lesion,) = reading.lesions
    found = lesion.finding
    measured = measures(found)
    assert measured["mean-diameter"] == pytest.approx(10.0, abs=1.5)
    assert measured["volume"] == pytest.approx(math.pi / 6 * 1000, rel=0.2)
    assert "solid-diameter" not in measured
    assert qualities(found) == {
        "consistency": "solid",
        "calcification": "absent",
        "fat": "absent",
        "margin": "not-spiculated",
        "malignancy": "likely-malignant",
        "brock": "",
        "lung-rads": "4A",
    }
    assert found.site == "upper-zone"
    assert found.laterality == pb.LATERALITY_LEFT
    assert keys(found) == [
        "nodule-lung-rads-solid-baseline",
        "nodule-brock-f",
        "nodule-malignancy-meaning",
        "nodule-position",
    ]
    assert lesion.mask is not None
    assert measured["volume"] == pytest.approx(lesion.mask.sum() * volume.voxel_mm3)
    assert qualities(reading.answer) == {"lung-rads": "4A", "fleischner": "solid-single-large"}
    assert keys(reading.answer) == [
        "nodules-lung-rads",
        "nodules-fleischner-solid-single-large-recommend",
        "nodules-limits",
    ]


@pytest.mark.requirement("DX-IMG-39")
def test_every_sentence_has_its_words_in_both_languages(phantom: ModuleType) -> None:
    volume = chest_of(phantom, phantom.Sphere((60.0, 10.0, 70.0), 5.0))
    readings = [
        read(volume, Models(spiculation=4.5), age_years=60.0, sex="M"),
        read(volume, Models(outline.MODEL, impression.MODEL), age_years=30.0),
    ]
    said = [s for one in readings for s in one.answer.statements]
    said += [s for one in readings for lesion in one.lesions for s in lesion.finding.statements]
    assert len({one.key for one in said}) >= 10
    for one in said:
        assert words.has(one.key), one.key
        for language in ("zh", "en"):
            text = words.stated(language, one.key, one.facts)  # type: ignore[arg-type]
            assert "{" not in text


@pytest.mark.requirement("DX-IMG-39")
def test_every_row_of_both_guidelines_has_its_words() -> None:
    rows = set()
    for kind in lung_rads.Kind:
        for course in lung_rads.Course:
            for mm in (3.0, 7.0, 40.0):
                one = lung_rads.Nodule(kind=kind, mean_mm=mm, solid_mm=mm / 2, course=course)
                rows.add(lung_rads.categorise(one).row)
                later = dataclasses.replace(one, days=400.0)
                rows.add(lung_rads.categorise(later).row)
    assert len(rows) > 12
    assert [row for row in rows if not words.has(f"nodule-lung-rads-{row}")] == []
    for row in fleischner.ROWS:
        assert words.has(f"nodules-fleischner-{row}-recommend"), row
        assert words.has(f"value-fleischner-{row}"), row


@pytest.mark.requirement("DX-IMG-40")
def test_the_next_ct_knows_the_nodule_its_growth_and_the_new_one(phantom: ModuleType) -> None:
    first = chest_of(phantom, phantom.Sphere((60.0, 10.0, 60.0), 4.0))
    before = [lesion.finding for lesion in read(first).lesions]
    assert len(before) == 1
    moved = chest_of(
        phantom,
        phantom.Sphere((63.0, 12.0, 64.0), 5.5),
        phantom.Sphere((-60.0, 10.0, 40.0), 3.5),
    )
    after = read(moved, prior=before, prior_days=180.0)
    by_side = {lesion.finding.laterality: lesion.finding for lesion in after.lesions}
    grown, new = by_side[pb.LATERALITY_LEFT], by_side[pb.LATERALITY_RIGHT]
    ratio = measures(grown)["volume"] / measures(before[0])["volume"]
    assert measures(grown)["growth"] == pytest.approx(100 * (ratio - 1))
    assert measures(grown)["doubling-time"] == pytest.approx(180 * math.log(2) / math.log(ratio))
    assert {"nodule-grown", "nodule-lung-rads-solid-growing"} <= set(keys(grown))
    assert qualities(grown)["lung-rads"] == "4B"
    assert {"nodule-not-before", "nodule-lung-rads-solid-new"} <= set(keys(new))
    assert "growth" not in measures(new)


@pytest.mark.requirement("DX-IMG-40")
def test_a_nodule_that_stayed_is_stepped_down(phantom: ModuleType) -> None:
    first = chest_of(phantom, phantom.Sphere((60.0, 10.0, 60.0), 5.0))
    before = [lesion.finding for lesion in read(first).lesions]
    (again,) = read(first, prior=before, prior_days=100.0).lesions
    assert qualities(before[0])["lung-rads"] == "4A"
    assert qualities(again.finding)["lung-rads"] == "3"
    assert "nodule-stable" in keys(again.finding)
    assert "doubling-time" not in measures(again.finding)


@pytest.mark.requirement("DX-IMG-40")
def test_a_grown_nodule_is_not_sent_home_by_a_guideline_for_first_cts(phantom: ModuleType) -> None:
    first = chest_of(phantom, phantom.Sphere((60.0, 10.0, 60.0), 4.0))
    before = [lesion.finding for lesion in read(first).lesions]
    larger = chest_of(phantom, phantom.Sphere((60.0, 10.0, 60.0), 5.5))
    grown = keys(read(larger, prior=before, prior_days=180.0).answer)
    assert "nodules-grown-recommend" in grown
    assert not [key for key in grown if key.startswith("nodules-fleischner")]
    stable = keys(read(first, prior=before, prior_days=180.0).answer)
    assert "nodules-fleischner-first-limits" in stable
    assert "nodules-grown-recommend" not in stable


@pytest.mark.requirement("DX-IMG-33")
def test_fleischner_sentence_is_of_the_nodules_that_its_row_is_of(phantom: ModuleType) -> None:
    """A large calcified nodule asks for nothing and lends its size to no sentence."""
    volume = chest_of(
        phantom,
        phantom.Sphere((60.0, 10.0, 60.0), 7.0, 600.0),
        phantom.Sphere((-60.0, 10.0, 40.0), 3.5),
    )
    reading = read(volume, Models(calcification=2.0))
    categories = sorted(qualities(one.finding)["lung-rads"] for one in reading.lesions)
    assert len(categories) == 2 and categories[0] == "1"
    said = next(one for one in reading.answer.statements if "fleischner" in one.key)
    assert said.key.startswith("nodules-fleischner-solid-single")
    assert said.facts["count"] == "1"
    assert int(said.facts["mean"]) <= 9


@pytest.mark.requirement("DX-IMG-41")
def test_without_a_model_the_reader_goes_on_and_says_what_is_missing(phantom: ModuleType) -> None:
    volume = chest_of(phantom, phantom.Sphere((60.0, 10.0, 60.0), 5.0))
    reading = read(volume, Models(outline.MODEL, impression.MODEL))
    (lesion,) = reading.lesions
    assert not {"malignancy", "margin", "brock"} & set(qualities(lesion.finding))
    assert "nodule-brock-unknown" in keys(lesion.finding)
    assert {"nodules-no-outline-limits", "nodules-no-impression-limits"} <= set(
        keys(reading.answer)
    )
    with pytest.raises(ModelMissing):
        read(volume, Models(score.MODEL))


@pytest.mark.requirement("DX-IMG-41")
def test_outlines_are_asked_only_where_the_routing_table_wants_them(phantom: ModuleType) -> None:
    volume = chest_of(phantom, phantom.Sphere((60.0, 10.0, 60.0), 5.0))
    context = Context(card=lambda name: CARDS[name])
    reading = NoduleReader().read(volume, context, Models(outline.MODEL))
    assert len(reading.lesions) == 1
    assert "nodules-no-outline-limits" not in keys(reading.answer)
    assert outline.MODEL not in NoduleReader.models


@pytest.mark.requirement("DX-IMG-41")
def test_nothing_found_is_said_without_a_category_of_follow_up(phantom: ModuleType) -> None:
    reading = read(chest_of(phantom))
    assert reading.lesions == []
    assert not qualities(reading.answer)
    assert keys(reading.answer) == ["nodules-limits"]


@pytest.mark.requirement("DX-IMG-41")
def test_a_leaning_or_uneven_stack_is_refused_with_its_numbers(phantom: ModuleType) -> None:
    volume = volume_of(phantom.Chest(slices=12))
    with pytest.raises(GantryTilt) as tilt:
        read(dataclasses.replace(volume, tilt_degrees=-4.0))
    assert tilt.value.facts["degrees"] == "4"
    with pytest.raises(UnevenSliceSpacing):
        read(dataclasses.replace(volume, even=False, gaps_mm=(2.5, 5.0)))


@pytest.mark.requirement("DX-IMG-39")
def test_a_spiculated_nodule_asks_the_physician_about_4x(phantom: ModuleType) -> None:
    volume = chest_of(phantom, phantom.Sphere((60.0, 10.0, 60.0), 5.0))
    (lesion,) = read(volume, Models(spiculation=4.0)).lesions
    assert qualities(lesion.finding)["margin"] == "spiculated"
    assert qualities(lesion.finding)["lung-rads"] == "4A"
    assert "nodule-lung-rads-4x" in keys(lesion.finding)


@pytest.mark.requirement("DX-IMG-36")
@pytest.mark.parametrize(
    ("rating", "pattern", "category"), [(2.0, "diffuse", "1"), (6.0, "absent", "4A")]
)
def test_calcium_must_be_seen_by_the_rule_and_by_the_network(
    phantom: ModuleType, rating: float, pattern: str, category: str
) -> None:
    volume = chest_of(phantom, phantom.Sphere((60.0, 10.0, 60.0), 5.0, 600.0))
    (lesion,) = read(volume, Models(calcification=rating)).lesions
    assert qualities(lesion.finding)["calcification"] == pattern
    assert qualities(lesion.finding)["lung-rads"] == category


@pytest.mark.requirement("DX-IMG-38")
def test_a_region_that_has_no_nodules_shape_is_not_taken(phantom: ModuleType) -> None:
    volume = chest_of(phantom, phantom.Sphere((60.0, 10.0, 60.0), 5.0))
    proposal = find.propose(volume)
    chances = score.probabilities(Models()(score.MODEL, {"crops": proposal.crops})[score.OUTPUT])
    (nodule,) = find.accept(volume, proposal, chances, 0.5)
    long = np.zeros_like(nodule.region.mask)
    long[:, 10, 10] = True
    thin = dataclasses.replace(nodule.region, mask=long, thickest_mm=0.5)
    assert find.with_region(volume, proposal.lungs, nodule, thin) is nodule
