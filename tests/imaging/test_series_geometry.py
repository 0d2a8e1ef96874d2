"""Whatever happens to the slices of a scan, its volume is right or refused; never wrong."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.imaging.series import archive, refusals
from services.imaging.series.facts import Facts
from services.imaging.series.understand import understand
from services.imaging.series.volume import Volume

ANY = pytest.mark.requirement("DX-IMG-25")
SLICES = 12


@dataclass(frozen=True)
class Trouble:
    """What is done to a series of 12 slices."""

    seed: int
    degrees: float
    spacing: float
    flipped: bool
    dropped: frozenset[int]
    copied: frozenset[int]
    """Sent twice, byte for byte."""
    changed: frozenset[int]
    """Sent twice with other pixels."""
    relabelled: str


def troubles() -> st.SearchStrategy[Trouble]:
    some = st.frozensets(st.integers(1, SLICES - 2), max_size=2)
    return st.builds(
        Trouble,
        seed=st.integers(0, 9999),
        degrees=st.sampled_from([0.0, 0.0, 4.0, -15.0, 25.0, 50.0]),
        spacing=st.sampled_from([0.625, 1.0, 2.5, 5.0]),
        flipped=st.booleans(),
        dropped=some,
        copied=some,
        changed=st.frozensets(st.integers(1, SLICES - 2), max_size=1),
        relabelled=st.sampled_from(["", "", "", "numbers", "localiser", "acquisition", "frame"]),
    )


def series(phantom: ModuleType, series_phantom: ModuleType, what: Trouble) -> list[Any]:
    datasets = phantom.blank(slices=SLICES, side=8, spacing=(what.spacing, 0.8, 0.8))
    if what.flipped:  # feet first: the table went the other way
        for number, one in enumerate(datasets):
            one.InstanceNumber = SLICES - number
    if what.degrees:
        series_phantom.tilt(datasets, what.degrees)
    kept = [one for number, one in enumerate(datasets) if number not in what.dropped]
    kept += [copy.deepcopy(datasets[n]) for n in what.copied - what.dropped]
    for number in what.changed - what.dropped:
        other = copy.deepcopy(datasets[number])
        other.PixelData = b"\1" + other.PixelData[1:]
        other.SOPInstanceUID = "2.25.4444"
        kept.append(other)
    chance = random.Random(what.seed)
    if what.relabelled == "numbers":
        for one in kept:
            one.InstanceNumber, one.SliceLocation = chance.randint(1, 99), chance.randint(-99, 99)
    elif what.relabelled:
        one = datasets[0]
        if what.relabelled == "localiser":
            one.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        elif what.relabelled == "acquisition":
            one.AcquisitionNumber = 7
        else:
            one.FrameOfReferenceUID = "2.25.31"
    chance.shuffle(kept)
    return list(kept)


@ANY
@settings(max_examples=30, deadline=None)
@example(  # one slice of another number beyond a gap: it may not be set aside to hide the gap
    what=Trouble(0, 0.0, 2.5, False, frozenset((1,)), frozenset(), frozenset(), "acquisition")
)
@example(what=Trouble(0, 50.0, 2.5, False, frozenset(), frozenset(), frozenset(), "frame"))
@given(what=troubles())
def test_any_trouble_gives_the_right_volume_or_a_reason(
    phantom: ModuleType, series_phantom: ModuleType, what: Trouble
) -> None:
    files = series(phantom, series_phantom, what)
    facts = Facts()
    try:
        (read,) = understand(archive.held(phantom.archive(files)), facts)
    except refusals.SeriesRefused as error:
        holes = what.dropped
        doubled = what.changed - what.dropped
        assert holes or doubled or what.degrees == 50 or what.relabelled == "frame"
        assert error.facts
        if what.degrees == 50 and what.relabelled != "frame":
            assert error.reason == "NOT_AXIAL"
        return
    assert isinstance(read, Volume)
    first = int(what.relabelled in ("localiser",))
    assert not what.dropped
    assert not what.changed
    assert what.degrees != 50
    assert what.relabelled != "frame"
    assert read.hu[:, 0, 0].tolist() == [number * 10 for number in range(first, SLICES)]
    assert read.sop_uids == tuple(f"2.25.{9000 + number}" for number in range(first, SLICES))
    assert read.tilt_degrees == pytest.approx(what.degrees, abs=0.05)
    expected = [0.0, 0.0, first * what.spacing]
    assert read.to_patient(np.zeros(3)) == pytest.approx(expected)
    assert read.spacing_mm == pytest.approx((what.spacing, 0.8, 0.8))
    aside = sum(one.images for one in facts.set_aside)
    assert aside == len(what.copied) + first - len(what.copied & {0} if first else set())


@ANY
@settings(max_examples=20, deadline=None)
@given(
    moved=st.integers(1, SLICES - 2),
    mm=st.floats(0.2, 2.4).map(lambda value: round(value, 2)),
    sideways=st.booleans(),
)
def test_slice_out_of_its_place_is_never_taken_for_even(
    phantom: ModuleType, moved: int, mm: float, sideways: bool
) -> None:
    datasets = phantom.blank(slices=SLICES, side=8)
    x, y, z = (float(part) for part in datasets[moved].ImagePositionPatient)
    datasets[moved].ImagePositionPatient = [x + mm, y, z] if sideways else [x, y, z + mm]
    try:
        (read,) = understand(archive.held(phantom.archive(datasets)), Facts())
    except refusals.ShiftedSlices as error:
        assert sideways
        assert mm > 0.5
        assert float(error.facts["shift_mm"]) > 0.5
        return
    except refusals.DuplicateSlices:
        assert not sideways
        assert mm > 2.4
        return
    assert isinstance(read, Volume)
    assert read.even == sideways or mm <= 0.125


@ANY
@settings(max_examples=15, deadline=None)
@given(
    turned=st.floats(-40, 40),
    about=st.sampled_from(["x", "y", "z"]),
    spacing=st.sampled_from([1.0, 3.0]),
)
def test_volume_of_a_turned_head_lies_where_its_slices_say(
    phantom: ModuleType, turned: float, about: str, spacing: float
) -> None:
    """Slices and their way are turned together, as a reformat along the skull base is."""
    c, s = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    turn = {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[about]
    datasets = phantom.blank(slices=SLICES, side=8, spacing=(spacing, 0.8, 0.8))
    for number, one in enumerate(datasets):
        one.ImageOrientationPatient = [*turn[:, 0], *turn[:, 1]]
        one.ImagePositionPatient = list(turn @ np.array([-20.0, 9.0, number * spacing]))
    (read,) = understand(archive.held(phantom.archive(datasets)), Facts())
    assert isinstance(read, Volume)
    assert read.tilt_degrees == 0
    assert read.lean_degrees == pytest.approx(0 if about == "z" else abs(turned), abs=0.02)
    index = np.array([[5.0, 2.0, 3.0]])
    expected = turn @ np.array([-20 + 3 * 0.8, 9 + 2 * 0.8, 5 * spacing])
    assert read.to_patient(index)[0] == pytest.approx(expected, abs=1e-6)
