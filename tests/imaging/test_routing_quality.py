"""Looks at the pixels before a model speaks: made-up pictures, and real series where they are."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from services.imaging.routing import explain, rules
from services.imaging.routing.decide import decide
from services.imaging.routing.quality import CHECKS
from services.imaging.routing.rules import READINGS
from services.imaging.series import archive
from services.imaging.series.facts import Facts
from services.imaging.series.radiograph import Radiograph
from services.imaging.series.refusals import SeriesRefused
from services.imaging.series.understand import understand
from services.imaging.series.volume import Volume

pytestmark = pytest.mark.requirement("DX-IMG-96")

BOOK = rules.read(explain.default_table())
LIMITS = {rule.reader: rule.quality for rule in BOOK.rules}


@pytest.fixture(scope="module")
def chest(phantom: ModuleType) -> Volume:
    made = phantom.Chest()
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (0, 0, 2.5), (0, 1, 0), (1, 0, 0)
    return Volume(made.hu(), affine, tuple(map(str, range(made.slices))))


def head(slices: int = 24, shift: int = 0) -> Volume:
    """Return an ellipse of brain in a skull in air, 5 mm slices, 1 mm pixels."""
    y, x = np.mgrid[-110:110, -100:100]
    hu = np.full((slices, 220, 200), -1000, np.int16)
    for index in range(slices):
        size = np.sin(np.pi * (index + 3) / (slices + 6))
        r = np.hypot(y / (90 * size), x / (72 * size))
        hu[index][r < 1.08] = 40
        hu[index][r < 1.0] = 900
        hu[index][r < 0.92] = 32
    if shift:
        hu[10:13] = np.roll(hu[10:13], shift, axis=2)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (0, 0, 5), (0, 1, 0), (1, 0, 0)
    return Volume(hu, affine, tuple(map(str, range(slices))))


def xray(seed: int = 1) -> Radiograph:
    """Return a bright limb with noise on a dark ground."""
    y, x = np.mgrid[:400, :300]
    grey = 0.05 + 0.5 * (np.abs(x - 150) < 70) + 0.3 * (np.abs(x - 150) < 25) * (y > 40)
    grey = grey + np.random.default_rng(seed).normal(0, 0.03, grey.shape)
    return Radiograph(grey=grey.clip(0, 1).astype(np.float32), sop_uid="2.25.1")


def refused(source: Any, reader: str) -> dict[str, str]:
    """Return the reason of each check of a reading that says no."""
    found = {}
    for name, limits in LIMITS[reader].items():
        try:
            CHECKS[name].look(source, limits)
        except SeriesRefused as error:
            assert set(error.facts) > set(limits), "the limits are told beside what was measured"
            found[name] = error.reason
    return found


def test_good_pictures_pass(chest: Volume) -> None:
    assert refused(chest, "nodules") == {}
    assert refused(head(), "haemorrhage") == {}
    assert refused(xray(), "fractures") == {}


def test_another_organ_is_told(chest: Volume) -> None:
    assert refused(head(), "nodules")["chest"] == "WRONG_ORGAN"
    assert refused(chest, "haemorrhage")["head"] == "WRONG_ORGAN"


def test_values_of_an_mr_are_no_ct_numbers(chest: Volume) -> None:
    mr = dataclasses.replace(chest, hu=np.clip(chest.hu, 0, None) * 10 + 200)
    assert refused(mr, "nodules")["ct_numbers"] == "NOT_CT_NUMBERS"


def test_cut_off_field_of_view_is_told() -> None:
    whole = head()
    cropped = dataclasses.replace(whole, hu=whole.hu[:, 60:160, 50:150])
    assert refused(whole, "haemorrhage") == {}
    assert refused(cropped, "haemorrhage")["field_of_view"] == "FIELD_OF_VIEW_CUT_OFF"


def test_patient_that_moved_between_slices_is_told() -> None:
    assert refused(head(shift=12), "haemorrhage") == {"motion": "PATIENT_MOVED"}
    assert refused(head(shift=3), "haemorrhage") == {}


def test_scanned_paper_and_captured_screens_are_told() -> None:
    page = Image.new("L", (600, 800), 245)
    draw = ImageDraw.Draw(page)
    for line in range(20, 780, 16):
        draw.text((20, line), "findings of the radiograph of the left hand, two views " * 2, 20)
    paper = np.asarray(page, np.float32) / 255
    noisy = (paper + np.random.default_rng(2).normal(0, 0.02, paper.shape)).clip(0, 1)
    scan = dataclasses.replace(xray(), grey=noisy.astype(np.float32))
    assert refused(scan, "fractures")["paper"] == "PAPER_SCAN"
    few = dataclasses.replace(xray(), grey=np.round(xray().grey * 8).astype(np.float32) / 8)
    assert refused(few, "fractures")["paper"] == "PAPER_SCAN"


def test_picture_without_contrast_is_told() -> None:
    flat = dataclasses.replace(xray(), grey=0.5 + 0.01 * xray().grey)
    assert refused(flat, "fractures")["exposure"] == "BADLY_EXPOSED"


def test_pixels_are_not_looked_at_where_the_header_says_no(
    chest: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked(source: object, limits: object) -> None:
        raise AssertionError("a look at the pixels costs time")

    for name, check in list(CHECKS.items()):
        monkeypatch.setitem(CHECKS, name, dataclasses.replace(check, look=looked))
    facts = Facts(modality="CT", body_part="CHEST", age_years=5.0)
    assert not any(choice.read for choice in decide(facts, chest, BOOK, READINGS))


@pytest.mark.parametrize(("name", "reader"), [("lidc", "nodules"), ("head", "haemorrhage")])
def test_real_series_goes_to_its_reading_alone(
    request: pytest.FixtureRequest, phantom: ModuleType, name: str, reader: str
) -> None:
    files = request.getfixturevalue(f"{name}_files")
    files = files[::2] if len(files) > 100 else files  # half of the slices are enough to see it
    facts = Facts()
    (source,) = understand(archive.held(phantom.archive(files)), facts)
    choices = decide(facts, source, BOOK, READINGS)
    assert [choice.reader for choice in choices if choice.read] == [reader], [
        (choice.reader, choice.refusal and choice.refusal.facts) for choice in choices
    ]
