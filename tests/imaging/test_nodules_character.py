"""What nodules are made of and where they lie, on phantoms; and the outline's way to the volume."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from services.imaging import lungs as lung_mask
from services.imaging.nodules import impression, outline, patch, texture, where
from services.imaging.nodules.segment import Region
from services.imaging.series.volume import Volume

SPACING = (2.0, 0.8, 0.8)
SHAPE = (24, 70, 70)
MIDDLE = (12, 35, 35)


def away_mm(offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Any:
    grid = np.indices(SHAPE).astype(float)
    return np.sqrt(
        sum(
            ((grid[axis] - MIDDLE[axis]) * SPACING[axis] - offset_mm[axis]) ** 2
            for axis in range(3)
        )
    )


def volume(hu: Any) -> Volume:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, :3] = [[0, 0, SPACING[2]], [0, SPACING[1], 0], [SPACING[0], 0, 0]]
    noisy = hu + np.random.default_rng(3).normal(0, 10, SHAPE)
    return Volume(noisy.astype(np.int16), affine, tuple(str(k) for k in range(SHAPE[0])))


def ball(radius_mm: float, hu: float = 40.0) -> tuple[Any, Region]:
    mask = away_mm() <= radius_mm
    return np.where(mask, hu, -860.0), Region(mask, (0, 0, 0), radius_mm)


@pytest.mark.requirement("DX-IMG-36")
def test_the_solid_part_is_measured_inside_the_ground_glass() -> None:
    hu, region = ball(10.0, -600.0)
    hu = np.where(away_mm((0.0, 2.0, 1.0)) <= 4.0, 40.0, hu)
    strand = (np.abs(np.indices(SHAPE)[1] - MIDDLE[1]) < 1) & region.mask
    found = texture.solid_part(volume(np.where(strand, -100.0, hu)), region)
    assert found.long_mm == pytest.approx(8.0, abs=1.7)
    assert found.short_mm == pytest.approx(8.0, abs=1.7)
    hu, region = ball(10.0, -600.0)
    assert texture.solid_part(volume(hu), region) == texture.SolidPart(0.0, 0.0)


@pytest.mark.requirement("DX-IMG-36")
@pytest.mark.parametrize(
    ("radius_mm", "offset_mm", "pattern", "benign"),
    [
        (7.0, (0.0, 0.0, 0.0), "diffuse", True),
        (3.5, (0.0, 0.0, 0.0), "central", True),
        (2.5, (0.0, 4.0, 0.0), "eccentric", False),
        (0.0, (0.0, 0.0, 0.0), "none", False),
    ],
)
def test_calcium_by_how_it_lies(
    radius_mm: float, offset_mm: tuple[float, float, float], pattern: str, benign: bool
) -> None:
    hu, region = ball(8.0)
    hu = np.where(away_mm(offset_mm) < radius_mm, 500.0, hu)
    found = texture.calcium(volume(hu), region)
    assert found.pattern == pattern
    assert found.benign is benign


@pytest.mark.requirement("DX-IMG-36")
def test_fat_inside_counts_and_partial_volume_at_the_edge_does_not() -> None:
    hu, region = ball(9.0)
    assert not texture.fat(volume(hu), region)
    blurred = np.interp(away_mm(), [4.0, 9.0], [40.0, -860.0])  # thick slices, soft kernel
    small = Region(blurred > -500, (0, 0, 0), 6.0)
    assert not texture.fat(volume(blurred), small)
    fatty = np.where(away_mm((0.0, 1.0, 0.0)) < 5.5, -80.0, hu)
    assert texture.fat(volume(fatty), region)


@pytest.mark.requirement("DX-IMG-37")
def test_distance_to_the_pleura_and_place_in_the_lungs(phantom: ModuleType) -> None:
    chest = phantom.Chest()
    dz, dy, dx = chest.spacing
    affine = np.array([[0, 0, dx, 0], [0, dy, 0, 0], [dz, 0, 0, 0], [0, 0, 0, 1]], dtype=float)
    affine[:3, 3] = chest.origin
    whole = Volume(chest.hu(), affine, tuple(str(k) for k in range(chest.slices)))
    lungs = lung_mask.find(whole)
    for x, expected in ((62.0, 46.0 - 5.0), (62.0 + 30.0, 16.0 - 5.0), (62.0 + 42.0, 0.0)):
        index = np.array([50.0 / dz, -chest.origin[1] / dy, (x - chest.origin[0]) / dx])
        grid = np.indices(whole.hu.shape)
        near = sum(((grid[a] - index[a]) * chest.spacing[a]) ** 2 for a in range(3)) <= 25.0
        region = Region(np.asarray(near), (0, 0, 0), 5.0)
        assert where.pleura_mm(whole, lungs, region) == pytest.approx(expected, abs=3.0)
    across, back, up = where.shares(whole, lungs, (62.0, 0.0, 50.0))
    assert across == pytest.approx((62 + 108) / 216, abs=0.02)
    assert (back, up) == (pytest.approx(0.5, abs=0.02), pytest.approx(0.5, abs=0.03))


@pytest.mark.requirement("DX-IMG-38")
@pytest.mark.parametrize("pixel_mm", [(0.5, 0.5), (0.7, 0.7), (0.95, 0.6)])
def test_a_patch_goes_out_and_comes_back(pixel_mm: tuple[float, float]) -> None:
    rows, columns = np.indices((120, 120)).astype(float)
    place = (61.3, 55.7)
    plane = 300.0 * np.exp(
        -(((rows - place[0]) * pixel_mm[0]) ** 2 + ((columns - place[1]) * pixel_mm[1]) ** 2) / 50
    )
    cut = patch.cut(plane.astype(np.int16), place, pixel_mm)
    assert cut.shape == (64, 64)
    assert np.unravel_index(int(cut.argmax()), cut.shape) == (32, 32)
    back = patch.paste(cut, place, pixel_mm, (50, 45), (22, 22))
    assert np.abs(back - plane[50:72, 45:67]).max() < 12


@pytest.mark.requirement("DX-IMG-38")
def test_a_patch_beyond_the_image_repeats_its_edge() -> None:
    cut = patch.cut(np.full((20, 20), -500, np.int16), (-3.0, 25.0), (0.7, 0.7))
    assert (cut == -500).all()


@pytest.mark.requirement("DX-IMG-38")
def test_the_outline_replaces_the_rules_region_where_both_speak_of_one_thing() -> None:
    hu, ruled = ball(5.0)
    whole = volume(hu)
    asked = outline.question(whole, ruled)
    assert asked is not None
    assert asked.patches.shape == (len(asked.places), 1, 64, 64)
    true = away_mm() <= 6.0
    answer = np.stack(
        [
            patch.cut(true[asked.first + k] * 1000, place, SPACING[1:]) / 1000
            for k, place in enumerate(asked.places)
        ]
    )[:, None]
    answer[:, :, 2:6, 2:6] = 1.0  # something else in the corner
    better = outline.refined(whole, ruled, asked, answer)
    ml = better.mask.sum() * whole.voxel_mm3 / (math.pi / 6 * 12**3)
    assert ml == pytest.approx(1.0, abs=0.12)
    nowhere = np.zeros_like(answer)
    assert outline.refined(whole, ruled, asked, nowhere) is ruled
    everywhere = np.ones_like(answer)
    assert outline.refined(whole, ruled, asked, everywhere) is ruled


@pytest.mark.requirement("DX-IMG-38")
def test_a_nodule_too_wide_for_the_patch_keeps_the_rules_region() -> None:
    hu, region = ball(21.0)
    assert outline.question(volume(hu), region) is None


@pytest.mark.requirement("DX-IMG-38")
def test_impressions_are_asked_where_the_nodule_is_largest() -> None:
    hu, region = ball(6.0)
    patches = impression.patches(volume(hu), [region, region])
    assert patches.shape == (2, 1, 64, 64)
    assert patches[0, 0, 32, 32] > 0
    assert patches[0, 0, 32, 45] < -800
    limits = impression.Limits(0.2, 0.7, 3.0, 5.0)
    assert [limits.leaning(p) for p in (0.19, 0.2, 0.69, 0.7)] == [
        "likely-benign",
        "indeterminate",
        "indeterminate",
        "likely-malignant",
    ]
