"""Head, extent, midline, urgency and reading on heads made of numbers, whose truth is known.

The network is replaced by a rule that sees dense cells, so what is tested is all the rest.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from services.imaging.haemorrhage import (
    characterise,
    midline,
    names,
    prepare,
    score,
    segment,
    slabs,
    urgency,
)
from services.imaging.haemorrhage.characterise import Measures
from services.imaging.haemorrhage.reader import HaemorrhageReader
from services.imaging.reading import Context, Reading, measure
from services.imaging.series.volume import Volume

CARD: dict[str, Any] = {
    "operating_point": {"probability": 0.5},
    "aggregation": {
        "neighbour": 0.5,
        "slice": [1.0, 0.0],
        "top": 2,
        "study": [1.0, 0.0],
        "map_seed": 0.3,
    },
    "fracture_point": 0.9,
}
TILTED = ((4.0,) * 14 + (2.5,) + (7.0,) * 12, 18.5)


@pytest.fixture(scope="module")
def heads() -> ModuleType:
    """The module haemorrhage_phantom.py; tests of one folder cannot import by name."""
    name = "imaging_haemorrhage_phantom"
    if name not in sys.modules:
        path = Path(__file__).parent / "haemorrhage_phantom.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def dense_cells(model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Answer as the model does: cells with dense voxels are epidural haemorrhage."""
    assert model == names.MODEL
    slices = inputs[names.INPUT]
    smooth = ndimage.uniform_filter(slices[:, 1], (0, 5, 5))
    dense = (smooth > 0.64) & (slices[:, 3] > 0.5) & (smooth < 0.9)
    dense = ndimage.binary_erosion(dense, np.ones((1, 5, 5)))
    cells = dense.reshape(len(slices), 32, 8, 28, 8).mean((2, 4)) * 0.95
    maps = np.zeros((len(slices), 6, 32, 28), np.float32)
    maps[:, 0] = maps[:, 4] = cells
    seen = cells.max((1, 2)) > 0.2
    probability = np.full((len(slices), 7), 0.02, np.float32)
    probability[seen, 0] = 0.95
    probability[seen, 4] = 0.9
    return {names.PROBABILITY: probability, names.MAP: maps}


def read(volume: Volume, **context: Any) -> Reading:
    return HaemorrhageReader().read(volume, Context(card=lambda name: CARD, **context), dense_cells)


def measured(volume: Volume) -> list[Measures]:
    head = prepare.head(volume)
    scores = score.score(head, dense_cells, CARD)
    found = segment.regions(volume, head, scores.maps, 0.3)
    return [characterise.measure(volume, head, scores, region) for region in found]


def value(measures: Any, name: str) -> float:
    return next(float(one.value) for one in measures if one.name == name)


@pytest.mark.requirement("DX-IMG-50")
@pytest.mark.parametrize(("turn", "tilt"), [(-30.0, 0.0), (0.0, 18.5)])
def test_head_is_found_however_it_lies(heads: ModuleType, turn: float, tilt: float) -> None:
    head = prepare.head(heads.Head(turn_degrees=turn, tilt_degrees=tilt).volume())
    assert head.frame.turn_degrees == pytest.approx(turn, abs=1.5)
    inner = np.array(heads.SKULL_MM) - heads.BONE_MM
    assert head.brain_ml == pytest.approx(4 / 3 * np.pi * np.prod(inner) / 1000, rel=0.05)
    assert head.brain_hu == pytest.approx(heads.BRAIN, abs=1.5)
    across = head.inside[15].any(axis=0).nonzero()[0]
    assert (across[0] + across[-1]) / 2 == pytest.approx(111.5, abs=3)


@pytest.mark.requirement("DX-IMG-51")
@pytest.mark.parametrize(
    "change",
    [
        {"bone_hu": 60.0},
        {"gaps_mm": (5.0,) * 2},
        {"gaps_mm": (0.5,) * 20},
    ],
)
def test_what_is_no_head_is_refused(heads: ModuleType, change: dict[str, Any]) -> None:
    with pytest.raises(prepare.NotAHeadCt) as caught:
        read(heads.Head(**change).volume())
    assert caught.value.reason == "NOT_A_HEAD_CT"
    assert caught.value.facts


@pytest.mark.requirement("DX-IMG-51")
def test_chest_is_no_head(phantom: ModuleType) -> None:
    chest = phantom.Chest(slices=20)
    affine = np.diag([2.5, 1.0, 1.0, 1.0])[[2, 1, 0, 3]][:, [0, 1, 2, 3]]
    volume = Volume(chest.hu(), affine, tuple(str(index) for index in range(20)))
    with pytest.raises(prepare.NotAHeadCt):
        read(volume)


@pytest.mark.requirement("DX-IMG-52")
def test_grey_values_are_those_of_the_training_window() -> None:
    hu = np.array([-1024, -20, -19, 40, 99, 100, 3000], np.int16)
    assert (prepare.windowed(hu) * 255).round().tolist() == [0, 0, 2, 127, 252, 255, 255]


@pytest.mark.requirement("DX-IMG-53")
@pytest.mark.parametrize("radius_mm", [8.0, 22.0])
def test_volume_of_a_ball_in_the_brain(heads: ModuleType, radius_mm: float) -> None:
    head = heads.Head(blood=(heads.Ball((30.0, 20.0, 5.0), radius_mm),))
    (one,) = measured(head.volume())
    assert one.volume_ml == pytest.approx(head.blood_ml()[0], rel=0.15)
    assert one.long_axis_mm == pytest.approx(2 * radius_mm, abs=2.0)
    assert one.mean_hu == pytest.approx(heads.BLOOD, abs=4)
    assert (one.side, one.third) == (1, "middle-third")


@pytest.mark.requirement("DX-IMG-53")
def test_volume_of_a_lens_under_the_skull_and_its_thickness(heads: ModuleType) -> None:
    head = heads.Head(blood=(heads.Lens((-66.0, 0.0, 8.0), 32.0, 12.0),))
    (one,) = measured(head.volume())
    assert one.volume_ml == pytest.approx(head.blood_ml()[0], rel=0.2)
    assert one.thickness_mm == pytest.approx(12.0, abs=1.5)
    assert (one.side, one.type_name) == (-1, "epidural")


@pytest.mark.requirement("DX-IMG-54")
def test_tilt_and_uneven_distances_do_not_change_place_and_volume(heads: ModuleType) -> None:
    gaps, tilt = TILTED
    ball = heads.Ball((25.0, 30.0, 4.0), 12.0)
    volume = heads.Head(blood=(ball,), gaps_mm=gaps, tilt_degrees=tilt).volume()
    reading = read(volume)
    (lesion,) = reading.lesions
    center = lesion.finding.place.center
    assert (center.x, center.y, center.z) == pytest.approx(ball.center, abs=1.5)
    assert value(lesion.finding.measures, "volume") == pytest.approx(7.24, rel=0.15)


@pytest.mark.requirement("DX-IMG-54")
def test_thin_slices_are_read_in_slabs_and_masked_as_slices(heads: ModuleType) -> None:
    ball = heads.Ball((25.0, 30.0, 4.0), 12.0)
    head = heads.Head(blood=(ball,), gaps_mm=(2.0,) * 65, noise_hu=9.0)
    volume = head.volume()
    thick, bounds = slabs.thicken(volume)
    assert len(thick.hu) == 33
    assert thick.hu[17][80:110, 60:90].std() < volume.hu[34][80:110, 60:90].std()
    reading = read(volume)
    (lesion,) = reading.lesions
    assert lesion.mask is not None
    place = lesion.finding.place
    evident = next(s for s in reading.answer.statements if s.key == "haemorrhage-present")
    assert place.first_slice_index < int(evident.facts["slice"]) <= place.last_slice_index + 1
    assert 1 <= int(evident.facts["share"]) <= 99
    assert place.last_slice_index - place.first_slice_index + 1 == len(lesion.mask)
    assert lesion.mask.sum() * volume.voxel_mm3 / 1000 == pytest.approx(7.24, rel=0.2)
    assert volume.hu[place.slice_index][
        lesion.mask[place.slice_index - lesion.start[0]].nonzero()[0] + lesion.start[1],
        lesion.mask[place.slice_index - lesion.start[0]].nonzero()[1] + lesion.start[2],
    ].mean() == pytest.approx(heads.BLOOD, abs=5)
    assert bounds[-1] == len(volume.hu)


@settings(max_examples=50, deadline=None)
@given(count=st.integers(3, 300), gap=st.floats(0.3, 2.5))
def test_slabs_cover_every_slice_once(count: int, gap: float) -> None:
    volume = Volume(
        np.zeros((count, 2, 2), np.int16),
        np.array([[0, 0, 1.0, 0], [0, 1.0, 0, 0], [gap, 0, 0, 0], [0, 0, 0, 1.0]]),
        tuple(str(number) for number in range(count)),
        gaps_mm=(gap,) * (count - 1),
    )
    thick, bounds = slabs.thicken(volume)
    assert bounds[0] == 0
    assert bounds[-1] == count
    assert (np.diff(bounds) > 0).all()
    assert len(thick.hu) == len(bounds) - 1 == len(thick.sop_uids) == len(thick.positions_mm)


@pytest.mark.requirement("DX-IMG-54")
@pytest.mark.parametrize("flipped", [(), (1,), (2,), (1, 2)])
def test_side_and_third_are_the_patients_however_the_image_is_stored(
    heads: ModuleType, flipped: tuple[int, ...]
) -> None:
    volume = heads.Head(blood=(heads.Ball((30.0, -50.0, 5.0), 12.0),)).volume()
    hu, affine = volume.hu, volume.affine.copy()
    positions = volume.positions_mm.copy()
    for axis in flipped:
        across = affine[:3, axis] * (hu.shape[axis] - 1)
        affine[:3, 3] += across
        positions = positions + across
        affine[:3, axis] *= -1
        hu = np.flip(hu, axis)
    stored = dataclasses.replace(
        volume, hu=np.ascontiguousarray(hu), affine=affine, positions_mm=positions
    )
    (lesion,) = read(stored).lesions
    assert lesion.finding.laterality == pb.LATERALITY_LEFT
    assert lesion.finding.site == "front-third"
    assert lesion.finding.place.center.y == pytest.approx(-50.0, abs=4.0)


@pytest.mark.requirement("DX-IMG-55")
@pytest.mark.parametrize(("shift", "turn"), [(4.0, 0.0), (-8.0, -12.0)])
def test_midline_shift(heads: ModuleType, shift: float, turn: float) -> None:
    head = prepare.head(heads.Head(shift_mm=shift, turn_degrees=turn).volume())
    found = midline.measure(head)
    assert found is not None
    assert found.mm == pytest.approx(shift, abs=1.0)
    assert found.low_mm <= found.mm <= found.high_mm


@pytest.mark.requirement("DX-IMG-55")
def test_midline_is_not_stated_without_ventricles(heads: ModuleType) -> None:
    answer = read(heads.Head(ventricles=False).volume()).answer
    assert not [one for one in answer.measures if one.name == "midline-shift"]


@pytest.mark.requirement("DX-IMG-56")
def test_grave_haemorrhage_is_stat_with_its_reasons(heads: ModuleType) -> None:
    blood = (heads.Lens((-66.0, 0.0, 8.0), 40.0, 17.0),)
    reading = read(heads.Head(blood=blood, shift_mm=7.0).volume())
    answer = reading.answer
    assert answer.urgent
    assert answer.probability > 0.5
    keys = [one.key for one in answer.statements]
    assert keys[0] == "haemorrhage-present"
    assert {"haemorrhage-thick", "haemorrhage-shift", "haemorrhage-stat"} <= set(keys)
    assert ("urgency", "stat") in [(one.name, one.value) for one in answer.qualities]
    # The chances of all five types are no statement that the CT shows all five.
    assert "type" not in [one.name for one in answer.qualities]
    chances = {one.name: one.probability for one in answer.qualities if not one.value}
    assert chances["type-epidural"] > 0.5 > chances["type-subdural"]
    (lesion,) = reading.lesions
    assert lesion.finding.urgent
    assert lesion.finding.laterality == pb.LATERALITY_RIGHT
    assert value(answer.measures, "volume") >= 30
    assert "haemorrhage-large" in keys


@pytest.mark.requirement("DX-IMG-56")
def test_clear_head_is_routine_and_says_what_may_be_missed(heads: ModuleType) -> None:
    reading = read(heads.Head().volume())
    assert reading.lesions == []
    assert not reading.answer.urgent
    assert [one.key for one in reading.answer.statements] == [
        "haemorrhage-none",
        "haemorrhage-limits",
    ]
    assert ("urgency", "routine") in [(one.name, one.value) for one in reading.answer.qualities]
    assert list(reading.answer.looked_for) == ["1386000"]


def one_haemorrhage(**known: Any) -> Measures:
    stated = {
        "slice_index": 0, "box": (0, 0, 1, 1), "center": (0, 0, 0), "first_slice": 0,
        "last_slice": 0, "volume_ml": 5.0, "abc_ml": 5.0, "abc_divisor": 2, "long_axis_mm": 1,
        "short_axis_mm": 1, "thickness_mm": 3, "mean_hu": 60, "side": 1, "third": "front-third",
        "type_name": "intraparenchymal", "type_probability": 0.5, "probability": 0.9,
    }  # fmt: skip
    return Measures(**(stated | known))  # type: ignore[arg-type]


@pytest.mark.requirement("DX-IMG-56")
@pytest.mark.parametrize(
    ("thickness", "shift", "said"),
    [
        (10.04, 5.04, {}),  # written 10.0 and 5.0: not over the limits
        (
            10.06,
            -5.06,
            {"haemorrhage-thick": "10.1", "haemorrhage-shift": "5.1"},
        ),
    ],
)
def test_limits_are_judged_by_the_written_figures(
    thickness: float, shift: float, said: dict[str, str]
) -> None:
    lens = one_haemorrhage(type_name="subdural", thickness_mm=thickness)
    judged = urgency.judge(True, [lens], midline.Shift(shift, shift, shift, (1,)))
    assert {s.key: next(iter(s.facts.values())) for s in judged.statements} == said


@pytest.mark.requirement("DX-IMG-56")
def test_a_shifted_midline_without_blood_is_stat() -> None:
    judged = urgency.judge(False, [], midline.Shift(8.0, 7.0, 9.0, (1,)))
    assert judged.code == urgency.STAT
    keys = ["haemorrhage-shift-alert", "haemorrhage-none-but-shift", "haemorrhage-stat"]
    assert [s.key for s in judged.statements] == keys
    assert judged.statements[0].facts["shift"] == "8.0"
    assert urgency.judge(False, [], midline.Shift(5.0, 5.0, 5.0, (1,))).code == urgency.ROUTINE


@pytest.mark.requirement("DX-IMG-56")
def test_the_networks_outline_alone_gives_no_volume(heads: ModuleType) -> None:
    def map_alone(model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        answer = dense_cells(model, inputs)
        answer[names.MAP][10:16, 0, 10:20, 8:20] = 0.95
        answer[names.PROBABILITY][10:16, 0] = 0.95
        return answer

    volume = heads.Head().volume()
    reading = HaemorrhageReader().read(volume, Context(card=lambda _: CARD), map_alone)
    assert {q.value for one in reading.lesions for q in one.finding.qualities} >= {"map"}
    assert "volume" not in [one.name for one in reading.answer.measures]
    keys = {one.key for one in reading.answer.statements}
    assert not keys & {"haemorrhage-large", "haemorrhage-thick"}


@pytest.mark.requirement("DX-IMG-57")
@pytest.mark.parametrize(
    ("before_ml", "now_ml", "grown"),
    [(10.0, 14.0, True), (10.0, 12.0, False), (40.0, 47.0, True), (40.0, 45.0, False)],
)
def test_expansion_against_an_earlier_study(before_ml: float, now_ml: float, grown: bool) -> None:
    prior = pb.Finding(
        function=pb.FUNCTION_HAEMORRHAGE, measures=[measure("volume", before_ml, "mL")]
    )
    one = one_haemorrhage(volume_ml=now_ml, abc_ml=now_ml)
    said = urgency.judge(True, [one], None, [prior], 1.0).statements
    assert ("haemorrhage-grown" in [each.key for each in said]) is grown


@pytest.mark.requirement("DX-IMG-58")
def test_one_slice_alone_counts_less_than_three_together() -> None:
    gaps = np.full(20, 5.0)
    maps = np.zeros((20, 6, 32, 28), np.float32)
    lone, together = np.full((20, 7), 0.05), np.full((20, 7), 0.05)
    lone[9], together[8:11] = 0.9, 0.9
    rule = CARD["aggregation"]
    one = score.aggregate(lone, maps, gaps, rule)
    three = score.aggregate(together, maps, gaps, rule)
    assert 0.05 < one.study < three.study
    assert three.slices[9, 0] > one.slices[9, 0]
    assert int(np.argmax(one.slices[:, 0])) == 9


@pytest.mark.requirement("DX-IMG-58")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.001, 0.999), min_size=5, max_size=40), st.floats(2.7, 8.0))
def test_probabilities_stay_probabilities(values: list[float], gap: float) -> None:
    raw = np.repeat(np.array(values)[:, None], 7, axis=1)
    maps = np.zeros((len(values), 6, 32, 28), np.float32)
    scores = score.aggregate(raw, maps, np.full(len(values), gap), CARD["aggregation"])
    assert min(values) - 1e-6 <= scores.slices.min()
    assert scores.slices.max() <= max(values) + 1e-6
    assert min(values) - 1e-6 <= scores.study <= max(values) + 1e-6


def test_operating_point_of_the_routing_rule_comes_first(heads: ModuleType) -> None:
    volume = heads.Head(blood=(heads.Ball((30.0, 20.0, 5.0), 14.0),)).volume()
    cautious = read(volume, options={"operating_point": 0.999})
    assert not cautious.answer.urgent
    assert cautious.lesions == []
    assert cautious.answer.operating_point == pytest.approx(0.999)
