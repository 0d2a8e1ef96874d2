"""The shipped haemorrhage model: its file, its card, and what it says of a real head CT."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.cli import triton
from services.imaging.haemorrhage import midline, prepare
from services.imaging.haemorrhage.names import INPUT, MAP, MODEL, PROBABILITY
from services.imaging.haemorrhage.reader import HaemorrhageReader
from services.imaging.reading import Context, Reading
from services.imaging.series.volume import Volume
from services.kernel.inference import OnnxInference, TritonInference
from tests.servers.triton import ENVIRONMENT, TritonServer
from training.haemorrhage import clinical

ROOT = Path(__file__).resolve().parents[2]
SERIES = ROOT.parent / "shared/data/imaging/head_ct_ge_dicom/series.tar.xz"
LARGEST_MB = 9.0


@pytest.fixture(scope="module")
def folder(models: Path) -> Path:
    return models / MODEL


@pytest.fixture(scope="module")
def card(folder: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((folder / "card.json").read_text())
    return made


@pytest.fixture(scope="module")
def volume() -> Volume:
    if not SERIES.is_file():
        pytest.skip("the open data set is not here: ../shared/data/imaging/head_ct_ge_dicom")
    return clinical.read(SERIES)


def read(volume: Volume, folder: Path, card: dict[str, Any]) -> Reading:
    context = Context(card=lambda name: card)
    return HaemorrhageReader().read(volume, context, clinical.ask(folder))


@pytest.mark.requirement("DX-IMG-60")
def test_card_is_that_of_the_file_and_states_what_was_measured(
    folder: Path, card: dict[str, Any]
) -> None:
    content = (folder / "1" / "model.onnx").read_bytes()
    assert card["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(content) <= LARGEST_MB * 1e6
    for name in ("slice_auc", "study_auc", "baseline_slice_auc_position_alone"):
        one = card["figures"][name]
        assert 0 < one["low"] <= one["value"] <= one["high"] < 1
    assert 0 < card["operating_point"]["probability"] < 1
    assert card["calibration"]["studies"]["curve"]
    assert card["fails"] and card["data"]["licence"] and card["ich_boxes_is_not_a_second_set"]


@pytest.mark.flow
@pytest.mark.requirement("DX-IMG-60")
async def test_triton_gives_the_numbers_of_this_process(models: Path, tmp_path: Path) -> None:
    if triton.find_wheel(ENVIRONMENT) is None:
        pytest.skip("Triton's wheel is not installed: no .venv-triton")
    slices = np.random.default_rng(3).random((20, 4, 256, 224), np.float32)
    slices[:, 3] = slices[:, 3] > 0.4
    server = TritonServer(tmp_path, models)
    server.start()
    try:
        client = TritonInference(server.url, shared_memory=False, timeout_s=60.0)
        there = await client.infer(MODEL, {INPUT: slices})
    finally:
        server.kill()
    here = await OnnxInference(models).infer(MODEL, {INPUT: slices})
    assert here[PROBABILITY].shape == (20, 7)
    assert here[MAP].shape == (20, 6, 32, 28)
    for name in (PROBABILITY, MAP):
        assert here[name].std() > 0
        np.testing.assert_allclose(there[name], here[name], rtol=0, atol=1e-4)


@pytest.mark.requirement("DX-IMG-52")
def test_hu_and_8_bit_jpeg_of_one_series_are_one_to_the_network(
    volume: Volume, folder: Path
) -> None:
    same = clinical.same_input(volume, folder)
    assert abs(same["mean_grey_difference_in_brain"]) < 1.5
    assert same["median_absolute_grey_difference_in_brain"] < 4
    assert abs(same["turn_degrees"][0] - same["turn_degrees"][1]) <= 2
    assert same["mean_probability_difference"] < 0.05


@pytest.mark.requirement("DX-IMG-61")
def test_clinical_series_with_tilt_is_read_to_its_end(
    volume: Volume, folder: Path, card: dict[str, Any]
) -> None:
    head = prepare.head(volume)
    assert 1200 < head.brain_ml < 1800
    assert 160 < 226 * head.pixel_mm < 200
    shift = midline.measure(head)
    assert shift is not None
    assert abs(shift.mm) < 5
    answer = read(volume, folder, card).answer
    assert 0 < answer.probability < 1
    assert answer.urgent is (answer.probability >= answer.operating_point)


@pytest.mark.requirement("DX-IMG-61")
def test_large_blood_planted_in_it_is_found_where_it_lies(
    volume: Volume, folder: Path, card: dict[str, Any]
) -> None:
    head = prepare.head(volume)
    place = clinical._deep_place(volume, head)
    mask = clinical._ball(volume, place, 18.0)
    bloody = replace(volume, hu=clinical._with_blood(volume.hu, mask))
    reading = read(bloody, folder, card)
    assert reading.answer.urgent
    lesion = min(
        reading.lesions,
        key=lambda one: np.linalg.norm(
            np.array([one.finding.place.center.x, one.finding.place.center.y]) - place[:2]
        ),
    )
    center = lesion.finding.place.center
    assert np.linalg.norm(np.array([center.x, center.y, center.z]) - place) < 8
    volume_ml = next(one.value for one in lesion.finding.measures if one.name == "volume")
    area = mask.sum(axis=(1, 2)) * volume.spacing_mm[1] * volume.spacing_mm[2]
    assert volume_ml == pytest.approx((area * volume.slice_mm()).sum() / 1000, rel=0.25)
