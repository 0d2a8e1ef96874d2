"""Nodules of two CTs are matched where they lie in the lungs, whatever the scanner's table did."""

from __future__ import annotations

import pytest

from services.imaging.nodules.follow import Spot, pair

pytestmark = pytest.mark.requirement("DX-IMG-35")
LUNGS_MM = (300.0, 200.0, 280.0)


def spot(across: float, back: float, up: float, mm3: float = 200.0) -> Spot:
    return Spot((across, back, up), mm3, across > 0.5)


def moved(spots: list[Spot], shift: tuple[float, float, float]) -> list[Spot]:
    return [
        Spot(
            (
                one.place[0] + shift[0],
                one.place[1] + shift[1],
                one.place[2] + shift[2],
            ),
            one.volume_mm3,
            one.left,
        )
        for one in spots
    ]


BEFORE = [spot(0.2, 0.3, 0.8), spot(0.3, 0.7, 0.25), spot(0.75, 0.5, 0.55)]


def test_the_same_nodules_after_a_deeper_breath() -> None:
    now = moved(BEFORE, (0.0, 0.02, 0.05))
    assert pair(BEFORE, now[::-1], LUNGS_MM) == {0: 2, 1: 1, 2: 0}


def test_a_new_nodule_has_no_earlier_one_and_a_vanished_one_no_later() -> None:
    now = [*BEFORE[1:], spot(0.8, 0.8, 0.1)]
    assert pair(BEFORE, now, LUNGS_MM) == {0: 1, 1: 2}


def test_never_across_the_middle_nor_for_a_growth_beyond_belief() -> None:
    assert pair([spot(0.49, 0.5, 0.5)], [spot(0.51, 0.5, 0.5)], LUNGS_MM) == {}
    assert pair([spot(0.2, 0.5, 0.5, 50.0)], [spot(0.2, 0.5, 0.5, 5000.0)], LUNGS_MM) == {}
    assert pair([spot(0.2, 0.5, 0.5, 50.0)], [spot(0.2, 0.5, 0.5, 150.0)], LUNGS_MM) == {0: 0}


def test_of_two_neighbours_each_finds_its_own_by_size() -> None:
    before = [spot(0.2, 0.5, 0.5, 100.0), spot(0.23, 0.5, 0.52, 900.0)]
    now = [spot(0.22, 0.5, 0.51, 950.0), spot(0.2, 0.5, 0.5, 110.0)]
    assert pair(before, now, LUNGS_MM) == {0: 1, 1: 0}


def test_nothing_to_match() -> None:
    assert pair([], BEFORE, LUNGS_MM) == {}
    assert pair(BEFORE, [], LUNGS_MM) == {}
