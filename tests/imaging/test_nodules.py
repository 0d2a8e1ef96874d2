"""Lungs, candidates and measures on phantoms whose truth is known."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st

from services.imaging import lungs as lung_mask
from services.imaging.nodules import characterise, detect, find, prepare, score, segment
from services.imaging.nodules.characterise import Measures
from services.imaging.series.refusals import NotAChestCt
from services.imaging.series.volume import Volume

LEFT = (62.0, 8.0, 50.0)
"""In the middle of the left lung."""


def volume_of(chest: Any) -> Volume:
    dz, dy, dx = chest.spacing
    affine = np.array([[0, 0, dx, 0], [0, dy, 0, 0], [dz, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64)
    affine[:3, 3] = chest.origin
    return Volume(chest.hu(), affine, tuple(str(index) for index in range(chest.slices)))


def candidates_of(volume: Volume) -> list[detect.Candidate]:
    return detect.detect(prepare.block(volume, lung_mask.find(volume)))


def nearest(
    volume: Volume, candidates: list[detect.Candidate], place: tuple[float, float, float]
) -> tuple[float, detect.Candidate]:
    """Return the distance, mm, of the candidate nearest to a place."""

    def away(one: detect.Candidate) -> float:
        return float(np.linalg.norm(volume.to_patient(np.array(one.index)) - place))

    best = min(candidates, key=away)
    return away(best), best


def measured(phantom: ModuleType, chest: Any, place: tuple[float, float, float]) -> Measures:
    volume = volume_of(chest)
    lungs = lung_mask.find(volume)
    away, candidate = nearest(volume, candidates_of(volume), place)
    assert away < 3.0
    region = segment.segment(volume, lungs, candidate)
    assert region is not None
    return characterise.measure(volume, lungs, region)


@pytest.mark.requirement("DX-IMG-03")
def test_two_lungs_are_found_with_their_volume(phantom: ModuleType) -> None:
    lungs = lung_mask.find(volume_of(phantom.Chest()))
    true_ml = math.pi * 46 * 66 * 100 / 1000
    assert lungs.left_ml == pytest.approx(true_ml, rel=0.05)
    assert lungs.right_ml == pytest.approx(true_ml, rel=0.05)
    assert abs(lungs.middle_x) < 3


@pytest.mark.requirement("DX-IMG-03")
@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"lungs": ()}, "lung_ml"),
        ({"lungs": (62.0,)}, "right_ml"),
        ({"lung_from_slice": 32}, "share"),
        ({"lung_axes_mm": (14.0, 20.0)}, "lung_ml"),
    ],
)
def test_ct_without_two_lungs_is_declined_with_numbers(
    phantom: ModuleType, change: dict[str, Any], fact: str
) -> None:
    volume = volume_of(phantom.Chest(**change))
    with pytest.raises(NotAChestCt) as caught:
        prepare.check_chest(volume, lung_mask.find(volume))
    assert caught.value.reason == "NOT_A_CHEST_CT"
    assert fact in caught.value.facts


@pytest.mark.requirement("DX-IMG-03")
def test_slab_of_a_chest_is_enough(phantom: ModuleType) -> None:
    volume = volume_of(phantom.Chest(slices=14))
    prepare.check_chest(volume, lung_mask.find(volume))


@pytest.mark.requirement("DX-IMG-04")
@pytest.mark.parametrize(
    ("radius_mm", "spacing"),
    [
        (2.5, (2.5, 1.0, 1.0)),
        (4.0, (2.5, 1.0, 1.0)),
        (8.0, (2.5, 1.0, 1.0)),
        (13.0, (2.5, 1.0, 1.0)),
        (4.0, (1.25, 0.8, 0.8)),
    ],
)
def test_spheres_among_vessels_are_candidates(
    phantom: ModuleType, radius_mm: float, spacing: tuple[float, float, float]
) -> None:
    tubes = [
        phantom.Tube((x, y, 0.0), (x + 12, y + 20, 100.0), 1.5)
        for x, y in ((-80.0, -30.0), (-60.0, 5.0), (40.0, -40.0), (75.0, -35.0), (50.0, 30.0))
    ]
    chest = phantom.Chest(
        slices=round(100 / spacing[0]),
        rows=round(230 / spacing[1]),
        columns=round(300 / spacing[2]),
        spacing=spacing,
        spheres=[phantom.Sphere(LEFT, radius_mm)],
        tubes=tubes,
    )
    volume = volume_of(chest)
    candidates = candidates_of(volume)
    away, best = nearest(volume, candidates, LEFT)
    assert away < 2.0
    assert best in candidates[:3]


@pytest.mark.requirement("DX-IMG-04")
def test_vessel_alone_is_no_candidate(phantom: ModuleType) -> None:
    tube = phantom.Tube((62.0, 8.0, -50.0), (62.0, 8.0, 200.0), 3.0)
    assert candidates_of(volume_of(phantom.Chest(tubes=[tube], noise_hu=0.0))) == []


@pytest.mark.requirement("DX-IMG-04")
def test_nodule_on_the_pleura_is_inside_the_mask(phantom: ModuleType) -> None:
    place = (62.0 + 46.0 - 5.0, 0.0, 50.0)
    found = measured(phantom, phantom.Chest(spheres=[phantom.Sphere(place, 6.0)]), place)
    assert found.volume_mm3 == pytest.approx(4 / 3 * math.pi * 6**3, rel=0.3)


@pytest.mark.requirement("DX-IMG-05")
@pytest.mark.parametrize("radius_mm", [3.0, 5.0, 10.0, 14.0])
def test_size_of_a_sphere(phantom: ModuleType, radius_mm: float) -> None:
    chest = phantom.Chest(spheres=[phantom.Sphere(LEFT, radius_mm)])
    found = measured(phantom, chest, LEFT)
    tolerance = 0.15 if radius_mm > 3 else 0.25  # a few voxels across
    assert found.volume_mm3 == pytest.approx(4 / 3 * math.pi * radius_mm**3, rel=tolerance)
    assert found.long_axis_mm == pytest.approx(2 * radius_mm, abs=1.2)
    assert found.short_axis_mm == pytest.approx(2 * radius_mm, abs=1.2)
    assert found.slice_index == 20
    assert found.consistency == "solid"
    left, top, right, bottom = found.box
    assert (left + right) / 2 == pytest.approx(62.0 + 149.5 + 0.5, abs=1.0)
    assert (top + bottom) / 2 == pytest.approx(8.0 + 114.5 + 0.5, abs=1.0)
    assert right - left == pytest.approx(2 * radius_mm, abs=1.5)


@pytest.mark.requirement("DX-IMG-05")
def test_vessel_is_cut_off_a_nodule(phantom: ModuleType) -> None:
    tube = phantom.Tube((20.0, 8.0, 50.0), (105.0, 8.0, 50.0), 1.5)
    chest = phantom.Chest(spheres=[phantom.Sphere(LEFT, 7.0)], tubes=[tube])
    found = measured(phantom, chest, LEFT)
    assert found.volume_mm3 == pytest.approx(4 / 3 * math.pi * 7**3, rel=0.2)
    assert found.long_axis_mm < 20


@pytest.mark.requirement("DX-IMG-05")
@pytest.mark.parametrize(
    ("spheres", "consistency"),
    [
        ([(9.0, -600.0)], "ground-glass"),
        ([(10.0, -600.0), (5.0, 40.0)], "part-solid"),
        ([(6.0, 40.0)], "solid"),
    ],
)
def test_consistency(
    phantom: ModuleType, spheres: list[tuple[float, float]], consistency: str
) -> None:
    made = [phantom.Sphere(LEFT, radius, hu) for radius, hu in spheres]
    assert measured(phantom, phantom.Chest(spheres=made), LEFT).consistency == consistency


@pytest.mark.requirement("DX-IMG-05")
def test_side_and_zone(phantom: ModuleType) -> None:
    right = (-62.0, 8.0, 50.0)
    cut = measured(phantom, phantom.Chest(spheres=[phantom.Sphere(right, 6.0)]), right)
    assert (cut.laterality, cut.zone) == (pb.LATERALITY_RIGHT, "")


@pytest.mark.requirement("DX-IMG-04")
def test_only_what_passes_the_operating_point_is_a_nodule_once(phantom: ModuleType) -> None:
    chest = phantom.Chest(
        spheres=[phantom.Sphere(LEFT, 6.0), phantom.Sphere((-62.0, 8.0, 50.0), 6.0)]
    )
    volume = volume_of(chest)
    proposal = find.propose(volume)
    right = [volume.to_patient(np.array(one.index))[0] < 0 for one in proposal.candidates]
    chances = np.where(right, 0.2, 0.9)
    (nodule,) = find.accept(volume, proposal, chances, 0.5)
    assert nodule.center_mm == pytest.approx(LEFT, abs=1.0)
    assert len(find.accept(volume, proposal, chances, 0.1)) == 2
    assert find.accept(volume, proposal, chances, 0.95) == []


@pytest.mark.requirement("DX-IMG-06")
def test_crop_is_what_the_network_was_trained_on(phantom: ModuleType) -> None:
    volume = volume_of(phantom.Chest(noise_hu=0.0, spheres=[phantom.Sphere(LEFT, 6.0)]))
    candidate = detect.Candidate((20.0, 122.0, 211.0), 6.0, 200.0, 1.0)
    crops = score.crops(volume, [candidate])
    assert (crops.shape, crops.dtype) == ((3, 1, 50, 50), np.float32)
    plane = volume.hu[20, 97:147, 186:236].astype(np.float64)
    expected = np.floor(np.clip((plane + 1000) / 1400, 0, 1) * 255) / 255
    assert np.abs(crops[1, 0] - expected).max() <= 1 / 255 + 1e-6


@pytest.mark.requirement("DX-IMG-06")
def test_large_pixels_are_resampled_and_edges_are_air(phantom: ModuleType) -> None:
    chest = phantom.Chest(
        rows=160, columns=210, spacing=(2.5, 1.4, 1.4), spheres=[phantom.Sphere(LEFT, 7.0)]
    )
    volume = volume_of(chest)
    at = tuple(
        (place - start) / mm
        for place, start, mm in zip(LEFT[::-1], chest.origin[::-1], chest.spacing, strict=True)
    )
    inner, corner = score.crops(
        volume,
        [detect.Candidate(at, 7.0, 1.0, 1.0), detect.Candidate((0.0, 0.0, 0.0), 7.0, 1.0, 1.0)],
    ).reshape(2, 3, 50, 50)
    assert (inner[1] > 0.42).sum() == pytest.approx(math.pi * (7 / 0.7) ** 2, rel=0.15)
    assert corner[1, :20, :20].max() == 0.0


@settings(max_examples=60, deadline=None)
@given(
    pixels=st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=40),
    pixel_mm=st.floats(0.3, 1.6),
)
def test_axes_of_any_pixels(pixels: set[tuple[int, int]], pixel_mm: float) -> None:
    places = np.array(sorted(pixels))
    long_axis, short_axis = characterise.axes_mm(places, (pixel_mm, pixel_mm))
    span = np.ptp(places, axis=0).max() * pixel_mm
    assert long_axis >= max(span, short_axis - 1e-9)
    assert short_axis >= pixel_mm - 1e-9
